//! The compatible rendering: a Gaussian mean around the playout time, without outliers and untracked frames.

use std::time::Duration;

use glam::{DQuat, DVec3};

use super::RenderedHand;
use super::buffer::{Buffer, HandSample, MAX_FRAMES, Sample};
use crate::geometry::Pose;

/// Half the range of frames that count, in windows.
const HALF_RANGE: f64 = 1.25;

/// Standard deviation of the Gaussian, in windows.
const SIGMA: f64 = 0.25;

/// Standard deviation of normally distributed values, in medians of their absolute deviation.
const DEVIATIONS: f64 = 1.4826;

/// What lies closer than this to the median, in metres, is never an outlier.
const LEAST_THRESHOLD: f64 = 0.02;

/// One hand at the playout time; none only of an empty buffer.
pub(super) fn render(
    buffer: &Buffer,
    side: usize,
    playout: f64,
    window: Duration,
    outlier_k: f64,
) -> Option<RenderedHand> {
    let window = window.as_secs_f64();
    let range = buffer.between(playout - window * HALF_RANGE, playout + window * HALF_RANGE);
    if range.len() < 3 || window <= 0.0 {
        return between_neighbours(buffer, side, playout);
    }
    let weigh = |s: &Sample| {
        let deviation = (s.captured - playout) / (window * SIGMA);
        (-0.5 * deviation * deviation).exp()
    };
    // A trigger needs no tracking: every frame counts.
    let weights: f64 = range.clone().map(weigh).sum();
    let grip = range.clone().map(|s| weigh(s) * s.hands[side].grip).sum::<f64>() / weights;
    let grip = grip.clamp(0.0, 1.0);

    let tracked = range.clone().any(|s| s.hands[side].tracked);
    if !tracked && buffer.last_tracked(side, playout).is_some() {
        let untracked = range.clone().next()?.hands[side];
        return Some(buffer.held(side, playout, HandSample { grip, ..untracked }));
    }
    // A hand that was never tracked is followed all the same, and told to be untracked.
    let counted = range.filter(|s| s.hands[side].tracked || !tracked).map(|s| (weigh(s), &s.hands[side]));
    let HandSample { pose, elbow, .. } = mean_of_inliers(counted, outlier_k)?;
    Some(RenderedHand::new(HandSample { pose, elbow, grip, tracked }))
}

/// On the straight line between the frames before and after, or where the only one of them is.
fn between_neighbours(buffer: &Buffer, side: usize, playout: f64) -> Option<RenderedHand> {
    let (before, after) = buffer.neighbours(playout);
    let (Some(before), Some(after)) = (before, after) else {
        return Some(buffer.latest_of(side, playout, before.or(after)?.hands[side]));
    };
    let (a, b) = (before.hands[side], after.hands[side]);
    let part = before.part(after, playout);
    let grip = a.grip + (b.grip - a.grip) * part;
    let sample = match (a.tracked, b.tracked) {
        (true, false) => HandSample { grip, ..a },
        (false, true) => HandSample { grip, ..b },
        (false, false) if buffer.last_tracked(side, playout).is_some() => {
            return Some(buffer.held(side, playout, HandSample { grip, ..a }));
        }
        (tracked, _) => {
            let position = a.pose.position().lerp(b.pose.position(), part);
            let orientation = a.pose.orientation().slerp(b.pose.orientation(), part);
            let pose = Pose::new(position, orientation).unwrap_or(b.pose);
            HandSample { pose, elbow: a.elbow.lerp(b.elbow, part), grip, tracked }
        }
    };
    Some(RenderedHand::new(sample))
}

/// The weighted mean of those frames of which neither hand nor elbow is an outlier; none only of no frames.
fn mean_of_inliers<'a>(
    frames: impl Iterator<Item = (f64, &'a HandSample)> + Clone,
    outlier_k: f64,
) -> Option<HandSample> {
    let hands = frames.clone().map(|(_, h)| h.pose.position());
    let elbows = frames.clone().map(|(_, h)| h.elbow);
    if outlier_k > 0.0 && hands.clone().nth(2).is_some() {
        let (hand, elbow) = (Crowd::of(hands, outlier_k), Crowd::of(elbows, outlier_k));
        let inliers = frames.clone().filter(|(_, h)| hand.holds(h.pose.position()) && elbow.holds(h.elbow));
        if inliers.clone().nth(1).is_some() {
            return weighted_mean(inliers);
        }
    }
    weighted_mean(frames)
}

fn weighted_mean<'a>(frames: impl Iterator<Item = (f64, &'a HandSample)> + Clone) -> Option<HandSample> {
    let (_, heaviest) = frames.clone().max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    let reference = heaviest.pose.orientation();
    let mut weights = 0.0;
    let (mut position, mut elbow) = (DVec3::ZERO, DVec3::ZERO);
    let mut orientation = DQuat::from_array([0.0; 4]);
    for (weight, hand) in frames {
        weights += weight;
        position += hand.pose.position() * weight;
        elbow += hand.elbow * weight;
        let q = hand.pose.orientation();
        orientation += q * if q.dot(reference) < 0.0 { -weight } else { weight };
    }
    // A mean of valid poses is one, but for the last digit at the very edge of the range.
    let pose = Pose::new(position / weights, orientation).unwrap_or(heaviest.pose);
    Some(HandSample { pose, elbow: elbow / weights, ..*heaviest })
}

/// Where most of some points are.
struct Crowd {
    median: DVec3,
    reach: f64,
}

impl Crowd {
    fn of(points: impl Iterator<Item = DVec3> + Clone, outlier_k: f64) -> Self {
        let mut room = [0.0; MAX_FRAMES];
        let mut median_of = |value: &dyn Fn(DVec3) -> f64| median(&mut room, points.clone().map(value));
        let median = DVec3::new(median_of(&|p| p.x), median_of(&|p| p.y), median_of(&|p| p.z));
        let deviation = median_of(&|p| p.distance(median));
        Self { median, reach: (outlier_k * DEVIATIONS * deviation).max(LEAST_THRESHOLD) }
    }

    fn holds(&self, point: DVec3) -> bool {
        point.distance(self.median) <= self.reach
    }
}

/// The middle one of at most [`MAX_FRAMES`] values, the upper of two; `room` is for sorting.
fn median(room: &mut [f64; MAX_FRAMES], values: impl Iterator<Item = f64>) -> f64 {
    let mut len = 0;
    for (place, value) in room.iter_mut().zip(values) {
        *place = value;
        len += 1;
    }
    let values = &mut room[..len];
    if values.is_empty() {
        return 0.0;
    }
    *values.select_nth_unstable_by(len / 2, f64::total_cmp).1
}
