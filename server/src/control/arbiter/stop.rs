//! The stop latch.

use std::collections::{BTreeMap, VecDeque};

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::Stop;

use super::SourceId;

/// A stop comes on every path of a client; this many numbers of each are remembered, so that a late copy counts for
/// nothing.
const REMEMBERED: usize = 32;

/// Set by anybody, cleared on purpose. While it is set, nothing moves.
#[derive(Debug, Default)]
pub(super) struct StopLatch {
    since: Option<MonoTime>,
    seen: BTreeMap<SourceId, VecDeque<i64>>,
}

impl StopLatch {
    /// Since when it has been set.
    pub(super) fn since(&self) -> Option<MonoTime> {
        self.since
    }

    /// True unless this is a copy of a message that was heard before. A stop without a number is never a copy.
    pub(super) fn is_news(&mut self, from: SourceId, stop: Stop) -> bool {
        let Some(n) = stop.n else { return true };
        let seen = self.seen.entry(from).or_default();
        if seen.contains(&n) {
            return false;
        }
        seen.truncate(REMEMBERED - 1);
        seen.push_front(n);
        true
    }

    pub(super) fn set(&mut self, now: MonoTime) {
        self.since.get_or_insert(now);
    }

    pub(super) fn clear(&mut self) {
        self.since = None;
    }

    /// A source is gone for good; what it stopped stays stopped.
    pub(super) fn forget(&mut self, from: SourceId) {
        self.seen.remove(&from);
    }
}
