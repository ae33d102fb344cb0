//! The stop latch as this page wants it. Sans-I/O.

use waldo_protocol::vr::{HoldReason, Stop};

/// A stop that the robot does not confirm is repeated this often, once per tick of the engine: a lossy path may swallow it.
const REPEATS: u32 = 20;

/// What the operator wants, and what the robot has confirmed.
#[derive(Clone, Copy, Debug, Default)]
pub struct StopLatch {
    n: i64,
    wanted: bool,
    confirmed: bool,
    repeats: u32,
}

impl StopLatch {
    /// The operator wants everything to stand still. Returns what to send, on every path.
    pub fn press(&mut self) -> Stop {
        self.n += 1;
        (self.wanted, self.confirmed, self.repeats) = (true, false, REPEATS);
        Stop { n: Some(self.n), clear: false }
    }

    /// The operator wants to go on. Returns what to send.
    pub fn clear(&mut self) -> Stop {
        *self = Self { n: self.n + 1, ..Self::default() };
        Stop { n: Some(self.n), clear: true }
    }

    /// Another robot is wanted: the stop was not meant for it.
    pub fn forget(&mut self) {
        *self = Self { n: self.n, ..Self::default() };
    }

    /// A robot that knows stop messages was reached anew; it may have forgotten, or never heard.
    pub fn connected(&mut self) {
        if self.wanted {
            (self.confirmed, self.repeats) = (false, REPEATS);
        }
    }

    /// The robot told why it holds. Somebody else may have cleared a stop that it had confirmed.
    pub fn told(&mut self, reason: Option<HoldReason>) {
        if reason == Some(HoldReason::Stopped) {
            (self.confirmed, self.repeats) = (true, 0);
        } else if std::mem::take(&mut self.confirmed) {
            self.wanted = false;
        }
    }

    /// To be called a few times a second while a robot that knows stop messages is connected: what to repeat.
    pub fn poll(&mut self) -> Option<Stop> {
        self.repeats = self.repeats.checked_sub(1)?;
        Some(Stop { n: Some(self.n), clear: false })
    }

    /// The operator wants everything to stand still.
    pub fn wanted(&self) -> bool {
        self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_repeated_under_the_same_number_until_the_robot_confirms_it() {
        let mut latch = StopLatch::default();
        let stop = latch.press();
        assert_eq!([latch.poll(), latch.poll()], [Some(stop), Some(stop)]);
        latch.told(Some(HoldReason::Stopped));
        assert_eq!(latch.poll(), None);
        assert!(latch.wanted());
    }

    #[test]
    fn a_robot_that_never_confirms_is_not_told_for_ever() {
        let mut latch = StopLatch::default();
        latch.press();
        assert_eq!(std::iter::from_fn(|| latch.poll()).count(), 20);
        assert!(latch.wanted());
    }

    #[test]
    fn a_stop_survives_a_new_socket_until_it_is_cleared() {
        let mut latch = StopLatch::default();
        let stop = latch.press();
        latch.told(Some(HoldReason::Stopped));
        latch.connected();
        latch.told(None);
        assert_eq!(latch.poll(), Some(stop));
        let clear = latch.clear();
        assert_eq!((clear.n, clear.clear), (Some(2), true));
        latch.connected();
        assert_eq!((latch.poll(), latch.wanted()), (None, false));
    }

    #[test]
    fn another_robot_is_not_stopped_by_a_stop_that_was_not_meant_for_it() {
        let mut latch = StopLatch::default();
        latch.press();
        latch.forget();
        latch.connected();
        assert_eq!((latch.poll(), latch.wanted()), (None, false));
        assert_eq!(latch.press().n, Some(2), "numbers are never used twice");
    }

    #[test]
    fn a_stop_that_somebody_else_cleared_is_over_here_too() {
        let mut latch = StopLatch::default();
        latch.press();
        latch.told(Some(HoldReason::LinkStale));
        assert!(latch.wanted(), "not confirmed yet");
        latch.told(Some(HoldReason::Stopped));
        latch.told(None);
        assert!(!latch.wanted());
    }
}
