//! The frames of one stream around its playout time.

use std::collections::VecDeque;

use glam::DVec3;

use super::super::frame::Controller;
use super::{RenderedHand, duration};
use crate::geometry::{LocalFloor, Pose};

/// Frames kept at once.
pub(super) const MAX_FRAMES: usize = 512;

/// What lies farther behind the playout time is forgotten, in seconds.
const KEPT_BEHIND: f64 = 0.5;

/// What playout needs of one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Capture time in seconds of the stream's clock; arrival if the stream has none.
    pub(super) captured: f64,
    pub(super) hands: [HandSample; 2],
}

impl Sample {
    /// How far a time is on the way from this frame to a later one, 0 to 1.
    pub(super) fn part(&self, later: &Self, time: f64) -> f64 {
        ((time - self.captured) / (later.captured - self.captured)).clamp(0.0, 1.0)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct HandSample {
    pub(super) pose: Pose<LocalFloor>,
    pub(super) elbow: DVec3,
    pub(super) grip: f64,
    pub(super) tracked: bool,
}

impl HandSample {
    pub(super) fn new(controller: &Controller) -> Self {
        let Controller { pose, elbow, grip, tracked, .. } = *controller;
        Self { pose, elbow, grip, tracked }
    }
}

/// Frames by capture time, no two of the same time.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer {
    samples: VecDeque<Sample>,
    /// Where each hand was tracked last before the oldest frame that is left, and when.
    tracked: [Option<(f64, HandSample)>; 2],
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Puts a frame in its place; one of the same capture time is replaced.
    pub(super) fn insert(&mut self, sample: Sample) {
        let at = self.first_after(sample.captured);
        if let Some(same) = at.checked_sub(1).and_then(|i| self.samples.get_mut(i))
            && same.captured >= sample.captured
        {
            *same = sample;
            return;
        }
        self.samples.insert(at, sample);
        if self.samples.len() > MAX_FRAMES {
            self.drop_oldest();
        }
    }

    /// Drops what is too old for this playout time and later ones; one frame always stays.
    pub(super) fn forget_before(&mut self, playout: f64) {
        while self.samples.len() > 1 && self.samples.front().is_some_and(|s| s.captured < playout - KEPT_BEHIND) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.samples.pop_front() else { return };
        for (tracked, hand) in self.tracked.iter_mut().zip(oldest.hands) {
            if hand.tracked {
                *tracked = Some((oldest.captured, hand));
            }
        }
    }

    /// The place of the first frame after this time.
    fn first_after(&self, time: f64) -> usize {
        self.samples.partition_point(|s| s.captured <= time)
    }

    /// The frames from one time to another, both included.
    pub(super) fn between(&self, from: f64, to: f64) -> impl ExactSizeIterator<Item = &Sample> + Clone {
        let first = self.samples.partition_point(|s| s.captured < from);
        self.samples.range(first..self.first_after(to).max(first))
    }

    /// The last frame not after a time, and the first one after it.
    pub(super) fn neighbours(&self, time: f64) -> (Option<&Sample>, Option<&Sample>) {
        let after = self.first_after(time);
        (after.checked_sub(1).and_then(|before| self.samples.get(before)), self.samples.get(after))
    }

    /// When and where a hand was tracked last, as known at this time.
    pub(super) fn last_tracked(&self, side: usize, time: f64) -> Option<(f64, HandSample)> {
        let seen = self.samples.range(..self.first_after(time)).rev();
        let seen = seen.map(|s| (s.captured, s.hands[side])).find(|(_, hand)| hand.tracked);
        seen.or(self.tracked[side])
    }

    /// A hand without smoothing: as it is in the latest frame, or where it was tracked last.
    pub(super) fn latest_of(&self, side: usize, time: f64, latest: HandSample) -> RenderedHand {
        if latest.tracked { RenderedHand::new(latest) } else { self.held(side, time, latest) }
    }

    /// A hand that is not tracked, with its own grip: held where it was tracked last; if it never was, as it is.
    pub(super) fn held(&self, side: usize, time: f64, untracked: HandSample) -> RenderedHand {
        match self.last_tracked(side, time) {
            None => RenderedHand::new(untracked),
            Some((captured, HandSample { pose, elbow, .. })) => {
                let sample = HandSample { pose, elbow, grip: untracked.grip, tracked: false };
                RenderedHand { sample, held: Some(duration(time - captured)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(captured: f64, tracked: bool) -> Sample {
        let hand = HandSample { pose: Pose::IDENTITY, elbow: DVec3::ZERO, grip: 1.0, tracked };
        Sample { captured, hands: [hand; 2] }
    }

    #[test]
    fn the_oldest_frames_make_room_and_where_a_hand_was_tracked_stays_known() {
        let mut buffer = Buffer::default();
        for i in 0..2000 {
            buffer.insert(sample(f64::from(i), i == 700));
            assert!(buffer.len() <= MAX_FRAMES);
        }
        assert_eq!(buffer.last_tracked(0, 2000.0).map(|(captured, _)| captured), Some(700.0));
        buffer.forget_before(1e6);
        assert_eq!(buffer.len(), 1);
    }

    #[test]
    fn frames_are_sorted_and_one_of_the_same_time_is_replaced() {
        let mut buffer = Buffer::default();
        for (captured, tracked) in [(3.0, true), (1.0, true), (2.0, false), (2.0, true)] {
            buffer.insert(sample(captured, tracked));
        }
        let times: Vec<f64> = buffer.between(1.0, 3.0).map(|s| s.captured).collect();
        assert_eq!(times, [1.0, 2.0, 3.0]);
        assert_eq!(buffer.last_tracked(1, 2.5).map(|(captured, _)| captured), Some(2.0));
        assert_eq!(buffer.between(2.5, 2.4).len(), 0);
    }
}
