//! What is remembered of one stream of pose frames.

use std::time::Duration;

use glam::DVec3;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Edges, EngageToggle, Hand, Playout, PlayoutConfig, RecordingEdges, VrFrame};

use super::SourceId;

/// No hand gets farther than this, metres, faster than [`LEAP_SPEED`].
///
/// A shorter step may be a glitch, which the playout erases, so it does not disengage. One that lasts is where the hand
/// is: it is followed, and what never jumps then is the arm. The low-delay playout lets the step fade in, the compatible
/// one shows it as its mean moves over, and the limits of the joints bound velocity and acceleration of the command
/// whatever is wanted. To hold the arm where it was would be no safer: the operator sees the arm lag, and lets go.
const LEAP: f64 = 0.7;

/// Metres per second; the fastest punch has ten.
const LEAP_SPEED: f64 = 12.0;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: SourceId,
    pub(super) playout: Playout,
    pub(super) edges: RecordingEdges,
    toggle: EngageToggle,
    /// Since when both grips have been held.
    squeezed: Option<MonoTime>,
    /// Where each hand was tracked last, and when.
    places: [Option<(MonoTime, DVec3)>; 2],
    newest: MonoTime,
}

/// What one frame says beside its poses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) clock_jumped: bool,
    /// A hand was suddenly somewhere else: a new origin of the headset's space, or another controller.
    pub(super) leapt: bool,
    /// What the buttons decide.
    pub(super) edges: Edges,
    /// The new state of the engage toggle, if it changed by the grips.
    pub(super) toggled: Option<bool>,
}

impl Stream {
    pub(super) fn new(id: SourceId, now: MonoTime, playout: PlayoutConfig) -> Self {
        let (playout, edges, toggle) = (Playout::new(playout), RecordingEdges::default(), EngageToggle::default());
        Self { id, playout, edges, toggle, squeezed: None, places: [None; 2], newest: now }
    }

    /// Feeds a frame; `counts` tells whether this stream may cause anything now, `may_engage` whether the arms may follow.
    pub(super) fn observe(&mut self, now: MonoTime, frame: &VrFrame, counts: bool, may_engage: bool) -> Seen {
        let edges = self.edges.observe(frame, counts);
        let clock_jumped = self.playout.push(now, frame);
        if edges.reset || clock_jumped || self.silence(now) >= self.id.kind.stale_after() {
            self.toggle.disengage();
        }
        let (left, right) = (frame.left.lock, frame.right.lock);
        let toggled = self.toggle.update(left, right, counts && may_engage && !edges.reset);
        self.squeezed = if left && right { self.squeezed.or(Some(now)) } else { None };
        self.newest = self.newest.max(now);
        let leapt = [Hand::Left, Hand::Right].into_iter().enumerate().any(|(i, hand)| {
            let controller = frame.controller(hand);
            let place = controller.tracked.then(|| (now, controller.pose.position()));
            let before = if place.is_some() { std::mem::replace(&mut self.places[i], place) } else { None };
            before.zip(place).is_some_and(|((then, from), (_, to))| {
                let way = from.distance(to);
                way > LEAP && way > LEAP_SPEED * now.since(then).as_secs_f64()
            })
        });
        Seen { clock_jumped, leapt, edges, toggled }
    }

    pub(super) fn disengage(&mut self) {
        self.toggle.disengage();
    }

    #[cfg(test)]
    pub(super) fn engaged(&self) -> bool {
        self.toggle.engaged()
    }

    /// When the newest frame came.
    pub(super) fn newest(&self) -> MonoTime {
        self.newest
    }

    /// How long no frame came.
    pub(super) fn silence(&self, now: MonoTime) -> Duration {
        now.since(self.newest)
    }

    /// Since when both grips have been held, as far as somebody is there to hold them.
    pub(super) fn squeezed_since(&self, now: MonoTime) -> Option<MonoTime> {
        self.squeezed.filter(|_| self.silence(now) < self.id.kind.stale_after())
    }
}
