//! Any bytes of a command channel: what is accepted must survive its own encoding.
#![no_main]

#[path = "../../protocol/tests/hosted/encode.rs"]
#[allow(dead_code, reason = "the other targets use the rest")]
mod encode;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| encode::lcm_survives(bytes));
