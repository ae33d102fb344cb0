//! The pose frame a headset sends once per XR frame.

use glam::DVec3;

use crate::geometry::{LocalFloor, Pose};

/// Left or right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hand {
    /// The left controller, the left arm.
    Left,
    /// The right controller, the right arm.
    Right,
}

/// Recording state as shown in the headset and echoed on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VrState {
    /// Driving without recording.
    #[default]
    Teleop,
    /// Driving between episodes.
    DataCollection,
    /// An episode is being recorded.
    Recording,
    /// The server writes an episode.
    Saving,
    /// The server failed.
    Error,
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
}

impl VrFrame {
    /// One hand of the frame.
    pub fn controller(&self, hand: Hand) -> &Controller {
        match hand {
            Hand::Left => &self.left,
            Hand::Right => &self.right,
        }
    }

    /// Appends the frame as compact JSON, keys in the order of the original app.
    pub fn encode(&self, _out: &mut String) {
        unimplemented!()
    }
}
