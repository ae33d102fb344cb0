//! The clutch: relative motion of a controller mapped to a gripper, independent of where the operator faces.

use glam::{DQuat, DVec3};

use crate::geometry::{Base, LocalFloor, MAX_COORDINATE, Pose};

/// Factors applied to the controller's motion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClutchScale {
    /// Position multiplier, 1.0 by default.
    pub position: f64,
    /// Rotation multiplier, 1.0 by default: scales the angle, keeps the axis.
    pub rotation: f64,
}

impl Default for ClutchScale {
    fn default() -> Self {
        Self { position: 1.0, rotation: 1.0 }
    }
}

/// Snapshot of one arm at the moment of engaging.
#[derive(Clone, Copy, Debug)]
pub struct Clutch {
    controller: Pose<LocalFloor>,
    gripper: Pose<Base>,
    scale: ClutchScale,
}

impl Clutch {
    /// Engages: from now on `controller` maps to `gripper`, the gripper mount's commanded pose.
    pub fn engage(controller: Pose<LocalFloor>, gripper: Pose<Base>, scale: ClutchScale) -> Self {
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
        let turned = power(to_engaged * controller.orientation(), self.scale.rotation);

        let step = self.gripper.orientation() * flip(moved) * self.scale.position;
        let limit = DVec3::splat(MAX_COORDINATE);
        let position = (self.gripper.position() + step).clamp(-limit, limit);
        let turn = flip(DVec3::new(turned.x, turned.y, turned.z));
        let orientation = self.gripper.orientation() * DQuat::from_xyzw(turn.x, turn.y, turn.z, turned.w);
        Pose::new(position, orientation).unwrap_or(self.gripper)
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
