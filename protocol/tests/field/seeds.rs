//! What the fuzzers found worth keeping, replayed as plain tests; see `fuzz/`.

use crate::corpus::seeds;
use crate::encode::{client_survives, server_survives};

#[test]
fn the_seeds_of_client_frames_are_read_and_survive_their_own_encoding() {
    for seed in seeds("field_client") {
        if let Ok(text) = std::str::from_utf8(&seed) {
            client_survives(text);
        }
    }
}

#[test]
fn the_seeds_of_server_frames_are_read_and_survive_their_own_encoding() {
    seeds("field_server").iter().for_each(|seed| server_survives(seed));
}
