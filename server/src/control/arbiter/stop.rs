//! The stop latch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{HoldReason, Stop};

use super::SourceId;

/// A stop comes on every path of a client; this many numbers of each are remembered, so that a late copy counts for
/// nothing.
const REMEMBERED: usize = 32;

/// Set by anybody, cleared on purpose. While it is set, nothing moves.
#[derive(Debug, Default)]
pub(super) struct StopLatch {
    since: Option<MonoTime>,
    view: StopView,
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
        if self.since.is_none() {
            self.since = Some(now);
            self.view.0.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn clear(&mut self) {
        if self.since.take().is_some() {
            self.view.0.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The same for those who do not hold the arbiter's lock.
    pub(super) fn view(&self) -> StopView {
        self.view.clone()
    }

    /// A source is gone for good; what it stopped stays stopped.
    pub(super) fn forget(&mut self, from: SourceId) {
        self.seen.remove(&from);
    }
}

/// Whether the stop latch of an [`Arbiter`](super::Arbiter) is set, for threads that ask at every step and shall not wait
/// for its lock. Clones look at the same latch.
#[derive(Clone, Debug, Default)]
pub struct StopView(
    /// Odd while it is set.
    Arc<AtomicU64>,
);

impl StopView {
    /// Whether nothing may move.
    pub fn stopped(&self) -> bool {
        !self.0.load(Ordering::Acquire).is_multiple_of(2)
    }

    /// How often it was set: who looks seldom sees by it that there was a stop in between.
    pub fn stops(&self) -> u64 {
        self.0.load(Ordering::Acquire).div_ceil(2)
    }
}

/// What the stop latch means to one user whose arms are nobody else's, such as those of a field scene.
///
/// While it is set, nothing of theirs counts. After it, their grips must have been seen released first, as those of the
/// driver of a robot: what they hold at that moment was meant for another one.
#[derive(Clone, Copy, Debug, Default)]
pub struct StopGate {
    release_first: bool,
}

impl StopGate {
    /// Looks at the latch and at whether any grip of the user is held now; gives why their commands do not count, or none
    /// if they do. Who sends no command holds nothing, and has not been seen to release anything either: do not ask then,
    /// except while the latch is set.
    pub fn hold(&mut self, stopped: bool, gripped: bool) -> Option<HoldReason> {
        self.release_first = stopped || (self.release_first && gripped);
        match (stopped, self.release_first) {
            (true, _) => Some(HoldReason::Stopped),
            (false, true) => Some(HoldReason::ReleaseGrips),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_stop_a_grip_that_was_held_counts_only_when_it_was_seen_released() {
        let mut gate = StopGate::default();
        assert_eq!(gate.hold(false, true), None);
        assert_eq!(gate.hold(true, true), Some(HoldReason::Stopped));
        assert_eq!(gate.hold(true, false), Some(HoldReason::Stopped), "a release under the stop is none after it");
        assert_eq!(gate.hold(false, true), Some(HoldReason::ReleaseGrips));
        assert_eq!(gate.hold(false, false), None);
        assert_eq!(gate.hold(false, true), None);
    }

    #[test]
    fn a_view_follows_its_latch() {
        let mut latch = StopLatch::default();
        let view = latch.view();
        latch.set(MonoTime::from_nanos(1));
        assert!(view.stopped());
        latch.set(MonoTime::from_nanos(2));
        assert_eq!((view.stopped(), view.stops(), latch.since()), (true, 1, Some(MonoTime::from_nanos(1))));
        latch.clear();
        latch.clear();
        assert_eq!((view.stopped(), view.stops()), (false, 1));
        latch.set(MonoTime::from_nanos(3));
        latch.clear();
        assert_eq!((view.stopped(), view.stops()), (false, 2), "a stop that nobody looked at is seen all the same");
    }
}
