//! What the fuzzers found worth keeping; see `fuzz/`.

use std::path::Path;

/// Each seed of a fuzz target; fails if there are none.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let seeds: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(seeds.len() >= 10, "{}: {} seeds", folder.display(), seeds.len());
    seeds
}
