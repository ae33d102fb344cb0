//! The recording states of a headset: what its buttons and the server's pushes make of them, once per XR frame.
//!
//! Pure: fed with buttons and the time of each XR frame, in milliseconds of any monotonic clock; it sends nothing itself.

use serde_json::{Map, json};

use super::{EpisodeOp, HudValue, Mode, VrState};

/// Length of the countdown before a recording, milliseconds.
pub const COUNTDOWN_MS: f64 = 3000.0;

/// A reset is held for this many frames. It stays one rising edge to every server, and one lost frame cannot swallow it.
pub const RESET_FRAMES: u32 = 10;

/// A press, or the end of a countdown, that no frame could carry within this long is dropped, milliseconds: nothing may
/// happen at a time the operator does not expect.
pub const EDGE_WAIT_MS: f64 = 500.0;

/// The buttons that matter here, as held in one XR frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordingButtons {
    /// Rest move, or discard.
    pub x: bool,
    /// Leave.
    pub y: bool,
    /// Record, or save.
    pub a: bool,
}

/// A question to the operator: the same button commits, the other one cancels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// Keep the episode? Asked by A.
    Save,
    /// Throw it away? Asked by X.
    Discard,
}

/// What one XR frame comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordingStep {
    /// To be sent as `state`.
    pub state: VrState,
    /// To be sent as `reset`.
    pub reset: bool,
    /// Leave the presentation once the frame was sent.
    pub leave: bool,
    /// [`HeadsetRecording::hud`] changed: publish it before the frame.
    pub hud_changed: bool,
}

/// What the counters extension sends in every frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PressCounters {
    /// Resets asked for; wraps around.
    pub reset_n: u32,
    /// Decisions about episodes; wraps around.
    pub ep_n: u32,
    /// The latest of them.
    pub ep_op: Option<EpisodeOp>,
}

/// What the server pushed since the last XR frame; the newest of each kind counts.
#[derive(Clone, Copy, Debug, Default)]
struct Pushes {
    mode: Option<Mode>,
    state: Option<VrState>,
    /// One of them, not necessarily the newest, ends a countdown.
    ends_countdown: bool,
}

/// The states of one headset. They survive reconnects and presentations.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadsetRecording {
    state: VrState,
    mode: Option<Mode>,
    pushes: Pushes,
    held: RecordingButtons,
    /// When X and A were pressed, until a frame carries the press.
    x_pressed: Option<f64>,
    a_pressed: Option<f64>,
    confirmation: Option<Confirmation>,
    countdown_ends: Option<f64>,
    /// Frames that still carry the reset, and when it was pressed.
    reset_frames: u32,
    reset_pressed: f64,
    counters: PressCounters,
    /// The next frame that is sent is the server's baseline of the counters.
    baseline_due: bool,
    published: (Option<Confirmation>, bool),
}

impl HeadsetRecording {
    /// A presentation begins or has ended: buttons that are down make no edge, and nothing waits for an answer. Returns
    /// whether [`Self::hud`] changed.
    pub fn begin(&mut self) -> bool {
        self.held = RecordingButtons { x: true, y: true, a: true };
        (self.x_pressed, self.a_pressed) = (None, None);
        (self.confirmation, self.countdown_ends) = (None, None);
        self.reset_frames = 0;
        self.hud_changed()
    }

    /// The server takes the counters of the next frame for its baseline, so that frame carries no press.
    pub fn begin_counting(&mut self) {
        self.baseline_due = true;
    }

    /// The server announced its mode; heeded in the next XR frame.
    pub fn push_mode(&mut self, mode: Mode) {
        self.pushes.mode = Some(mode);
        self.pushes.ends_countdown |= mode == Mode::Teleop;
    }

    /// The server overrides the state; heeded in the next XR frame.
    pub fn push_state(&mut self, state: VrState) {
        self.pushes.state = Some(state);
        self.pushes.ends_countdown |= state == VrState::Saving;
    }

    /// The announced mode, as of the newest push.
    pub fn mode(&self) -> Option<Mode> {
        self.pushes.mode.or(self.mode)
    }

    /// The state, as of the newest push. Frames carry that of [`RecordingStep`].
    pub fn state(&self) -> VrState {
        let state = match (self.pushes.mode, self.state) {
            (Some(Mode::Teleop), _) => VrState::Teleop,
            (Some(Mode::DataCollection), VrState::Teleop) => VrState::DataCollection,
            (_, state) => state,
        };
        self.pushes.state.unwrap_or(state)
    }

    /// The question that is open.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.confirmation
    }

    /// What is left of the countdown, milliseconds.
    pub fn countdown(&self, now: f64) -> Option<f64> {
        self.countdown_ends.map(|end| (end - now).max(0.0))
    }

    /// The counters for the next frame.
    pub fn counters(&self) -> PressCounters {
        self.counters
    }

    /// The question and the countdown as published to others.
    pub fn hud(&self, now: f64) -> HudValue {
        let confirm = self.confirmation.map(|question| match question {
            Confirmation::Save => "save",
            Confirmation::Discard => "discard",
        });
        let mut value = Map::new();
        value.insert("confirm".to_owned(), json!(confirm));
        value.insert("countdownRemainingMs".to_owned(), json!(self.countdown(now).map(f64::round)));
        Some(value)
    }

    /// Feeds one XR frame. Unless `can_send`, presses wait for a frame that is sent, no longer than [`EDGE_WAIT_MS`];
    /// only Y leaves at once.
    pub fn frame(&mut self, now: f64, buttons: RecordingButtons, can_send: bool) -> RecordingStep {
        let leave = buttons.y && !self.held.y;
        for (pressed, down, held) in
            [(&mut self.x_pressed, buttons.x, self.held.x), (&mut self.a_pressed, buttons.a, self.held.a)]
        {
            if down && !held {
                *pressed = Some(now);
            }
            pressed.take_if(|at| now - *at > EDGE_WAIT_MS);
        }
        self.held = buttons;
        self.heed_pushes();
        if now - self.reset_pressed > EDGE_WAIT_MS && !can_send {
            self.reset_frames = 0;
        }

        let carries_presses = can_send && !std::mem::take(&mut self.baseline_due);
        if leave {
            // Not together with a decision about an episode: the reset would turn it into a discard.
            (self.x_pressed, self.a_pressed, self.confirmation) = (None, None, None);
            if can_send {
                self.press_reset(now);
            }
        } else if carries_presses {
            let (x, a) = (self.x_pressed.take().is_some(), self.a_pressed.take().is_some());
            if self.state == VrState::Recording { self.decide(now, x, a) } else { self.prepare(now, x, a) }
        }
        if self.state != VrState::Recording {
            self.confirmation = None;
        }
        if self.state != VrState::DataCollection {
            self.countdown_ends = None;
        }
        if let Some(end) = self.countdown_ends
            && now >= end
        {
            if now - end > EDGE_WAIT_MS {
                self.countdown_ends = None;
            } else if carries_presses {
                self.countdown_ends = None;
                self.state = VrState::Recording;
                self.count(EpisodeOp::Start);
            }
        }

        let reset = self.reset_frames > 0;
        if can_send {
            self.reset_frames = self.reset_frames.saturating_sub(1);
        }
        RecordingStep { state: self.state, reset, leave, hud_changed: self.hud_changed() }
    }

    /// The presentation ends by other means than Y, which sends a last frame too: counts its reset.
    pub fn farewell(&mut self) {
        self.counters.reset_n = self.counters.reset_n.wrapping_add(1);
    }

    fn heed_pushes(&mut self) {
        self.state = self.state();
        self.mode = self.mode();
        if std::mem::take(&mut self.pushes).ends_countdown {
            self.countdown_ends = None;
        }
    }

    /// X and A while recording. Both at once decide nothing.
    fn decide(&mut self, now: f64, x: bool, a: bool) {
        match (self.confirmation, x, a) {
            (_, false, false) => {}
            (None, false, true) => self.confirmation = Some(Confirmation::Save),
            (None, true, false) => self.confirmation = Some(Confirmation::Discard),
            (Some(Confirmation::Save), false, true) => {
                self.state = VrState::DataCollection;
                self.reset_frames = 0;
                self.count(EpisodeOp::Save);
            }
            (Some(Confirmation::Discard), true, false) => {
                self.state = VrState::DataCollection;
                self.hold_reset(now);
                self.count(EpisodeOp::Discard);
            }
            _ => self.confirmation = None,
        }
    }

    /// X and A while not recording.
    fn prepare(&mut self, now: f64, x: bool, a: bool) {
        if self.state == VrState::Saving {
            return;
        }
        if x {
            self.countdown_ends = None;
            self.press_reset(now);
        } else if a && self.state == VrState::DataCollection && self.mode != Some(Mode::Teleop) {
            self.countdown_ends = if self.countdown_ends.is_some() { None } else { Some(now + COUNTDOWN_MS) };
        }
    }

    fn press_reset(&mut self, now: f64) {
        self.hold_reset(now);
        self.counters.reset_n = self.counters.reset_n.wrapping_add(1);
    }

    fn hold_reset(&mut self, now: f64) {
        self.reset_frames = RESET_FRAMES;
        self.reset_pressed = now;
    }

    fn count(&mut self, op: EpisodeOp) {
        self.counters.ep_n = self.counters.ep_n.wrapping_add(1);
        self.counters.ep_op = Some(op);
    }

    fn hud_changed(&mut self) -> bool {
        let shown = (self.confirmation, self.countdown_ends.is_some());
        std::mem::replace(&mut self.published, shown) != shown
    }
}
