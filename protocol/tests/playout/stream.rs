//! Synthetic pose streams and what playout makes of them.

use std::time::Duration;

use glam::{DQuat, DVec3};
use waldo_protocol::geometry::Pose;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Controller, Playout, PlayoutConfig, Rendered, VrFrame};

/// Frames of the synthetic streams per second.
pub(crate) const RATE: f64 = 90.0;

/// Both hands at rest, tracked, grippers open.
pub(crate) fn frame() -> VrFrame {
    let hand = Controller::new(Pose::IDENTITY, DVec3::ZERO);
    VrFrame::new(hand, hand)
}

/// A frame with the left hand at `x`.
pub(crate) fn left_at(x: f64) -> VrFrame {
    left_pose(DVec3::new(x, 0.0, 0.0), DQuat::IDENTITY)
}

pub(crate) fn left_pose(position: DVec3, orientation: DQuat) -> VrFrame {
    let mut frame = frame();
    frame.left.pose = Pose::new(position, orientation).unwrap();
    frame
}

/// The receiver's clock; a day after its origin, so that no test depends on small numbers.
pub(crate) fn at(seconds: f64) -> MonoTime {
    MonoTime::from_nanos(86_400_000_000_000 + (seconds * 1e9).round() as u64)
}

/// A frame and when it arrives, in seconds.
pub(crate) type Arrival = (f64, VrFrame);

/// Frame `i` of a stream is captured at `i / RATE` and arrives `delay` seconds later.
pub(crate) fn stream(frames: usize, delay: f64, make: impl Fn(usize) -> VrFrame) -> Vec<Arrival> {
    stream_at(RATE, frames, delay, make)
}

/// A stream of so many frames per second.
pub(crate) fn stream_at(rate: f64, frames: usize, delay: f64, make: impl Fn(usize) -> VrFrame) -> Vec<Arrival> {
    let stamped = |i| {
        let captured = i as f64 / rate;
        (captured + delay, VrFrame { t: Some(captured * 1e3), ..make(i) })
    };
    (0..frames).map(stamped).collect()
}

/// What playout gives at some times, and the times at which it began anew.
pub(crate) struct Played {
    pub(crate) renderings: Vec<(f64, Rendered)>,
    pub(crate) restarts: Vec<f64>,
}

impl Played {
    /// Where the left hand was rendered, with the times.
    pub(crate) fn left(&self) -> impl Iterator<Item = (f64, DVec3)> {
        self.renderings.iter().map(|(time, r)| (*time, r.frame.left.pose.position()))
    }

    /// The last rendering not after a time.
    pub(crate) fn before(&self, time: f64) -> &Rendered {
        &self.renderings.iter().rev().find(|(t, _)| *t <= time).unwrap().1
    }

    /// The farthest that the left hand got from the origin.
    pub(crate) fn farthest(&self) -> f64 {
        self.left().map(|(_, p)| p.length()).fold(0.0, f64::max)
    }
}

/// Renders a stream at these times; a frame that arrives at the very time of a rendering counts.
pub(crate) fn play(config: PlayoutConfig, stream: &[Arrival], times: impl IntoIterator<Item = f64>) -> Played {
    let mut playout = Playout::new(config);
    let mut played = Played { renderings: Vec::new(), restarts: Vec::new() };
    let mut frames = stream.iter().peekable();
    for time in times {
        while let Some((arrived, frame)) = frames.next_if(|(arrived, _)| at(*arrived) <= at(time)) {
            if playout.push(at(*arrived), frame) {
                played.restarts.push(*arrived);
            }
        }
        played.renderings.extend(playout.render(at(time)).map(|r| (time, r)));
    }
    played
}

/// A thousand times a second, so that every phase between frames is met.
pub(crate) fn every_phase(from: f64, to: f64) -> impl Iterator<Item = f64> {
    (0..).map(move |ms| from + f64::from(ms) * 1e-3).take_while(move |t| *t <= to)
}

/// 120 times a second from one time to another.
pub(crate) fn ticks(from: f64, to: f64) -> impl Iterator<Item = f64> {
    (0..).map(move |i| from + f64::from(i) / 120.0).take_while(move |t| *t <= to)
}

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
