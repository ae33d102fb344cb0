//! An arm without a simulation: its tip is where an active command wants it.

use waldo_protocol::field::{ArmCommand, ArmState, TipPose, Transform, UNTURNED};

/// Length of each of the two elements at the start, metres.
const ELEMENT: f64 = 0.2;
const RADII: [f64; 2] = [0.04, 0.03];
/// A tip stays that far in front of its base along z, metres.
const FLOOR: f64 = 0.1;

/// An arm at rest, along +z.
pub(super) fn at_rest(arm_id: &str, owner: &str, base: Transform) -> ArmState {
    let [x, y, z] = base.translation;
    let tip = [x, y, z + 2.0 * ELEMENT];
    ArmState {
        owner_user_id: Some(owner.to_owned()),
        tip: Transform::at(tip),
        centerline: vec![base.translation, [x, y, z + ELEMENT], tip],
        radii: RADII.to_vec(),
        element_lengths: vec![ELEMENT; 2],
        directors: vec![UNTURNED; 2],
        ..ArmState::new(arm_id, base)
    }
}

/// Where an active command wants the tip; others, and what is no pose, change nothing.
pub(super) fn apply(arm: &mut ArmState, command: &ArmCommand) {
    if !command.active || TipPose::of(&command.target).is_none() {
        return;
    }
    let base = arm.base.translation;
    let [x, y, z] = command.target.translation;
    let tip = [x, y, z.max(base[2] + FLOOR)];
    let middle = [0, 1, 2].map(|axis| 0.5 * (base[axis] + tip[axis]));
    let half = [0, 1, 2].map(|axis| middle[axis] - base[axis]);
    arm.tip = Transform { translation: tip, rotation_xyzw: command.target.rotation_xyzw };
    arm.centerline = vec![base, middle, tip];
    arm.element_lengths = vec![half.iter().map(|value| value * value).sum::<f64>().sqrt(); 2];
}
