//! Any text on the pose channel: it and the socket must agree on what a pose is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waldo_protocol::vr::{ClientMessage, dispatch, dispatch_channel};

fuzz_target!(|text: &str| {
    match (dispatch_channel(text), dispatch(text)) {
        (Ok(ClientMessage::Ignored), Ok(other)) => assert!(!matches!(other, ClientMessage::Pose(_))),
        (Ok(ClientMessage::Ignored), Err(_)) => {}
        (Ok(heard), Ok(other)) => assert_eq!(heard, other),
        (Err(one), Err(other)) => assert_eq!(one, other),
        (channel, socket) => panic!("{channel:?} but {socket:?}"),
    }
});
