//! When to try again after the way to the robot broke. Sans-I/O; times are milliseconds of any monotonic clock.

/// Pause before each attempt; the last one is repeated.
pub const PAUSES_MS: [f64; 4] = [500.0, 1000.0, 2000.0, 4000.0];

/// The attempts to come back to a robot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    attempts: usize,
    due: Option<f64>,
}

impl Backoff {
    /// The way broke, or an attempt to mend it failed.
    pub fn failed(&mut self, now: f64) {
        let pause = PAUSES_MS[self.attempts.min(PAUSES_MS.len() - 1)];
        self.attempts = self.attempts.saturating_add(1);
        self.due = Some(now + pause);
    }

    /// Whether to try now; true once for every failure.
    pub fn poll(&mut self, now: f64) -> bool {
        let due = self.due.is_some_and(|due| now >= due);
        if due {
            self.due = None;
        }
        due
    }

    /// Attempts since the way last stood.
    pub fn attempts(&self) -> usize {
        self.attempts
    }

    /// The way stands, or nobody wants it any more.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_come_after_half_a_second_then_one_two_and_four() {
        let mut backoff = Backoff::default();
        let mut at = 0.0;
        for pause in [500.0, 1000.0, 2000.0, 4000.0, 4000.0] {
            backoff.failed(at);
            assert!(!backoff.poll(at + pause - 1.0));
            at += pause;
            assert!(backoff.poll(at));
            assert!(!backoff.poll(at + 1e6), "one attempt for each failure");
        }
        backoff.reset();
        backoff.failed(0.0);
        assert!(backoff.poll(500.0));
    }
}
