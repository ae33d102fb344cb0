//! What the fuzzers found worth keeping, replayed as plain tests; see `fuzz/`.

use std::path::Path;

use waldo_protocol::policy::{Capabilities, ClientMessage, ServerMessage};

use crate::encode;

/// Each seed of a fuzz target; fails if there are none.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let seeds: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(seeds.len() >= 10, "{}: {} seeds", folder.display(), seeds.len());
    seeds
}

#[test]
fn the_seeds_of_client_frames_are_read_and_survive_their_own_encoding() {
    for seed in seeds("policy_client") {
        for caps in [Capabilities::NONE, Capabilities::all()] {
            if let Ok(message) = ClientMessage::decode(&seed, caps) {
                encode::client_survives(&message, &seed, caps);
            }
        }
    }
}

#[test]
fn the_seeds_of_server_frames_are_read_and_survive_their_own_encoding() {
    for seed in seeds("policy_server") {
        for caps in [Capabilities::NONE, Capabilities::all()] {
            if let Ok(message) = ServerMessage::decode(&seed, caps) {
                encode::server_survives(&message, &seed, caps);
            }
        }
    }
}
