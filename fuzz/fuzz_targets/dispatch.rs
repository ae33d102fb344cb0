//! Any text on the socket: what is accepted must survive its own encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waldo_protocol::vr::{ClientMessage, dispatch};

fuzz_target!(|text: &str| {
    match dispatch(text) {
        Ok(ClientMessage::Ignored) | Err(_) => {}
        Ok(message) => assert_eq!(dispatch(&message.encode()), Ok(message)),
    }
});
