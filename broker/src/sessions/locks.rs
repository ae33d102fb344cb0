//! One lock per session, for as long as anybody wants it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// The locks of all sessions.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<HashMap<String, Lock>>);

impl Locks {
    /// Waits for the lock of a session.
    pub(super) async fn lock(&self, session: &str) -> OwnedMutexGuard<()> {
        self.of(session).lock_owned().await
    }

    /// The lock of a session, unless somebody has it: for those who come again.
    pub(super) fn try_lock(&self, session: &str) -> Option<OwnedMutexGuard<()>> {
        self.of(session).try_lock_owned().ok()
    }

    fn of(&self, session: &str) -> Lock {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody holds or waits for are only in the way.
        if locks.len() > 1024 {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(locks.entry(session.to_owned()).or_default())
    }

    /// Frees the lock of a session that is over. Whoever waits for it still gets it.
    pub(super) fn forget(&self, session: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
    }
}
