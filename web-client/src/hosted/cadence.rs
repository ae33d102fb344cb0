//! Which twists are sent, and when. Sans-I/O; times are milliseconds of any monotonic clock.

use waldo_protocol::hosted::Velocities;

/// Period of commands while something moves.
pub const PERIOD_MS: f64 = 12.5;
/// Period of zeros while nothing does, where zeros are sent at all: they keep the dead-man of a base quiet.
pub const KEEP_ALIVE_MS: f64 = 100.0;

/// Decides for one kind of twist.
#[derive(Clone, Copy, Debug)]
pub struct Cadence {
    keep_alive: bool,
    moving: bool,
    blocked: bool,
    sent_at: f64,
}

impl Cadence {
    /// Of a base driven from the desk: zeros are repeated, ten times a second.
    pub fn with_keep_alive() -> Self {
        Self { keep_alive: true, ..Self::moving_only() }
    }

    /// Of everything else: nothing is sent while nothing moves.
    pub fn moving_only() -> Self {
        Self { keep_alive: false, moving: false, blocked: true, sent_at: f64::NEG_INFINITY }
    }

    /// The twist to send now, if any. `allowed`: the operator may move the robot, and sees it.
    ///
    /// When motion ends, and when it is not allowed any more, exactly one zero is sent.
    pub fn next(&mut self, wanted: Velocities, allowed: bool, now: f64) -> Option<Velocities> {
        let moves = wanted.iter().any(|value| *value != 0.0);
        let send = if allowed {
            let due = now - self.sent_at;
            // Timers come a little early or late; a period that is nearly over is over.
            let slack = 1.0;
            match (moves, self.moving) {
                (true, _) => (due >= PERIOD_MS - slack).then_some(wanted),
                (false, true) => Some([0.0; 6]),
                (false, false) => (self.keep_alive && due >= KEEP_ALIVE_MS - slack).then_some([0.0; 6]),
            }
        } else {
            (self.moving || !self.blocked).then_some([0.0; 6]).filter(|_| self.moving || self.keep_alive)
        };
        self.blocked = !allowed;
        if let Some(twist) = send {
            self.moving = twist.iter().any(|value| *value != 0.0);
            self.sent_at = now;
        }
        send
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AHEAD: Velocities = [0.5, 0.0, 0.0, 0.0, 0.0, 0.0];
    const STILL: Velocities = [0.0; 6];

    /// What is sent within a second of ticks that come every millisecond.
    fn second(cadence: &mut Cadence, wanted: Velocities, allowed: bool, from: f64) -> Vec<Velocities> {
        (0..1000).filter_map(|ms| cadence.next(wanted, allowed, from + f64::from(ms))).collect()
    }

    #[test]
    fn motion_is_sent_eighty_times_a_second_and_ends_with_one_zero() {
        let mut cadence = Cadence::moving_only();
        let moving = second(&mut cadence, AHEAD, true, 0.0).len();
        assert!((80..=87).contains(&moving), "{moving}");
        assert_eq!(second(&mut cadence, STILL, true, 1000.0), [STILL]);
    }

    #[test]
    fn a_base_that_stands_hears_ten_zeros_a_second() {
        let mut cadence = Cadence::with_keep_alive();
        let zeros = second(&mut cadence, STILL, true, 0.0);
        assert!((10..=11).contains(&zeros.len()) && zeros.iter().all(|twist| *twist == STILL));
    }

    #[test]
    fn whoever_may_not_drive_any_more_sends_one_zero_and_then_nothing() {
        for mut cadence in [Cadence::with_keep_alive(), Cadence::moving_only()] {
            assert!(!second(&mut cadence, AHEAD, true, 0.0).is_empty());
            assert_eq!(second(&mut cadence, AHEAD, false, 1000.0), [STILL]);
            assert_eq!(second(&mut cadence, AHEAD, false, 2000.0), [STILL; 0]);
        }
        assert_eq!(second(&mut Cadence::with_keep_alive(), AHEAD, false, 0.0), [STILL; 0], "who never drove");
    }
}
