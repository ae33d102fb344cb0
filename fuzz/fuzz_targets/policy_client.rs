//! Any frame of a policy client: what is accepted must survive its own encoding.
#![no_main]

#[path = "../../protocol/tests/policy/encode.rs"]
#[allow(dead_code, reason = "the other target uses the rest")]
mod encode;

use libfuzzer_sys::fuzz_target;
use waldo_protocol::policy::{Capabilities, ClientMessage};

fuzz_target!(|frame: &[u8]| {
    for caps in [Capabilities::NONE, Capabilities::all()] {
        if let Ok(message) = ClientMessage::decode(frame, caps) {
            encode::client_survives(&message, frame, caps);
        }
    }
});
