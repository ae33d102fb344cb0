//! The clutch: relative motion of a controller mapped to a gripper, independent of where the operator faces.

use crate::geometry::{Base, LocalFloor, Pose};

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
    pub fn target(&self, _controller: Pose<LocalFloor>) -> Pose<Base> {
        let _ = (self.controller, self.gripper, self.scale);
        unimplemented!()
    }
}
