//! Forward kinematics of a description's arms: where each joint and the gripper mount are, and how they move.
//!
//! [`forward`] answers one question once. A solver keeps [`ArmFrames`] and updates them: no allocation after the first.

use std::ops::Mul;

use glam::{DQuat, DVec3};
use waldo_protocol::geometry::{Base, Frame, InvalidPose, Pose};

use super::Arm;

/// A rigid motion: takes coordinates of one frame to those of another, metres.
///
/// The unchecked counterpart of [`Pose`] for chains of frames; `a * b` applies `b` first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transform {
    /// Turns first; a unit quaternion.
    pub rotation: DQuat,
    /// Then moves.
    pub translation: DVec3,
}

impl Transform {
    /// Changes nothing.
    pub const IDENTITY: Self = Self { rotation: DQuat::IDENTITY, translation: DVec3::ZERO };

    /// Only turns.
    pub const fn from_rotation(rotation: DQuat) -> Self {
        Self { rotation, translation: DVec3::ZERO }
    }

    /// Only moves.
    pub const fn from_translation(translation: DVec3) -> Self {
        Self { rotation: DQuat::IDENTITY, translation }
    }

    /// Coordinates of a point after the motion.
    pub fn point(&self, point: DVec3) -> DVec3 {
        self.rotation * point + self.translation
    }

    /// The motion back.
    pub fn inverse(&self) -> Self {
        let rotation = self.rotation.conjugate();
        Self { rotation, translation: -(rotation * self.translation) }
    }

    /// This transform as the pose of its moved origin.
    ///
    /// # Errors
    /// [`InvalidPose`] if a component is not finite or the origin is out of range.
    pub fn to_pose<F: Frame>(self) -> Result<Pose<F>, InvalidPose> {
        Pose::new(self.translation, self.rotation)
    }
}

impl Mul for Transform {
    type Output = Self;

    fn mul(self, rhs: Self) -> Self {
        Self { rotation: self.rotation * rhs.rotation, translation: self.point(rhs.translation) }
    }
}

impl<F: Frame> From<Pose<F>> for Transform {
    fn from(pose: Pose<F>) -> Self {
        Self { rotation: pose.orientation(), translation: pose.position() }
    }
}

/// Where a joint is in the base, after its own rotation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JointFrame {
    /// Joint frame to base.
    pub transform: Transform,
    /// The axis of rotation in the base, a unit vector.
    pub axis: DVec3,
}

/// How the gripper mount moves for one rad/s of a joint: a column of the geometric Jacobian, in the base.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Twist {
    /// Velocity of the gripper mount, m/s.
    pub linear: DVec3,
    /// Angular velocity of the gripper, rad/s.
    pub angular: DVec3,
}

/// All frames of one arm in one posture.
#[derive(Clone, Debug)]
pub struct ArmFrames {
    joints: Vec<JointFrame>,
    gripper: Transform,
}

impl ArmFrames {
    /// The frames at these joint angles (rad, in the order of the description). Missing angles count as zero.
    pub fn at(arm: &Arm, angles: &[f64]) -> Self {
        let mut frames = Self { joints: Vec::with_capacity(arm.joints.len()), gripper: Transform::IDENTITY };
        frames.update(arm, angles);
        frames
    }

    /// Moves to other joint angles. Does not allocate when the arm is the one the frames were made for.
    pub fn update(&mut self, arm: &Arm, angles: &[f64]) {
        self.joints.clear();
        let mut link = Transform::IDENTITY;
        for (i, joint) in arm.joints.iter().enumerate() {
            let angle = angles.get(i).copied().unwrap_or(0.0);
            let turn = Transform::from_rotation(DQuat::from_axis_angle(joint.axis, angle));
            link = link * Transform::from(joint.origin) * turn;
            self.joints.push(JointFrame { transform: link, axis: link.rotation * joint.axis });
        }
        self.gripper = link * Transform::from(arm.gripper_mount);
    }

    /// Joint frames from the base to the gripper.
    pub fn joints(&self) -> &[JointFrame] {
        &self.joints
    }

    /// Gripper mount to base.
    pub fn gripper(&self) -> Transform {
        self.gripper
    }

    /// The geometric Jacobian of the gripper mount: one column per joint.
    pub fn jacobian(&self) -> impl ExactSizeIterator<Item = Twist> {
        self.joints.iter().map(|joint| Twist {
            linear: joint.axis.cross(self.gripper.translation - joint.transform.translation),
            angular: joint.axis,
        })
    }
}

/// Pose of the gripper mount in the base for these joint angles (rad, in the order of the description).
///
/// Angles that are not finite have no pose: the base's origin stands in for it.
pub fn forward(arm: &Arm, joints: &[f64]) -> Pose<Base> {
    ArmFrames::at(arm, joints).gripper().to_pose().unwrap_or(Pose::IDENTITY)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_PI_2;

    use proptest::prelude::*;

    use super::*;
    use crate::robot::Joint;
    use crate::robot::sim::model;

    fn planar_arm() -> Arm {
        let joint = |name: &str, x: f64| Joint {
            name: name.into(),
            origin: Pose::new(DVec3::new(x, 0.0, 0.0), DQuat::IDENTITY).unwrap(),
            axis: DVec3::Z,
            lower: -3.0,
            upper: 3.0,
            max_velocity: 1.0,
            max_acceleration: 10.0,
        };
        Arm {
            joints: vec![joint("a", 1.0), joint("b", 2.0)],
            gripper_mount: Pose::new(DVec3::new(0.5, 0.0, 0.0), DQuat::IDENTITY).unwrap(),
            rest: vec![0.0; 2],
            ..model::description().arms[0].clone()
        }
    }

    #[test]
    fn a_planar_arm_folds_as_on_paper() {
        let pose = forward(&planar_arm(), &[FRAC_PI_2, -FRAC_PI_2]);
        assert!(pose.position().distance(DVec3::new(1.5, 2.0, 0.0)) < 1e-12);
        assert!(pose.orientation().angle_between(DQuat::IDENTITY) < 1e-7);
    }

    #[test]
    fn missing_angles_count_as_zero_and_strange_ones_give_the_origin() {
        let arm = planar_arm();
        assert_eq!(forward(&arm, &[0.3]), forward(&arm, &[0.3, 0.0]));
        assert_eq!(forward(&arm, &[f64::NAN, 0.0]), Pose::IDENTITY);
    }

    #[test]
    fn a_transform_and_its_inverse_cancel() {
        let t = Transform { rotation: DQuat::from_rotation_x(0.7), translation: DVec3::new(1.0, -2.0, 0.5) };
        let p = DVec3::new(0.1, 0.2, 0.3);
        assert!((t.inverse() * t).point(p).distance(p) < 1e-12);
    }

    proptest! {
        #[test]
        fn the_jacobian_is_the_slope_of_forward(angles in prop::array::uniform7(-1.5f64..1.5), which in 0usize..7, side in 0usize..2) {
            let arm = &model::description().arms[side];
            let frames = ArmFrames::at(arm, &angles);
            let twist = frames.jacobian().nth(which).unwrap();
            let h = 1e-6;
            let mut ahead = angles;
            ahead[which] += h;
            let moved = ArmFrames::at(arm, &ahead).gripper();
            let linear = (moved.translation - frames.gripper().translation) / h;
            let angular = (moved.rotation * frames.gripper().rotation.conjugate()).to_scaled_axis() / h;
            prop_assert!(linear.distance(twist.linear) < 1e-5, "{linear} {}", twist.linear);
            prop_assert!(angular.distance(twist.angular) < 1e-5, "{angular} {}", twist.angular);
        }
    }
}
