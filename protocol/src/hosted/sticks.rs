//! What thumbsticks ask a base for, and how a browser's gamepad becomes a Joy.

use super::{SpeedMode, Velocities};

/// Deflections below this are none.
const DEADZONE: f64 = 0.12;
/// Buttons of a Joy; original robots refuse shorter ones.
const BUTTONS: usize = 7;

/// Which grip is held: the speed changes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// None.
    #[default]
    Plain,
    /// The right one.
    Double,
    /// The left one.
    Half,
}

/// Velocities for the sticks, each x right and y back positive, -1 to 1; `None` while both are at rest.
pub fn sticks_to_velocities(left: [f64; 2], right: [f64; 2], pace: Pace, mode: SpeedMode) -> Option<Velocities> {
    let axis = |value: f64| if value.abs() < DEADZONE || !value.is_finite() { 0.0 } else { value.clamp(-1.0, 1.0) };
    let [strafe, back, turn] = [axis(left[0]), axis(left[1]), axis(right[0])];
    if [strafe, back, turn] == [0.0; 3] {
        return None;
    }
    let factor = match pace {
        Pace::Plain => 1.0,
        Pace::Double => 2.0,
        Pace::Half => 0.5,
    };
    let [linear, angular] = mode.speeds();
    // 0.0 - x, so that a stick at rest gives no negative zero.
    let along = |value: f64, speed: f64| (0.0 - value) * factor * speed;
    Some([along(back, linear), along(strafe, linear), 0.0, 0.0, 0.0, along(turn, angular)])
}

/// Axes and buttons of a Joy for a gamepad: stick x and y, trigger, grip; and at least seven buttons, in the order of
/// the gamepad but with the upper ones where robots expect them. `buttons`: value, 0 to 1, and pressed.
pub fn gamepad_to_joy(xr_standard: bool, axes: &[f64], buttons: &[(f64, bool)]) -> ([f32; 4], Vec<i32>) {
    let first = if xr_standard { 2 } else { 0 };
    let axis = |index: usize| axes.get(index).copied().filter(|value| value.is_finite()).unwrap_or(0.0);
    let value = |index: usize| buttons.get(index).map_or(0.0, |(value, _)| *value);
    #[expect(clippy::cast_possible_truncation, reason = "the wire has single precision")]
    let axes = [axis(first), axis(first + 1), value(0), value(1)].map(|value| value as f32);
    let mut pressed: Vec<i32> = buttons.iter().map(|(_, pressed)| i32::from(*pressed)).collect();
    pressed.resize(pressed.len().max(BUTTONS), 0);
    (axes, pressed)
}
