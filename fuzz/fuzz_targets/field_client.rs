//! Any frame of a field client: what is accepted must survive its own encoding.
#![no_main]

#[path = "../../protocol/tests/field/encode.rs"]
#[allow(dead_code, reason = "the other target uses the rest")]
mod encode;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| encode::client_survives(text));
