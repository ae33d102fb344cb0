//! When a robot dials its broker again.

use std::time::Duration;

/// Seconds to wait, one after the other; then always the last.
const WAITS: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 15.0, 30.0];

/// A key that was refused is not likely to be good a second later.
const REFUSED: Duration = Duration::from_secs(60);

/// So much longer or shorter, so that robots whose broker was away do not all come at once.
const SPREAD: f64 = 0.2;

/// The attempts since the last connection that stood.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Redial(usize);

impl Redial {
    /// A connection stands.
    pub(super) fn stood(&mut self) {
        self.0 = 0;
    }

    /// How long to wait before the next attempt; `chance` is from 0 to 1.
    pub(super) fn wait(&mut self, refused: bool, chance: f64) -> Duration {
        let wait = WAITS[self.0.min(WAITS.len() - 1)];
        self.0 = (self.0 + 1).min(WAITS.len() - 1);
        if refused {
            return REFUSED;
        }
        Duration::from_secs_f64(wait * (1.0 + SPREAD * (2.0 * chance.clamp(0.0, 1.0) - 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_and_begin_anew_after_one_that_stood() {
        let mut redial = Redial::default();
        let waits: Vec<_> = (0..8).map(|_| redial.wait(false, 0.5).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 15, 30, 30, 30]);
        redial.stood();
        assert_eq!(redial.wait(false, 0.0), Duration::from_millis(800));
        assert_eq!(redial.wait(false, 1.0), Duration::from_millis(2400));
        assert_eq!(redial.wait(true, 0.5), Duration::from_secs(60));
    }
}
