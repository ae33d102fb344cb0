//! So many per second, and so many at once.

use waldo_protocol::time::MonoTime;

/// A token bucket, full at the start.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    rate: f64,
    full: f64,
    tokens: f64,
    filled: Option<MonoTime>,
}

impl Bucket {
    /// `rate` per second, `burst` at once.
    pub(crate) const fn new(rate: f64, burst: f64) -> Self {
        Self { rate, full: burst, tokens: burst, filled: None }
    }

    /// Whether one more may pass now; if so, it counts.
    pub(crate) fn take(&mut self, now: MonoTime) -> bool {
        let passed = self.filled.replace(now).map_or(0.0, |filled| now.since(filled).as_secs_f64());
        self.tokens = (self.tokens + passed * self.rate).min(self.full);
        let passes = self.tokens >= 1.0;
        if passes {
            self.tokens -= 1.0;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_the_burst_and_the_rate() {
        let mut bucket = Bucket::new(30.0, 60.0);
        let passed = (0..10_000).filter(|n| bucket.take(MonoTime::from_nanos(n * 100_000))).count();
        assert_eq!(passed, 89, "60 at once, 29 in the rest of the second");
    }

    #[test]
    fn what_was_saved_up_is_bounded() {
        let mut bucket = Bucket::new(5.0, 5.0);
        assert!((0..5).all(|_| bucket.take(MonoTime::from_nanos(1))));
        let later = MonoTime::from_nanos(1_000_000_000_000);
        assert_eq!((0..100).filter(|_| bucket.take(later)).count(), 5);
    }
}
