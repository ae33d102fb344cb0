//! Any body or session description at the broker: what is accepted must survive its own encoding.
#![no_main]

#[path = "../../protocol/tests/hosted/encode.rs"]
#[allow(dead_code, reason = "the other targets use the rest")]
mod encode;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    encode::body_survives(body);
    if let Ok(sdp) = std::str::from_utf8(body) {
        encode::sdp_survives(sdp);
    }
});
