//! Reads the controllers, the head and, where granted, the elbows of one XR frame.

use glam::{DQuat, DVec3};
use js_sys::{Array, Reflect};
use waldo_protocol::field::{GamepadButton as FieldButton, LEFT, RIGHT};
use waldo_protocol::geometry::{LocalFloor, Pose};
use waldo_protocol::vr::Hands;
use wasm_bindgen::prelude::*;
use web_sys::{
    DomPointReadOnly, GamepadButton, XrFrame, XrHandedness, XrInputSource, XrPose, XrReferenceSpace, XrRigidTransform,
    XrSession, XrSpace, XrViewerPose,
};

use crate::emulator;
use crate::pose::{Aim, ControllerInput, Sample};

#[wasm_bindgen]
extern "C" {
    /// A frame of a session with body tracking.
    #[wasm_bindgen(extends = XrFrame)]
    type BodyFrame;

    #[wasm_bindgen(method, getter)]
    fn body(this: &BodyFrame) -> Option<Body>;

    /// What shakes a controller, in browsers that let pages do so.
    type Actuator;

    #[wasm_bindgen(method, catch)]
    fn pulse(this: &Actuator, amplitude: f64, ms: f64) -> Result<JsValue, JsValue>;

    /// The tracked body: a map from joint names to spaces.
    type Body;

    #[wasm_bindgen(method)]
    fn get(this: &Body, joint: &str) -> Option<XrSpace>;
}

/// One controller as it is, whatever holds it.
pub(crate) struct HandInput {
    /// `left`, `right` or `none`.
    pub(crate) hand: &'static str,
    /// Where the hand that holds it is.
    pub(crate) grip: Option<Pose<LocalFloor>>,
    /// Where it points.
    pub(crate) ray: Option<Pose<LocalFloor>>,
    /// In the order of the gamepad.
    pub(crate) buttons: Vec<FieldButton>,
    /// In the order of the gamepad.
    pub(crate) axes: Vec<f64>,
}

/// Reads frames of one presentation.
pub(crate) struct Reader {
    space: XrReferenceSpace,
    /// The runtime tells tracked from dead-reckoned positions.
    tells_tracking: bool,
}

impl Reader {
    /// Poses are read relative to `space`.
    pub(super) fn new(space: XrReferenceSpace) -> Self {
        Self { space, tells_tracking: !emulator::is_loaded() }
    }

    /// Every controller of the frame, also one that no hand is known to hold.
    pub(crate) fn hands(&self, frame: &XrFrame) -> Vec<HandInput> {
        let sources = frame.session().input_sources();
        (0..sources.length()).filter_map(|index| self.hand(frame, &sources.get(index)?)).collect()
    }

    /// `None` for a bare hand and for what is no controller at all.
    fn hand(&self, frame: &XrFrame, source: &XrInputSource) -> Option<HandInput> {
        let gamepad = source.gamepad().filter(|_| !is_hand(source))?;
        let (buttons, axes) = (gamepad.buttons(), gamepad.axes());
        let pose = |space: &XrSpace| valid_pose(&frame.get_pose(space, &self.space)?.transform());
        Some(HandInput {
            hand: match source.handedness() {
                XrHandedness::Left => LEFT,
                XrHandedness::Right => RIGHT,
                _ => "none",
            },
            grip: source.grip_space().and_then(|space| pose(&space)),
            ray: pose(&source.target_ray_space()),
            buttons: (0..buttons.length())
                .map(|index| FieldButton { value: value(&buttons, index), pressed: pressed(&buttons, index) })
                .collect(),
            axes: (0..axes.length()).map(|index| axis(&axes, index)).collect(),
        })
    }

    /// Everything the frame at time `t` tells about the operator.
    pub(crate) fn read(&self, frame: &XrFrame, t: f64, viewer: Option<&XrViewerPose>) -> Sample {
        let mut sample = Sample {
            head: viewer.and_then(|viewer| valid_pose(&viewer.transform())),
            elbows: elbows(frame, &self.space),
            t,
            ..Sample::default()
        };
        let sources = frame.session().input_sources();
        for source in (0..sources.length()).filter_map(|index| sources.get(index)) {
            let hand = match source.handedness() {
                XrHandedness::Left => &mut sample.left,
                XrHandedness::Right => &mut sample.right,
                _ => continue,
            };
            // A runtime may list a hand beside the controller that it holds: the first source that points counts.
            if hand.aim.is_none()
                && let Some(controller) = self.controller(frame, &source)
            {
                *hand = controller;
            }
        }
        sample
    }

    /// `None` for a bare hand: it has no grips to let go of, so it must never take over arms that follow.
    fn controller(&self, frame: &XrFrame, source: &XrInputSource) -> Option<ControllerInput> {
        let gamepad = source.gamepad()?;
        let (buttons, axes) = (gamepad.buttons(), gamepad.axes());
        // Some hands come with a gamepad, whose one button is the pinch.
        if buttons.length() < 2 || is_hand(source) {
            return None;
        }
        Some(ControllerInput {
            aim: frame.get_pose(&source.target_ray_space(), &self.space).and_then(|pose| self.aim(&pose)),
            trigger: value(&buttons, 0),
            squeeze: value(&buttons, 1),
            stick: [axis(&axes, 2), axis(&axes, 3)],
            stick_click: pressed(&buttons, 3),
            lower_button: pressed(&buttons, 4),
            upper_button: pressed(&buttons, 5),
        })
    }

    fn aim(&self, pose: &XrPose) -> Option<Aim> {
        let tracked = !(self.tells_tracking && pose.emulated_position());
        Some(Aim { pose: valid_pose(&pose.transform())?, tracked })
    }
}

/// Shakes the controllers of these hands. `amplitude` 0 to 1; a new pulse replaces one that is running.
pub(super) fn pulse(session: &XrSession, hands: Hands, amplitude: f64, ms: f64) {
    let sources = session.input_sources();
    for source in (0..sources.length()).filter_map(|index| sources.get(index)) {
        let meant = match source.handedness() {
            XrHandedness::Left => hands != Hands::Right,
            XrHandedness::Right => hands != Hands::Left,
            _ => false,
        };
        let actuators = source.gamepad().map(|gamepad| Reflect::get(&gamepad, &"hapticActuators".into()));
        if let (true, Some(Ok(actuators))) = (meant, actuators)
            && let Ok(first) = Reflect::get_u32(&actuators, 0)
            && first.is_object()
        {
            // A controller that cannot is no reason to stop.
            let _ = first.unchecked_into::<Actuator>().pulse(amplitude, ms);
        }
    }
}

fn elbows(frame: &XrFrame, space: &XrReferenceSpace) -> Option<[DVec3; 2]> {
    let frame: &BodyFrame = frame.unchecked_ref();
    let body = frame.body()?;
    let joint = |name| {
        let pose = frame.get_pose(&body.get(name)?, space)?;
        valid_pose(&pose.transform()).map(|pose| pose.position())
    };
    Some([joint("left-arm-lower")?, joint("right-arm-lower")?])
}

/// `None` for a pose with a component that is not a number, as a runtime may give while tracking starts.
pub(crate) fn valid_pose(transform: &XrRigidTransform) -> Option<Pose<LocalFloor>> {
    let (p, q): (DomPointReadOnly, DomPointReadOnly) = (transform.position(), transform.orientation());
    Pose::new(DVec3::new(p.x(), p.y(), p.z()), DQuat::from_xyzw(q.x(), q.y(), q.z(), q.w())).ok()
}

fn is_hand(source: &XrInputSource) -> bool {
    source.profiles().iter().any(|profile| String::from(profile).contains("hand"))
}

fn value(buttons: &Array, index: u32) -> f64 {
    button(buttons, index).map_or(0.0, |button| button.value())
}

fn pressed(buttons: &Array, index: u32) -> bool {
    button(buttons, index).is_some_and(|button| button.pressed())
}

/// `None` for a button that the controller does not have.
fn button(buttons: &Array, index: u32) -> Option<GamepadButton> {
    let button = buttons.get(index);
    button.is_object().then(|| button.unchecked_into())
}

/// Emulators leave null where a real gamepad has 0.
fn axis(axes: &Array, index: u32) -> f64 {
    axes.get(index).as_f64().unwrap_or(0.0)
}
