//! How the poses of one stream travel.

use std::collections::VecDeque;
use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Health, VrFrame};

/// How long a frame is remembered, to tell that two sockets carry the same ones.
const REMEMBERED: Duration = Duration::from_secs(2);

/// Frames remembered at most.
const MOST: usize = 512;

/// A step of the counter beyond this is no loss but another counter.
const LARGEST_LOSS: i64 = 10_000;

/// What is counted of one stream.
#[derive(Debug, Default)]
pub(super) struct Travel {
    /// `seq` and `t` of the frames accepted last, oldest first, and when they came.
    recent: VecDeque<(MonoTime, i64, f64)>,
    newest: Option<MonoTime>,
    gap: Duration,
    accepted: u64,
    lost: u64,
    repeated: u64,
    reported: Option<MonoTime>,
}

impl Travel {
    /// A frame came that did not count.
    pub(super) fn repeated(&mut self) {
        self.repeated += 1;
    }

    /// A frame was accepted; `highest` is the highest counter before it.
    pub(super) fn accepted(&mut self, now: MonoTime, frame: &VrFrame, highest: Option<i64>) {
        self.accepted += 1;
        if let Some(newest) = self.newest {
            self.gap = self.gap.max(now.since(newest));
        }
        self.newest = Some(now);
        if let (Some(seq), Some(highest)) = (frame.seq, highest) {
            let missing = seq.saturating_sub(highest).saturating_sub(1);
            if (0..=LARGEST_LOSS).contains(&missing) {
                self.lost += missing.unsigned_abs();
            }
        }
        if let (Some(seq), Some(t)) = (frame.seq, frame.t) {
            while self.recent.len() >= MOST || self.recent.front().is_some_and(|(at, ..)| now.since(*at) > REMEMBERED) {
                self.recent.pop_front();
            }
            self.recent.push_back((now, seq, t));
        }
    }

    /// Whether a frame with these two values was accepted of late.
    #[expect(clippy::float_cmp, reason = "a copy of the same frame has the same bits")]
    pub(super) fn carried(&self, now: MonoTime, seq: i64, t: f64) -> bool {
        let same = |(at, s, other): &(MonoTime, i64, f64)| *s == seq && *other == t && now.since(*at) <= REMEMBERED;
        self.recent.iter().rev().any(same)
    }

    /// What happened since the last report.
    pub(super) fn report(&mut self, now: MonoTime) -> Health {
        let since = self.reported.replace(now).map(|then| now.since(then).as_secs_f64()).filter(|s| *s > 0.0);
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        let age = self.newest.map(|newest| now.since(newest));
        let accepted = std::mem::take(&mut self.accepted);
        let gap = std::mem::take(&mut self.gap);
        Health {
            pose_hz: since.map_or(0.0, |seconds| accepted as f64 / seconds),
            pose_age_ms: age.map(millis),
            gap_ms: millis(gap.max(age.unwrap_or_default())),
            lost: self.lost,
            duplicates: self.repeated,
            ..Health::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::frame;

    #[test]
    fn gaps_losses_and_copies_are_counted() {
        let mut travel = Travel::default();
        let at = |ms: u64| MonoTime::from_nanos(ms * 1_000_000);
        travel.report(at(0));
        let mut highest = None;
        for (ms, seq) in [(10, 1), (20, 2), (80, 5), (90, 6)] {
            let frame = VrFrame { seq: Some(seq), ..frame() };
            travel.accepted(at(ms), &frame, highest);
            highest = Some(seq);
        }
        travel.repeated();
        let health = travel.report(at(100));
        assert_eq!((health.pose_hz, health.pose_age_ms, health.gap_ms), (40.0, Some(10.0), 60.0));
        assert_eq!((health.lost, health.duplicates), (2, 1));
        assert_eq!(travel.report(at(300)).gap_ms, 210.0, "a silence that lasts");
        travel.accepted(at(310), &VrFrame { seq: Some(1_000_000), ..frame() }, highest);
        assert_eq!(travel.report(at(311)).lost, 2, "another counter is no loss");
    }
}
