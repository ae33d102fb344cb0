//! After whatever made the robot stand, a key or stick that was held all along moves nothing.

use std::time::Duration;

use waldo_protocol::time::MonoTime;

/// Without a motion being asked for so long, the operator holds nothing. Longer than a hiccup of the way, since some
/// say nothing while they rest.
const NOTHING_HELD: Duration = Duration::from_millis(500);

/// Closes for what is held at a stop, at its end, at a loss, or while the body may not move; opens when the operator asks
/// for rest, or for no motion for a while.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RestGate {
    closed: bool,
    /// Nothing was heard since the operator was lost, so that nobody knows what they hold.
    unknown: bool,
    /// When a motion was last asked for, while whatever asked for it may still be held.
    asked: Option<MonoTime>,
}

impl RestGate {
    /// What is held now does not count any more.
    pub(super) fn close(&mut self) {
        self.closed |= self.asked.is_some();
    }

    /// The operator is lost: nothing counts until they come back, and then nothing that they hold.
    pub(super) fn shut(&mut self) {
        *self = Self { closed: true, unknown: true, asked: None };
    }

    /// Something is heard of an operator who was lost.
    pub(super) fn returned(&mut self, now: MonoTime) {
        if std::mem::take(&mut self.unknown) {
            self.asked = Some(now);
        }
    }

    /// A command arrived, whether or not it counts.
    pub(super) fn heard(&mut self, moves: bool, now: MonoTime) {
        if moves {
            self.asked = Some(now);
        }
    }

    /// Whether something is held that counts only after it was let go.
    pub(super) fn waits(&self) -> bool {
        self.closed && self.asked.is_some()
    }

    /// Whether a command that counts otherwise does.
    pub(super) fn passes(&mut self, moves: bool) -> bool {
        if !moves {
            *self = Self::default();
        }
        !self.closed
    }

    /// Time goes on.
    pub(super) fn step(&mut self, now: MonoTime) {
        if self.asked.is_some_and(|asked| now.since(asked) >= NOTHING_HELD) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn what_is_held_all_along_never_counts() {
        let mut gate = RestGate::default();
        gate.heard(true, at(0));
        assert!(gate.passes(true));
        gate.close();
        for ms in (0..5000).step_by(12) {
            gate.step(at(ms));
            gate.heard(true, at(ms));
            assert!(!gate.passes(true), "after {ms} ms");
        }
        assert!(gate.passes(false));
        assert!(gate.passes(true));
    }

    #[test]
    fn who_says_nothing_holds_nothing_after_a_while() {
        let mut gate = RestGate::default();
        gate.heard(true, at(1000));
        gate.close();
        gate.step(at(1499));
        assert!(!gate.passes(true));
        gate.step(at(1500));
        assert!(gate.passes(true));
    }

    #[test]
    fn what_is_held_through_a_loss_counts_for_nothing_however_long_it_lasts() {
        let mut gate = RestGate::default();
        gate.heard(true, at(0));
        gate.shut();
        gate.step(at(9000));
        gate.returned(at(9001));
        for ms in (9001..12_000).step_by(12) {
            gate.step(at(ms));
            gate.heard(true, at(ms));
            assert!(!gate.passes(true), "after {ms} ms");
        }
        gate.step(at(12_600));
        assert!(gate.passes(true));
        gate.shut();
        assert!(gate.passes(false));
        assert!(gate.passes(true));
    }

    #[test]
    fn who_held_nothing_may_go_on_at_once() {
        let mut gate = RestGate::default();
        gate.close();
        gate.heard(true, at(0));
        assert!(gate.passes(true));
    }
}
