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
}

impl Beats {
    pub(super) fn new(now: MonoTime) -> Self {
        Self { refused: 0, failing: false, good: now, blind: false }
    }

    /// One more.
    pub(super) fn note(&mut self, now: MonoTime, beat: Beat) -> Verdict {
        let first = match beat {
            Beat::Good => {
                *self = Self::new(now);
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

    /// Whether the operator counts as lost from now on because the broker says nothing; true once per silence. `live`:
    /// whether what the operator sends arrives, on a way that does not lead through the broker.
    pub(super) fn goes_blind(&mut self, now: MonoTime, live: bool) -> bool {
        if now.since(self.good) < BLIND_AFTER || live {
            return false;
        }
        !std::mem::replace(&mut self.blind, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: MonoTime = MonoTime::from_nanos(1_000_000_000);

    fn at(seconds: f64) -> MonoTime {
        START + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn five_refusals_in_a_row_are_the_end_and_four_are_not() {
        let mut beats = Beats::new(START);
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
        let mut beats = Beats::new(START);
        let verdicts = [Beat::Failed, Beat::Failed, Beat::Good, Beat::Failed].map(|beat| beats.note(START, beat));
        assert_eq!(verdicts, [Verdict::Tell, Verdict::GoOn, Verdict::GoOn, Verdict::Tell]);
    }

    #[test]
    fn after_five_seconds_without_a_good_reply_the_operator_is_lost_once() {
        let mut beats = Beats::new(START);
        beats.note(at(1.0), Beat::Failed);
        assert!(!beats.goes_blind(at(4.9), false));
        assert!(beats.goes_blind(at(5.0), false));
        assert!(!beats.goes_blind(at(6.0), false));
        beats.note(at(7.0), Beat::Good);
        assert!(!beats.goes_blind(at(11.9), false));
        assert!(beats.goes_blind(at(12.0), false));
    }

    #[test]
    fn while_the_operators_own_way_is_live_nobody_is_lost() {
        let mut beats = Beats::new(START);
        assert!(!beats.goes_blind(at(60.0), true));
        assert!(beats.goes_blind(at(61.0), false));
    }
}
