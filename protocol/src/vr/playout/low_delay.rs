//! The low-delay rendering: close behind the newest frame, past glitches by what a person can do rather than by
//! waiting for frames on both sides.

use glam::{DQuat, DVec3};

use super::buffer::HandSample;
use super::glide::Glide;
use super::track::{Seen, Track};
use super::{RenderedHand, duration};
use crate::geometry::{LocalFloor, MAX_COORDINATE, Pose, rotation_vector};

/// How far playout is behind the fastest frames, in seconds: a frame of 72 Hz, so that there is one on either side.
pub(super) const LAG: f64 = 0.015;

/// A loss of tracking up to this, in seconds, is bridged; after a longer one the hand was moved unseen.
const BRIDGED: f64 = 0.15;

/// How long a hand that was found again counts as untracked, in seconds: until the way to its new place is shown.
const FINDING: f64 = 0.2;

/// A time of the receiver, and the capture time that is shown then, both in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: f64,
    pub(super) playout: f64,
}

/// One hand of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Follower {
    hand: Track,
    elbow: Track,
    tracking: Tracking,
    shift: Glide,
    turn: Glide,
    elbow_shift: Glide,
}

/// `last` is the capture time of the last frame in which the hand was tracked.
#[derive(Clone, Copy, Debug, Default)]
enum Tracking {
    #[default]
    Never,
    Tracked {
        last: f64,
    },
    Lost {
        last: f64,
    },
    /// Tracked again since the arrival `at`; before that, last at `lost`, if ever.
    Found {
        last: f64,
        lost: Option<f64>,
        at: f64,
    },
}

/// What is shown of a hand.
#[derive(Clone, Copy, Debug)]
struct Shown {
    position: DVec3,
    orientation: DQuat,
    elbow: DVec3,
}

impl Follower {
    /// Takes a frame. What it changes in what is shown fades in: `before` and `after` are the moment of its arrival, as
    /// known without the frame and with it. Without `doubt`, glitches are followed.
    pub(super) fn push(&mut self, captured: f64, sample: &HandSample, doubt: bool, before: Moment, after: Moment) {
        let shown = self.shown(before);
        self.take(captured, sample, doubt, after.now);
        if let (Some(shown), Some(plain)) = (shown, self.plain(after.playout)) {
            self.shift.set(after.now, shown.position - plain.position);
            self.turn.set(after.now, rotation_vector(shown.orientation * plain.orientation.conjugate()));
            self.elbow_shift.set(after.now, shown.elbow - plain.elbow);
        }
    }

    /// The hand at a moment, with the grip and, should the stream be beyond all measure, the pose of `other`.
    pub(super) fn render(&self, moment: Moment, other: HandSample) -> RenderedHand {
        let Some(shown) = self.shown(moment) else { return RenderedHand::new(other) };
        let limit = DVec3::splat(MAX_COORDINATE);
        let pose = Pose::<LocalFloor>::new(shown.position.clamp(-limit, limit), shown.orientation);
        let (tracked, lost) = match self.tracking {
            Tracking::Tracked { .. } => (true, None),
            Tracking::Never => (false, None),
            Tracking::Lost { last } => (false, Some(last)),
            Tracking::Found { lost, at, .. } => {
                let settled = moment.now - at > FINDING;
                (settled, lost.filter(|_| !settled))
            }
        };
        let sample = HandSample {
            pose: pose.unwrap_or(other.pose),
            elbow: shown.elbow.clamp(-limit, limit),
            grip: other.grip,
            tracked,
        };
        RenderedHand { sample, held: lost.map(|lost| duration(moment.playout - lost)) }
    }

    fn take(&mut self, captured: f64, sample: &HandSample, doubt: bool, now: f64) {
        let hand = Seen { captured, position: sample.pose.position(), orientation: sample.pose.orientation() };
        let elbow = Seen { position: sample.elbow, orientation: DQuat::IDENTITY, ..hand };
        let (tracking, anew) = match self.tracking {
            Tracking::Never if !sample.tracked => {
                // Passes through as it comes.
                self.hand.add(hand, false);
                self.elbow.add(elbow, false);
                return;
            }
            Tracking::Never if self.hand.is_empty() => (Tracking::Tracked { last: captured }, true),
            Tracking::Never => (Tracking::Found { last: captured, lost: None, at: now }, true),
            Tracking::Lost { last } if sample.tracked => {
                (Tracking::Found { last: captured, lost: Some(last), at: now }, true)
            }
            Tracking::Lost { .. } => return,
            Tracking::Tracked { last } | Tracking::Found { last, .. } if !sample.tracked => {
                if captured - last > BRIDGED {
                    self.tracking = Tracking::Lost { last };
                }
                return;
            }
            Tracking::Tracked { last } => (Tracking::Tracked { last: last.max(captured) }, false),
            Tracking::Found { last, lost, at } => (Tracking::Found { last: last.max(captured), lost, at }, false),
        };
        self.tracking = tracking;
        if anew {
            self.hand.restart(hand);
            self.elbow.restart(elbow);
        } else {
            self.hand.add(hand, doubt);
            self.elbow.add(elbow, doubt);
        }
    }

    /// What is believed, without what still fades.
    fn plain(&self, playout: f64) -> Option<Shown> {
        let (hand, elbow) = (self.hand.at(playout)?, self.elbow.at(playout)?);
        Some(Shown { position: hand.position, orientation: hand.orientation, elbow: elbow.position })
    }

    fn shown(&self, Moment { now, playout }: Moment) -> Option<Shown> {
        let plain = self.plain(playout)?;
        Some(Shown {
            position: plain.position + self.shift.at(now),
            orientation: (DQuat::from_scaled_axis(self.turn.at(now)) * plain.orientation).normalize(),
            elbow: plain.elbow + self.elbow_shift.at(now),
        })
    }
}
