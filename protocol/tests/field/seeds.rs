//! What the fuzzers found worth keeping, replayed as plain tests; see `fuzz/`.

use std::path::Path;

use crate::encode::{client_survives, server_survives};

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
