//! Any frames of a field server, deltas and binary ones among them: what is accepted must survive its own encoding, and
//! the scene it makes must reach others.
#![no_main]

#[path = "../../protocol/tests/field/encode.rs"]
#[allow(dead_code, reason = "the other target uses the rest")]
mod encode;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|frames: &[u8]| encode::server_survives(frames));
