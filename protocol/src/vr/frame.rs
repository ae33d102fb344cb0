//! The pose frame a headset sends once per XR frame.

use std::fmt::{self, Write as _};

use glam::DVec3;

use super::names::wire_names;
use crate::geometry::{LocalFloor, Pose};

/// Left or right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hand {
    /// The left controller, the left arm.
    Left,
    /// The right controller, the right arm.
    Right,
}

wire_names! {
    /// Recording state as shown in the headset and echoed on the wire.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum VrState {
        /// Driving without recording.
        #[default]
        Teleop = "teleop",
        /// Driving between episodes.
        DataCollection = "data_collection",
        /// An episode is being recorded.
        Recording = "recording",
        /// The server writes an episode.
        Saving = "saving",
        /// The server failed.
        Error = "error",
    }
}

wire_names! {
    /// What the operator decided about an episode.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum EpisodeOp {
        /// Begin to record.
        Start = "start",
        /// Keep what was recorded.
        Save = "save",
        /// Throw away what was recorded.
        Discard = "discard",
    }
}

/// One hand of a pose frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controller {
    /// Target-ray pose; the ray points along −z. Wire: `l_ee`, `r_ee`.
    pub pose: Pose<LocalFloor>,
    /// Elbow (body joint `*-arm-lower`), metres. Wire: `l_elbow`, `r_elbow`.
    pub elbow: DVec3,
    /// Gripper opening, 0 closed, 1 open. Wire: `l_grip`, `r_grip`; default 1.
    pub grip: f64,
    /// Squeeze fully pressed. Wire: `l_lock`, `r_lock`; default false.
    pub lock: bool,
    /// False while the position is only dead-reckoned. Wire: `l_tracked`, `r_tracked`; default true.
    pub tracked: bool,
    /// Stick x, right is +1. Wire: `l_stick_x`, `r_stick_x`; default 0.
    pub stick_x: f64,
    /// Stick pressed in. Wire: `l_stick_click`, `r_stick_click`; default false.
    pub stick_click: bool,
}

impl Controller {
    /// A tracked controller with nothing pressed and the gripper open: what a frame says that has no more than these two.
    pub const fn new(pose: Pose<LocalFloor>, elbow: DVec3) -> Self {
        Self { pose, elbow, grip: 1.0, lock: false, tracked: true, stick_x: 0.0, stick_click: false }
    }
}

/// One pose frame: both controllers and the buttons that matter, at one capture time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VrFrame {
    /// The left hand.
    pub left: Controller,
    /// The right hand.
    pub right: Controller,
    /// Left stick y, pushed forward is −1. There is no right one on the wire.
    pub l_stick_y: f64,
    /// A rising edge asks for the rest move.
    pub reset: bool,
    /// Recording state of the headset.
    pub state: VrState,
    /// Capture time in milliseconds of a monotonic clock with arbitrary origin.
    pub t: Option<f64>,
    /// Frame counter, 1 for the first frame of a page load. Within ±(2^53−1).
    pub seq: Option<i64>,
    /// The elbows are estimated, not tracked (extension).
    pub elbow_est: bool,
    /// Presses of the reset button so far; wraps around (extension).
    pub reset_n: Option<u32>,
    /// Decisions about episodes so far; wraps around (extension).
    pub ep_n: Option<u32>,
    /// The latest of those decisions (extension).
    pub ep_op: Option<EpisodeOp>,
}

impl VrFrame {
    /// A frame that says nothing beside its controllers: every other field as if missing on the wire.
    pub const fn new(left: Controller, right: Controller) -> Self {
        Self {
            left,
            right,
            l_stick_y: 0.0,
            reset: false,
            state: VrState::Teleop,
            t: None,
            seq: None,
            elbow_est: false,
            reset_n: None,
            ep_n: None,
            ep_op: None,
        }
    }

    /// One hand of the frame.
    pub fn controller(&self, hand: Hand) -> &Controller {
        match hand {
            Hand::Left => &self.left,
            Hand::Right => &self.right,
        }
    }

    /// Appends the frame as compact JSON, keys in the order of the original app.
    ///
    /// `seq`, `t` and the counters are left out if absent, `elbow_est` unless true. A number that is not finite becomes null, which a
    /// server refuses by name.
    pub fn encode(&self, out: &mut String) {
        let (l, r) = (&self.left, &self.right);
        let mut object = Writer { out, separator: '{' };
        object.ee("l_ee", &l.pose);
        object.ee("r_ee", &r.pose);
        object.point("l_elbow", l.elbow);
        object.point("r_elbow", r.elbow);
        object.flag("l_lock", l.lock);
        object.flag("r_lock", r.lock);
        object.number("l_grip", l.grip);
        object.number("r_grip", r.grip);
        object.flag("l_tracked", l.tracked);
        object.flag("r_tracked", r.tracked);
        object.flag("reset", self.reset);
        object.value("state", format_args!("\"{}\"", self.state.name()));
        object.number("l_stick_x", l.stick_x);
        object.number("l_stick_y", self.l_stick_y);
        object.number("r_stick_x", r.stick_x);
        object.flag("l_stick_click", l.stick_click);
        object.flag("r_stick_click", r.stick_click);
        if let Some(seq) = self.seq {
            object.value("seq", format_args!("{seq}"));
        }
        if let Some(t) = self.t {
            object.number("t", t);
        }
        if self.elbow_est {
            object.flag("elbow_est", true);
        }
        for (key, count) in [("reset_n", self.reset_n), ("ep_n", self.ep_n)] {
            if let Some(count) = count {
                object.value(key, format_args!("{count}"));
            }
        }
        if let Some(op) = self.ep_op {
            object.value("ep_op", format_args!("\"{}\"", op.name()));
        }
        out.push('}');
    }
}

/// Appends the members of one object; the separator before the first one opens it.
struct Writer<'a> {
    out: &'a mut String,
    separator: char,
}

impl Writer<'_> {
    fn key(&mut self, key: &str) {
        self.out.push(self.separator);
        self.separator = ',';
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
    }

    fn value(&mut self, key: &str, value: fmt::Arguments<'_>) {
        self.key(key);
        // Writing to a String never fails.
        let _ = self.out.write_fmt(value);
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out.push_str(if value { "true" } else { "false" });
    }

    fn number(&mut self, key: &str, value: f64) {
        if value.is_finite() {
            self.value(key, format_args!("{value}"));
        } else {
            self.key(key);
            self.out.push_str("null");
        }
    }

    fn axes(&mut self, key: &str, axes: &[(&str, f64)]) {
        self.key(key);
        let mut object = Writer { out: self.out, separator: '{' };
        for (axis, value) in axes {
            object.number(axis, *value);
        }
        self.out.push('}');
    }

    fn point(&mut self, key: &str, p: DVec3) {
        self.axes(key, &[("x", p.x), ("y", p.y), ("z", p.z)]);
    }

    fn ee(&mut self, key: &str, pose: &Pose<LocalFloor>) {
        self.key(key);
        let mut object = Writer { out: self.out, separator: '{' };
        object.point("position", pose.position());
        let q = pose.orientation();
        object.axes("quaternion", &[("x", q.x), ("y", q.y), ("z", q.z), ("w", q.w)]);
        self.out.push('}');
    }
}
