//! What a feed's pictures cost and how fresh they are.

use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::VideoHealth;

/// Counts what is delivered between two reports.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    pictures: u32,
    bytes: usize,
    encoding: Duration,
    newest: Option<MonoTime>,
    reported: Option<MonoTime>,
}

impl Delivered {
    /// A picture, in any codec; `took` is the time to encode it.
    pub(super) fn count(&mut self, bytes: usize, captured: MonoTime, took: Duration) {
        self.pictures += 1;
        self.bytes += bytes;
        self.encoding += took;
        self.newest = Some(captured);
    }

    /// What was counted since the last report.
    pub(super) fn report(&mut self, now: MonoTime) -> VideoHealth {
        let since = self.reported.map(|then| now.since(then).as_secs_f64()).filter(|seconds| *seconds > 0.0);
        let counted = std::mem::take(self);
        (self.newest, self.reported) = (counted.newest, Some(now));
        let per_second = |count: f64| since.map_or(0.0, |seconds| count / seconds);
        VideoHealth {
            fps: per_second(counted.pictures.into()),
            age_ms: counted.newest.map(|newest| now.since(newest).as_secs_f64() * 1e3),
            kbps: per_second(counted.bytes as f64 * 8e-3),
            encode_ms: counted.encoding.as_secs_f64() * 1e3 / f64::from(counted.pictures.max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_report_is_about_the_time_since_the_last_one() {
        let at = |ms: u64| MonoTime::from_nanos(ms * 1_000_000);
        let mut delivered = Delivered::default();
        assert_eq!(delivered.report(at(0)), VideoHealth::default());
        for n in 0..15 {
            delivered.count(1000, at(n * 33), Duration::from_millis(4));
        }
        let health = delivered.report(at(500));
        assert_eq!((health.fps, health.age_ms, health.kbps, health.encode_ms), (30.0, Some(38.0), 240.0, 4.0));
        let still = delivered.report(at(1000));
        assert_eq!((still.fps, still.age_ms, still.encode_ms), (0.0, Some(538.0), 0.0));
    }
}
