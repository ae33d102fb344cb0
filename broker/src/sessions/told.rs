//! Which bridges' ids the robots have been told: the engine is told that once, not at each heartbeat.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Sessions that are remembered; beyond it, engines are told once more.
const REMEMBERED: usize = 4096;

/// The last bridge of each session whose ids its robot was told here.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<HashMap<String, u64>>);

impl Told {
    /// Notes that a robot is told the ids of a bridge; false if it was before.
    pub(super) fn note(&self, session: &str, generation: u64) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(session) == Some(&generation) {
            return false;
        }
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert(session.to_owned(), generation);
        true
    }

    pub(super) fn forget(&self, session: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
    }
}
