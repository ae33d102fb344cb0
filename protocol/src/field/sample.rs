//! What a headset sees of its user.

use std::collections::BTreeMap;

use serde::Serialize;

use super::object::object;
use super::read::{Named, from_json};
use super::transform::finite;
use super::{Invalid, Transform, Twist};

/// Buttons, or actions, by name; what is not named is not pressed. See [`ControllerSample::buttons`].
pub type Buttons = BTreeMap<String, bool>;

/// Most buttons of a controller, and most actions.
pub const MAX_BUTTONS: usize = 64;

/// Most controllers of a sample.
pub const MAX_CONTROLLERS: usize = 16;

/// Name of the button under the index finger.
pub const TRIGGER_CLICK: &str = "trigger_click";
/// Name of the button under the other fingers.
pub const GRIP_CLICK: &str = "grip_click";
/// Name of the buttons X and A.
pub const PRIMARY: &str = "primary";
/// Name of the buttons Y and B.
pub const SECONDARY: &str = "secondary";
/// Name of the action that most modes know: any trigger is clicked.
pub const CRAWL: &str = "crawl";
/// Key of the left hand's controller.
pub const LEFT: &str = "left";
/// Key of the right hand's controller.
pub const RIGHT: &str = "right";

/// One controller at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ControllerSample {
    /// Grip space; in `octo-waypoint` the target ray space.
    pub pose: Transform,
    /// Zeros if unknown.
    pub velocity: Twist,
    /// 0 open … 1 closed.
    pub grip: f64,
    /// 0 … 1; no part of the command of an arm.
    pub trigger: f64,
    /// x to the right, y **pulled back**; −1 … 1.
    pub joystick: [f64; 2],
    /// [`TRIGGER_CLICK`], [`GRIP_CLICK`], [`PRIMARY`], [`SECONDARY`], and whatever else a client sends.
    pub buttons: Buttons,
}

impl ControllerSample {
    /// A controller at that pose with nothing pressed.
    pub const fn at(pose: Transform) -> Self {
        let velocity = Twist { linear: [0.0; 3], angular: [0.0; 3] };
        Self { pose, velocity, grip: 0.0, trigger: 0.0, joystick: [0.0; 2], buttons: Buttons::new() }
    }

    /// Reads a JSON object with at least a `pose`.
    ///
    /// # Errors
    /// The reason, as on the wire.
    pub fn from_json(text: &str) -> Result<Self, Invalid> {
        from_json("ControllerSample", text)
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        let numbers = [self.grip, self.trigger, self.joystick[0], self.joystick[1]];
        self.pose.is_finite() && self.velocity.is_finite() && finite(&numbers)
    }

    /// Whether a button is held.
    pub fn pressed(&self, button: &str) -> bool {
        self.buttons.get(button).copied().unwrap_or_default()
    }
}

object! {
    ControllerSample {
        pose: Transform,
        velocity: Twist = Twist::default(),
        grip: f64 = 0.0,
        trigger: f64 = 0.0,
        joystick: [f64; 2] = [0.0; 2],
        buttons: Named<bool, MAX_BUTTONS> = Buttons::new(),
    }
}

/// Head and controllers at one moment; as a message, with at least one controller.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct XrInputSample {
    /// Seconds of the sender's clock, whatever it counts from.
    pub timestamp: f64,
    /// Of the viewer.
    pub head_pose: Transform,
    /// By [`LEFT`] and [`RIGHT`]; other keys drive no arm, yet count for [`CRAWL`].
    pub controllers: BTreeMap<String, ControllerSample>,
    /// [`CRAWL`], and whatever else a client sends.
    pub actions: Buttons,
}

impl XrInputSample {
    /// Reads a JSON object, the payload of an `xr_input`.
    ///
    /// # Errors
    /// [`Invalid::Disconnected`] without controllers, else the reason as on the wire.
    pub fn from_json(text: &str) -> Result<Self, Invalid> {
        let sample: Self = from_json("XRInputSample", text)?;
        sample.check()?;
        Ok(sample)
    }

    /// Refuses a sample without controllers.
    ///
    /// # Errors
    /// [`Invalid::Disconnected`]
    pub fn check(&self) -> Result<(), Invalid> {
        if self.controllers.is_empty() { Err(Invalid::Disconnected) } else { Ok(()) }
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        self.timestamp.is_finite()
            && self.head_pose.is_finite()
            && self.controllers.values().all(ControllerSample::is_finite)
    }
}

object! {
    XrInputSample {
        timestamp: f64,
        head_pose: Transform,
        controllers: Named<ControllerSample, MAX_CONTROLLERS>,
        actions: Named<bool, MAX_BUTTONS> = Buttons::new(),
    }
}
