//! What a client makes of its controllers: samples up, pulses down.

use super::{Buttons, ControllerSample, GRIP_CLICK, Haptic, PRIMARY, SECONDARY, TRIGGER_CLICK, Transform};

/// One button of a WebXR gamepad.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GamepadButton {
    /// 0 … 1.
    pub value: f64,
    /// Past its point of pressure.
    pub pressed: bool,
}

impl ControllerSample {
    /// A controller as WebXR's `xr-standard` gamepad mapping has it: button 0 is the trigger, 1 the grip, 4 X or A, 5 Y or
    /// B, axes 2 and 3 the stick. What a gamepad lacks is 0 and not pressed, and so is a value that is not finite.
    pub fn of_gamepad(pose: Transform, buttons: &[GamepadButton], axes: &[f64]) -> Self {
        let button = |index: usize| buttons.get(index).copied().unwrap_or_default();
        let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
        let axis = |index: usize| finite(axes.get(index).copied().unwrap_or_default());
        let names = [(TRIGGER_CLICK, 0), (GRIP_CLICK, 1), (PRIMARY, 4), (SECONDARY, 5)];
        Self {
            grip: finite(button(1).value),
            trigger: finite(button(0).value),
            joystick: [axis(2), axis(3)],
            buttons: names
                .map(|(name, index)| (name.to_owned(), button(index).pressed))
                .into_iter()
                .collect::<Buttons>(),
            ..Self::at(pose)
        }
    }
}

/// What the hands feel: a pulse with every frame for as long as the arm of a hand feels something, and one of strength 0
/// when it ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pulses {
    running: [bool; 2],
}

impl Pulses {
    /// The pulses of one frame for the left and the right hand, 0 … 1; 0 stops a motor, nothing leaves it as it is.
    pub fn frame(&mut self, haptics: &[Haptic], controlled_arm_ids: &[String; 2]) -> [Option<f64>; 2] {
        std::array::from_fn(|hand| {
            let strength = haptics
                .iter()
                .filter(|haptic| haptic.active && haptic.arm_id == controlled_arm_ids[hand])
                .map(|haptic| haptic.intensity)
                .fold(0.0, f64::max)
                .min(1.0);
            let was_running = std::mem::replace(&mut self.running[hand], strength > 0.0);
            (strength > 0.0 || was_running).then_some(strength)
        })
    }
}
