//! What the replies to heartbeats mean: whether the operator must count as lost, and whether the session is over.

use std::time::Duration;

use waldo_protocol::time::MonoTime;

/// Refusals in a row after which the session is over.
const LAST_REFUSAL: u32 = 5;

/// Without a good reply for so long, the robot cannot learn any more that its operator left.
const BLIND_AFTER: Duration = Duration::from_secs(5);

/// What came of one heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// 200.
    Good,
    /// 401 or 404: the broker knows the key, or the session, no longer.
    Refused,
    /// Any other answer, or none.
    Failed,
}

/// What to do after a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    GoOn,
    /// Nothing, but say it: the first of a streak.
    Tell,
    /// The session is over.
    Over,
}

/// The replies so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beats {
    refused: u32,
    failing: bool,
    good: MonoTime,
    blind: bool,
    blind_after: Duration,
}

impl Beats {
    /// Those of heartbeats that come so often.
    pub(super) fn new(now: MonoTime, period: Duration) -> Self {
        // Of beats that are meant to be rarer, one may be lost.
        let blind_after = BLIND_AFTER.max(period.mul_f64(2.5));
        Self { refused: 0, failing: false, good: now, blind: false, blind_after }
    }

    /// The broker has said something on another way.
    pub(super) fn hear(&mut self, now: MonoTime) {
        self.good = now;
    }

    /// One more.
    pub(super) fn note(&mut self, now: MonoTime, beat: Beat) -> Verdict {
        let first = match beat {
            Beat::Good => {
                (self.refused, self.failing, self.good) = (0, false, now);
                return Verdict::GoOn;
            }
            Beat::Refused => {
                self.refused += 1;
                if self.refused >= LAST_REFUSAL {
                    return Verdict::Over;
                }
                self.failing = false;
                self.refused == 1
            }
            Beat::Failed => {
                self.refused = 0;
                !std::mem::replace(&mut self.failing, true)
            }
        };
        if first { Verdict::Tell } else { Verdict::GoOn }
    }

    /// Whether the robot would not learn any more that its operator left, because the broker says nothing; none if that is
    /// as it was. `live`: what the operator sends arrives, on a way that does not lead through the broker.
    pub(super) fn look(&mut self, now: MonoTime, live: bool) -> Option<bool> {
        let blind = now.since(self.good) >= self.blind_after && !live;
        (std::mem::replace(&mut self.blind, blind) != blind).then_some(blind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: MonoTime = MonoTime::from_nanos(1_000_000_000);

    fn beats() -> Beats {
        Beats::new(START, Duration::from_secs(1))
    }

    fn at(seconds: f64) -> MonoTime {
        START + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn five_refusals_in_a_row_are_the_end_and_four_are_not() {
        let mut beats = beats();
        for _ in 0..4 {
            assert_ne!(beats.note(START, Beat::Refused), Verdict::Over);
        }
        beats.note(START, Beat::Failed);
        for _ in 0..4 {
            assert_ne!(beats.note(START, Beat::Refused), Verdict::Over);
        }
        beats.note(START, Beat::Good);
        let verdicts: Vec<_> = (0..5).map(|_| beats.note(START, Beat::Refused)).collect();
        assert_eq!(verdicts, [Verdict::Tell, Verdict::GoOn, Verdict::GoOn, Verdict::GoOn, Verdict::Over]);
    }

    #[test]
    fn a_streak_of_failures_is_told_once() {
        let mut beats = beats();
        let verdicts = [Beat::Failed, Beat::Failed, Beat::Good, Beat::Failed].map(|beat| beats.note(START, beat));
        assert_eq!(verdicts, [Verdict::Tell, Verdict::GoOn, Verdict::GoOn, Verdict::Tell]);
    }

    #[test]
    fn after_five_seconds_without_a_good_reply_the_operator_counts_no_more_until_the_next_one() {
        let mut beats = beats();
        beats.note(at(1.0), Beat::Failed);
        assert_eq!(beats.look(at(4.9), false), None);
        assert_eq!(beats.look(at(5.0), false), Some(true));
        assert_eq!(beats.look(at(6.0), false), None);
        beats.note(at(7.0), Beat::Good);
        assert_eq!(beats.look(at(7.0), false), Some(false));
        assert_eq!(beats.look(at(11.9), false), None);
        beats.hear(at(11.9));
        assert_eq!(beats.look(at(16.8), false), None);
        assert_eq!(beats.look(at(16.9), false), Some(true));
    }

    #[test]
    fn while_the_operators_own_way_is_live_nobody_is_lost() {
        let mut beats = beats();
        assert_eq!(beats.look(at(60.0), true), None);
        assert_eq!(beats.look(at(61.0), false), Some(true));
        assert_eq!(beats.look(at(62.0), true), Some(false));
    }

    #[test]
    fn beats_that_are_rarer_leave_the_broker_more_time() {
        let mut beats = Beats::new(START, Duration::from_secs(10));
        assert_eq!(beats.look(at(24.0), false), None);
        assert_eq!(beats.look(at(25.0), false), Some(true));
    }
}
