//! Any frame of a robot, its map included: what is accepted must survive its own encoding.
#![no_main]

#[path = "../../protocol/tests/hosted/encode.rs"]
#[allow(dead_code, reason = "the other targets use the rest")]
mod encode;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| encode::operator_survives(frame));
