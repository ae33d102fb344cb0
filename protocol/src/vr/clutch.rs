//! The clutch: relative motion of a controller mapped to a gripper, independent of where the operator faces.

use glam::{DQuat, DVec3};

use super::MotionScale;
use crate::geometry::{Base, LocalFloor, MAX_COORDINATE, Pose};

/// Snapshot of one arm at the moment of engaging.
#[derive(Clone, Copy, Debug)]
pub struct Clutch {
    controller: Pose<LocalFloor>,
    gripper: Pose<Base>,
    scale: MotionScale,
}

impl Clutch {
    /// Engages: from now on `controller` maps to `gripper`, the gripper mount's commanded pose.
    pub fn engage(controller: Pose<LocalFloor>, gripper: Pose<Base>, scale: MotionScale) -> Self {
        Self { controller, gripper, scale }
    }

    /// The gripper target for the controller's present pose.
    ///
    /// Motion is taken in the controller's own axes at engage and replayed in the gripper's: along the controller's ray
    /// becomes along the gripper's approach direction, both −z. Every coordinate stays within [`MAX_COORDINATE`]; a
    /// scale that is not finite moves nothing.
    pub fn target(&self, controller: Pose<LocalFloor>) -> Pose<Base> {
        let to_engaged = self.controller.orientation().conjugate();
        let moved = to_engaged * (controller.position() - self.controller.position());
        let turned = power(to_engaged * controller.orientation(), self.scale.rot);

        let position = self.gripper.position() + self.gripper.orientation() * flip(moved) * self.scale.pos;
        // A clamp would turn not-a-number into a corner of the range.
        if !position.is_finite() {
            return self.gripper;
        }
        let limit = DVec3::splat(MAX_COORDINATE);
        let turn = flip(DVec3::new(turned.x, turned.y, turned.z));
        let orientation = self.gripper.orientation() * DQuat::from_xyzw(turn.x, turn.y, turn.z, turned.w);
        Pose::new(position.clamp(-limit, limit), orientation).unwrap_or(self.gripper)
    }
}

/// The half turn about z between the controller's axes (x right, y up) and the gripper's (x left, y down).
fn flip(v: DVec3) -> DVec3 {
    DVec3::new(-v.x, -v.y, v.z)
}

/// The rotation `q` with its angle, taken in 0…π, multiplied by `exponent` and its axis kept.
///
/// Through half the angle from `atan2`, so that it is as exact near a half turn, where the trace of a rotation matrix
/// loses the axis, as near zero. At exactly a half turn both axes are right; the one whose first component that is not
/// zero is positive is taken, so that q and −q give the same.
fn power(q: DQuat, exponent: f64) -> DQuat {
    let axis = DVec3::new(q.x, q.y, q.z);
    let leading = [q.w, q.x, q.y, q.z].into_iter().find(|c| *c != 0.0).unwrap_or(1.0);
    let (axis, w) = if leading < 0.0 { (-axis, -q.w) } else { (axis, q.w) };
    let sine = axis.length();
    if sine < f64::MIN_POSITIVE {
        return DQuat::IDENTITY;
    }
    let half = sine.atan2(w) * exponent;
    let axis = axis * (half.sin() / sine);
    DQuat::from_xyzw(axis.x, axis.y, axis.z, half.cos())
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    fn turned(axis: DVec3, angle: f64) -> Pose<LocalFloor> {
        Pose::new(DVec3::ZERO, DQuat::from_axis_angle(axis, angle)).unwrap()
    }

    fn scaled(rotation: f64) -> Clutch {
        Clutch::engage(Pose::IDENTITY, Pose::IDENTITY, MotionScale { pos: 1.0, rot: rotation })
    }

    #[test]
    fn scaled_rotations_are_exact_on_both_sides_of_a_half_turn() {
        let axis = DVec3::new(0.48, 0.6, 0.64);
        for rotation in [0.0, 0.1, 0.5, 1.5, 2.0, -1.0] {
            for beside in [1e-3, 1e-6, 1e-9, 1e-12, 1e-15, 0.0] {
                for (angle, axis) in [(PI - beside, axis), (PI + beside, axis), (PI - beside, -axis)] {
                    let target = scaled(rotation).target(turned(axis, angle)).orientation();
                    // Past a half turn the shorter way round is the other one.
                    let (short, axis) = if angle > PI { (2.0 * PI - angle, -axis) } else { (angle, axis) };
                    let expected = |axis: DVec3| DQuat::from_axis_angle(flip(axis), short * rotation);
                    let off = target.dot(expected(axis)).abs();
                    let off_other_way = target.dot(expected(-axis)).abs();
                    let best = if beside < 1e-14 { off.max(off_other_way) } else { off };
                    assert!(target.is_normalized(), "{rotation} {beside}: {target}");
                    assert!(best > 1.0 - 1e-12, "{rotation} {beside}: {target}");
                }
            }
        }
    }

    #[test]
    fn both_quaternions_of_a_half_turn_give_the_same_target() {
        for axis in [DVec3::X, DVec3::NEG_Y, DVec3::new(-0.6, 0.0, 0.8)] {
            let q = DQuat::from_xyzw(axis.x, axis.y, axis.z, 0.0);
            let target = |q| scaled(0.5).target(Pose::new(DVec3::ZERO, q).unwrap());
            assert_eq!(target(q), target(-q));
        }
    }

    #[test]
    fn tiny_rotations_are_scaled_too() {
        let target = scaled(3.0).target(turned(DVec3::Z, 1e-9)).orientation();
        assert!((target.z - 1.5e-9).abs() < 1e-20, "{target}");
    }

    #[test]
    fn a_scale_that_is_not_finite_moves_nothing() {
        let far = Pose::new(DVec3::ONE, DQuat::from_rotation_x(1.0)).unwrap();
        for (position, rotation) in [(f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            let clutch = Clutch::engage(Pose::IDENTITY, Pose::IDENTITY, MotionScale { pos: position, rot: rotation });
            assert_eq!(clutch.target(far), Pose::IDENTITY);
        }
    }

    #[test]
    fn the_target_stays_within_the_largest_coordinate() {
        let corner = |c| Pose::<LocalFloor>::new(DVec3::splat(c), DQuat::IDENTITY).unwrap();
        let clutch = Clutch::engage(corner(-1000.0), Pose::IDENTITY, MotionScale::default());
        assert_eq!(clutch.target(corner(1000.0)).position(), DVec3::new(-1000.0, -1000.0, 1000.0));
    }
}
