//! A fixed schedule, so that what is done regularly keeps its rate however long one turn takes.

use std::time::Duration;

use waldo_protocol::time::MonoTime;

/// Turns at equal distances. Who falls behind catches up a bounded number of them and lets the others be.
#[derive(Debug)]
pub(super) struct Schedule {
    period: Duration,
    catch_up: u32,
    begin: MonoTime,
    /// Turns since `begin` that are over, those that were left out included.
    over: u64,
}

impl Schedule {
    /// `rate` turns per second from `now` on, at most `catch_up` of them at once.
    pub(super) fn new(now: MonoTime, rate: u32, catch_up: u32) -> Self {
        Self { period: Duration::from_secs(1) / rate, catch_up, begin: now, over: 0 }
    }

    fn at(&self, turn: u64) -> MonoTime {
        let nanos = u128::from(turn) * self.period.as_nanos();
        self.begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When the next turn is due.
    pub(super) fn next(&self) -> MonoTime {
        self.at(self.over + 1)
    }

    /// Turns that are due now, and how many more were left out.
    pub(super) fn due(&mut self, now: MonoTime) -> Due {
        let passed = now.since(self.begin).as_nanos() / self.period.as_nanos().max(1);
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        let behind = passed.saturating_sub(self.over);
        let turns = u32::try_from(behind).unwrap_or(u32::MAX).min(self.catch_up);
        self.over = passed.max(self.over);
        Due { turns, left_out: behind - u64::from(turns) }
    }
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Turns to take now.
    pub(super) turns: u32,
    /// Turns that nobody takes any more.
    pub(super) left_out: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_nanos(1_000_000_000 + millis * 1_000_000)
    }

    #[test]
    fn turns_that_take_their_time_do_not_lower_the_rate() {
        let mut schedule = Schedule::new(at(0), 200, 5);
        let (mut now, mut turns) = (at(0), 0);
        while now < at(2000) {
            // Each turn begins when it is due and takes 4 ms.
            now = schedule.next();
            turns += schedule.due(now).turns;
            now = now + Duration::from_millis(4);
        }
        assert_eq!(turns, 400);
    }

    #[test]
    fn who_falls_behind_catches_up_five_turns_at_most() {
        let mut schedule = Schedule::new(at(0), 200, 5);
        assert_eq!(schedule.due(at(4)), Due { turns: 0, left_out: 0 });
        assert_eq!(schedule.due(at(21)), Due { turns: 4, left_out: 0 });
        assert_eq!(schedule.due(at(121)), Due { turns: 5, left_out: 15 });
        assert_eq!(schedule.next(), at(125), "the schedule itself stays");
    }

    #[test]
    fn seventy_two_turns_are_a_second() {
        let mut schedule = Schedule::new(at(0), 72, 1);
        let mut turns = 0;
        while schedule.next() <= at(60_000) {
            turns += schedule.due(schedule.next()).turns;
        }
        assert!((72 * 60 - 1..=72 * 60).contains(&turns), "{turns}");
    }
}
