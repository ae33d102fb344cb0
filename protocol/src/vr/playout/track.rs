//! One point of a hand as far as it is believed: jumps that no person makes are not.

use std::collections::VecDeque;

use glam::{DQuat, DVec3};

use crate::geometry::valid_orientation;

/// Believed frames kept at once, and for how long, in seconds: the longest delay, and what is smoothed over.
const MAX_BELIEVED: usize = 128;
const KEPT: f64 = 0.3;

/// Doubtful frames kept at once; more than are needed before they are believed.
const MAX_DOUBTED: usize = 16;

/// What lasts for this many frames and longer than this, in seconds, or longer than the limit, is no glitch. Eight
/// frames at 90 Hz are.
const GLITCH_FRAMES: usize = 8;
const GLITCH: f64 = 0.0945;
const GLITCH_LIMIT: f64 = 0.15;

/// What a person may do beside going on or stopping, in metres of noise, metres per square second and, where no speed is
/// known or many frames are missing, metres per second. Arms reach 50 m/s² with effort.
const NOISE: f64 = 0.02;
const ACCELERATION: f64 = 150.0;
const SPEED: f64 = 8.0;

/// A velocity is taken from frames at least, and at most, so many seconds apart.
const VELOCITY_SPAN: std::ops::RangeInclusive<f64> = 0.005..=0.05;

/// How far from where it was last believed a point may come back after a glitch, in metres: always, and at most.
const RETURN: f64 = 0.03;
const RETURN_LIMIT: f64 = 0.3;

/// The last seconds of motion that tell how far a hand may move unseen within as many.
const RECENT: f64 = 0.1;

/// Half the width of the smoothing kernel, in seconds.
const HALF_KERNEL: f64 = 0.036;

/// A point and, for a hand, its orientation, at a capture time in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) captured: f64,
    pub(super) position: DVec3,
    pub(super) orientation: DQuat,
}

/// The believed frames of one point, and those that are in doubt since.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    believed: VecDeque<Seen>,
    /// The doubted frames since the last one that fitted no other.
    doubted: VecDeque<Seen>,
    doubts: usize,
}

impl Track {
    /// Begins anew at a frame.
    pub(super) fn restart(&mut self, seen: Seen) {
        self.believed.clear();
        self.believe(seen);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.believed.is_empty()
    }

    /// Takes a frame; one that is not newer than all before says nothing. Without `doubt` every other is believed.
    pub(super) fn add(&mut self, seen: Seen, doubt: bool) {
        let Some(last) = self.believed.back() else { return self.believe(seen) };
        let newest = self.doubted.back().unwrap_or(last);
        if seen.captured <= newest.captured {
            return;
        }
        let unbelieved = seen.captured - last.captured;
        let fits = |frames| Motion::of(frames).is_some_and(|motion| motion.leads_to(&seen));
        if self.doubts == 0 {
            if !doubt || fits(&self.believed) {
                return self.believe(seen);
            }
        } else {
            let continues = fits(&self.doubted);
            if self.returns(&seen, continues) {
                return self.believe(seen);
            }
            if !continues {
                self.doubted.clear();
            }
        }
        self.doubts += 1;
        if self.doubted.len() == MAX_DOUBTED {
            self.doubted.pop_front();
        }
        self.doubted.push_back(seen);
        if (self.doubts > GLITCH_FRAMES && unbelieved > GLITCH) || unbelieved > GLITCH_LIMIT {
            self.believed.clear();
            self.believed.append(&mut self.doubted);
            self.doubts = 0;
        }
    }

    fn believe(&mut self, seen: Seen) {
        self.doubted.clear();
        self.doubts = 0;
        let old = |first: &Seen| first.captured < seen.captured - KEPT;
        if self.believed.len() == MAX_BELIEVED || self.believed.front().is_some_and(old) {
            self.believed.pop_front();
        }
        self.believed.push_back(seen);
    }

    /// Whether a frame is the end of a glitch: near where the point must be by now, and not a part of the glitch.
    fn returns(&self, seen: &Seen, continues: bool) -> bool {
        let Some(motion) = Motion::of(&self.believed) else { return false };
        let (off, unseen) = (motion.distance(seen), seen.captured - motion.last.captured);
        let recent = self.believed.iter().rev().take_while(|s| motion.last.captured - s.captured <= RECENT);
        let spread = recent.map(|s| s.position.distance(motion.last.position)).fold(0.0, f64::max);
        let reach = (RETURN + 2.0 * spread * unseen / RECENT).min(RETURN_LIMIT);
        off <= RETURN || (!continues && off <= reach)
    }

    /// Where the point was at a time, smoothed; before the first and after the last believed frame, as it was there.
    ///
    /// A local straight line, weighted by closeness, so that smoothing costs no lag and a steady motion comes out as it
    /// is however few of the frames lie ahead. Continuous in time. None only before the first frame.
    pub(super) fn at(&self, time: f64) -> Option<Seen> {
        let (first, last) = (self.believed.front()?, self.believed.back()?);
        let time = time.clamp(first.captured, last.captured);
        let after = self.believed.partition_point(|s| s.captured <= time);
        let before = &self.believed[after.max(1) - 1];
        let nearest_ahead = self.believed.get(after).unwrap_or(last);
        // Wide enough that a gap has frames on both of its sides.
        let widest = (time - before.captured).max(nearest_ahead.captured - time);
        let half = HALF_KERNEL.max(1.2 * widest);

        let mut line = Line::default();
        for seen in self.believed.iter().skip_while(|s| s.captured <= time - half) {
            let distance = seen.captured - time;
            if distance >= half {
                break;
            }
            let weight = (1.0 - (distance / half).powi(2)).powi(2);
            let opposite = seen.orientation.dot(before.orientation) < 0.0;
            let orientation = if opposite { -seen.orientation } else { seen.orientation };
            line.add(weight, distance, seen.position, orientation);
        }
        let (position, orientation) = line.at_zero()?;
        // Orientations that have nothing to do with each other may cancel out.
        let orientation = valid_orientation(orientation).unwrap_or(before.orientation);
        Some(Seen { captured: time, position, orientation })
    }
}

/// How a point moves at the end of some frames.
struct Motion {
    last: Seen,
    velocity: DVec3,
    /// The seconds that the velocity was taken from; zero if there is none.
    span: f64,
}

impl Motion {
    fn of(frames: &VecDeque<Seen>) -> Option<Self> {
        let last = *frames.back()?;
        let earlier = frames.iter().rev().find(|s| last.captured - s.captured >= *VELOCITY_SPAN.start());
        let earlier = earlier.filter(|s| last.captured - s.captured <= *VELOCITY_SPAN.end());
        let (velocity, span) = earlier.map_or((DVec3::ZERO, 0.0), |earlier| {
            let span = last.captured - earlier.captured;
            ((last.position - earlier.position) / span, span)
        });
        Some(Self { last, velocity, span })
    }

    /// How far a frame lies from every place between where the point would be had it stopped and had it gone on.
    fn distance(&self, seen: &Seen) -> f64 {
        let way = self.velocity * (seen.captured - self.last.captured);
        let moved = seen.position - self.last.position;
        let along = if way == DVec3::ZERO { 0.0 } else { (moved.dot(way) / way.length_squared()).clamp(0.0, 1.0) };
        moved.distance(way * along)
    }

    /// Whether a person may have moved so.
    fn leads_to(&self, seen: &Seen) -> bool {
        let time = seen.captured - self.last.captured;
        let known = if self.span > 0.0 { 0.5 * ACCELERATION * time * (time + self.span) } else { f64::INFINITY };
        let reach = known.min(SPEED * time);
        self.distance(seen) <= NOISE + reach
    }
}

/// A weighted fit of a straight line to a pose over time.
#[derive(Default)]
struct Line {
    weights: f64,
    times: f64,
    squares: f64,
    positions: [DVec3; 2],
    orientations: [glam::DVec4; 2],
}

impl Line {
    fn add(&mut self, weight: f64, time: f64, position: DVec3, orientation: DQuat) {
        let orientation = glam::DVec4::from(orientation);
        self.weights += weight;
        self.times += weight * time;
        self.squares += weight * time * time;
        for (power, factor) in [weight, weight * time].into_iter().enumerate() {
            self.positions[power] += position * factor;
            self.orientations[power] += orientation * factor;
        }
    }

    /// The line's value at time zero, the orientation of any length; none of no points.
    fn at_zero(&self) -> Option<(DVec3, DQuat)> {
        if self.weights <= 0.0 {
            return None;
        }
        let spread = self.weights * self.squares - self.times * self.times;
        // A single frame has a value but no slope.
        let (value, slope) = if spread > 1e-12 * self.weights * self.weights {
            (self.squares / spread, -self.times / spread)
        } else {
            (1.0 / self.weights, 0.0)
        };
        let position = self.positions[0] * value + self.positions[1] * slope;
        let orientation = self.orientations[0] * value + self.orientations[1] * slope;
        Some((position, DQuat::from_vec4(orientation)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_frames_and_of_doubts_is_bounded() {
        let mut track = Track::default();
        for i in 0..20_000 {
            let position = DVec3::X * if i % 1000 < 500 { 0.0 } else { f64::from(i) };
            track.add(Seen { captured: f64::from(i) * 1e-4, position, orientation: DQuat::IDENTITY }, true);
            assert!(track.believed.len() <= MAX_BELIEVED && track.doubted.len() <= MAX_DOUBTED);
        }
    }
}
