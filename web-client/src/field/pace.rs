//! When the next sample is due: so many per second, whatever the rate of the headset.

/// A frame that comes this much early is taken: frames come when they come.
const SLACK_MS: f64 = 2.0;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    period_ms: f64,
    next: f64,
}

impl Pace {
    /// So many per second.
    pub fn new(hz: f64) -> Self {
        Self { period_ms: 1000.0 / hz, next: f64::NEG_INFINITY }
    }

    /// Whether a sample is to be sent now; then the next one is a period later.
    pub fn is_due(&mut self, now: f64) -> bool {
        if now + SLACK_MS < self.next {
            return false;
        }
        self.next += self.period_ms;
        // What was missed in a pause is not made up for.
        if self.next < now - self.period_ms {
            self.next = now + self.period_ms;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(hz: f64, frames_hz: f64) -> usize {
        let mut pace = Pace::new(hz);
        let frames = (10.0 * frames_hz) as usize;
        (0..frames).filter(|frame| pace.is_due(*frame as f64 * 1000.0 / frames_hz)).count()
    }

    #[test]
    fn the_rate_is_kept_at_any_frame_rate_that_allows_it() {
        for (hz, frames) in [(30.0, 90.0), (30.0, 72.0), (30.0, 120.0), (90.0, 90.0), (60.0, 72.0), (1.0, 90.0)] {
            let sent = sent(hz, frames) as f64 / 10.0;
            assert!((sent - hz).abs() <= 0.03 * hz + 0.1, "{hz} of {frames}: {sent}");
        }
    }

    #[test]
    fn a_slower_headset_sends_with_every_frame() {
        assert_eq!(sent(90.0, 72.0), 720);
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut pace = Pace::new(30.0);
        assert!(pace.is_due(0.0));
        assert!(pace.is_due(5000.0));
        assert!(!pace.is_due(5005.0));
    }
}
