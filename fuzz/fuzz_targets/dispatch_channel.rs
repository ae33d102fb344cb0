//! Any text on the pose channel: it and the socket must agree on what a pose is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waldo_protocol::vr::{ClientMessage, dispatch, dispatch_channel};

fuzz_target!(|text: &str| {
    match (dispatch_channel(text), dispatch(text)) {
        (Ok(Some(frame)), Ok(ClientMessage::Pose(other))) => assert_eq!(frame, other),
        (Ok(None), Ok(other)) => assert!(!matches!(other, ClientMessage::Pose(_))),
        (Ok(None), Err(_)) => {}
        (Err(one), Err(other)) => assert_eq!(one, other),
        (channel, socket) => panic!("{channel:?} but {socket:?}"),
    }
});
