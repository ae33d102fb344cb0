//! Forward kinematics of a description's arms.

use waldo_protocol::geometry::{Base, Pose};

use super::Arm;

/// Pose of the gripper mount in the base for these joint angles (rad, in the order of the description).
pub fn forward(_arm: &Arm, _joints: &[f64]) -> Pose<Base> {
    unimplemented!()
}
