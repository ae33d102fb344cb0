//! What is remembered of one stream of pose frames.

use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{EngageToggle, VrFrame};

use super::SourceId;

/// A change of arrival time minus capture time beyond this is a jump of the clock, in seconds.
const CLOCK_JUMP: f64 = 0.25;

const CLOCK_WINDOW: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: SourceId,
    toggle: EngageToggle,
    clock: ClockWatch,
    reset: bool,
    /// Since when both grips have been held.
    squeezed: Option<MonoTime>,
    newest: MonoTime,
}

/// What one frame says beside its poses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) clock_jumped: bool,
    /// A rising edge of the reset button.
    pub(super) reset: bool,
    /// The new state of the engage toggle, if it changed by the grips.
    pub(super) toggled: Option<bool>,
}

impl Stream {
    pub(super) fn new(id: SourceId, now: MonoTime) -> Self {
        let (toggle, clock) = (EngageToggle::default(), ClockWatch::default());
        Self { id, toggle, clock, reset: false, squeezed: None, newest: now }
    }

    pub(super) fn observe(&mut self, now: MonoTime, frame: &VrFrame, may_engage: bool) -> Seen {
        let reset = frame.reset && !self.reset;
        let clock_jumped = self.clock.jumped(now, frame.t);
        if reset || clock_jumped || self.silence(now) >= self.id.kind.stale_after() {
            self.toggle.disengage();
        }
        let (left, right) = (frame.left.lock, frame.right.lock);
        let toggled = self.toggle.update(left, right, may_engage && !reset);
        self.reset = frame.reset;
        self.squeezed = if left && right { self.squeezed.or(Some(now)) } else { None };
        self.newest = self.newest.max(now);
        Seen { clock_jumped, reset, toggled }
    }

    pub(super) fn disengage(&mut self) {
        self.toggle.disengage();
    }

    #[cfg(test)]
    pub(super) fn engaged(&self) -> bool {
        self.toggle.engaged()
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

/// The smallest arrival time minus capture time of the last two seconds, kept in a ring of slices of time.
#[derive(Debug)]
struct ClockWatch {
    slices: [f64; ClockWatch::SLICES as usize],
    newest: u64,
}

impl Default for ClockWatch {
    fn default() -> Self {
        Self { slices: [f64::INFINITY; Self::SLICES as usize], newest: 0 }
    }
}

impl ClockWatch {
    const SLICES: u64 = 8;
    const SLICE_NANOS: u64 = CLOCK_WINDOW.as_nanos() as u64 / Self::SLICES;

    /// Feeds a frame's capture time in milliseconds; true if it does not fit the window, which then begins anew.
    fn jumped(&mut self, now: MonoTime, capture_ms: Option<f64>) -> bool {
        let Some(capture_ms) = capture_ms else {
            *self = Self::default();
            return false;
        };
        let slice = (now.as_nanos() / Self::SLICE_NANOS).max(self.newest);
        let passed = slice - self.newest;
        for gone in 0..passed.min(Self::SLICES) {
            self.slices[((slice - gone) % Self::SLICES) as usize] = f64::INFINITY;
        }
        self.newest = slice;
        let offset = now.as_nanos() as f64 * 1e-9 - capture_ms * 1e-3;
        let smallest = self.slices.into_iter().fold(f64::INFINITY, f64::min);
        let jumped = smallest.is_finite() && (offset - smallest).abs() > CLOCK_JUMP;
        if jumped {
            self.slices = [f64::INFINITY; Self::SLICES as usize];
        }
        let kept = &mut self.slices[(slice % Self::SLICES) as usize];
        *kept = kept.min(offset);
        jumped
    }
}
