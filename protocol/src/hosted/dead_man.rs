//! What moves only as long as it is told to.

use std::time::Duration;

use crate::time::MonoTime;

/// Runs out a while after it was last fed, and says so once.
#[derive(Clone, Copy, Debug)]
pub struct DeadMan {
    limit: Duration,
    deadline: Option<MonoTime>,
}

impl DeadMan {
    /// One that nothing has fed.
    pub const fn new(limit: Duration) -> Self {
        Self { limit, deadline: None }
    }

    /// Motion was commanded; the time begins anew.
    pub fn feed(&mut self, now: MonoTime) {
        self.deadline = Some(now + self.limit);
    }

    /// Nothing moves any more; true if something did.
    pub fn rest(&mut self) -> bool {
        self.deadline.take().is_some()
    }

    /// When it runs out, if something moves.
    pub const fn deadline(&self) -> Option<MonoTime> {
        self.deadline
    }

    /// True once when the time has run out.
    pub fn ran_out(&mut self, now: MonoTime) -> bool {
        let out = self.deadline.is_some_and(|deadline| now >= deadline);
        if out {
            self.deadline = None;
        }
        out
    }
}
