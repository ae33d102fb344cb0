//! Any text from a server: what is read must survive its own encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waldo_protocol::vr::ServerMessage;

fuzz_target!(|text: &str| {
    if let Some(message) = ServerMessage::decode(text) {
        assert_eq!(ServerMessage::decode(&message.encode()), Some(message));
    }
});
