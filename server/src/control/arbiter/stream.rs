//! What is remembered of one stream of pose frames.

use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Edges, EngageToggle, Hand, Playout, PlayoutConfig, RecordingEdges, VrFrame};

use super::leap::Place;
use super::{CART_KEPT, SourceId};

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: SourceId,
    pub(super) playout: Playout,
    pub(super) edges: RecordingEdges,
    toggle: EngageToggle,
    /// Since when both grips have been held.
    squeezed: Option<MonoTime>,
    /// Where each hand was tracked last.
    places: [Place; 2],
    newest: MonoTime,
    /// Its sticks were seen at rest since all that demands it.
    pub(super) rested: bool,
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
        Self { id, playout, edges, toggle, squeezed: None, places: [Place::default(); 2], newest: now, rested: false }
    }

    /// Feeds a frame; `counts` tells whether this stream may cause anything now, `may_engage` whether the arms may follow.
    pub(super) fn observe(&mut self, now: MonoTime, frame: &VrFrame, counts: bool, may_engage: bool) -> Seen {
        let edges = self.edges.observe(frame, counts);
        let clock_jumped = self.playout.push(now, frame);
        if edges.reset || clock_jumped || self.silence(now) >= self.id.kind.stale_after() {
            self.toggle.disengage();
        }
        self.rested &= self.silence(now) < CART_KEPT;
        let (left, right) = (frame.left.lock, frame.right.lock);
        let toggled = self.toggle.update(left, right, counts && may_engage && !edges.reset);
        self.squeezed = if left && right { self.squeezed.or(Some(now)) } else { None };
        self.newest = self.newest.max(now);
        let mut leapt = false;
        for (place, hand) in self.places.iter_mut().zip([Hand::Left, Hand::Right]) {
            let controller = frame.controller(hand);
            leapt |= controller.tracked && place.leaps(now, controller.pose.position());
        }
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
