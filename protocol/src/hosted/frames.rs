//! Frames of reference and addresses: how a controller's pose becomes one of the robot's.

use std::f64::consts::FRAC_PI_2;

use glam::{DMat3, DQuat, DVec3};

use crate::geometry::{Base, InvalidPose, LocalFloor, Pose};
use crate::vr::Hand;

/// Both hands, in the order in which they are published.
pub const HANDS: [Hand; 2] = [Hand::Left, Hand::Right];

/// Whose message it is, by the `frame_id` of a pose or Joy; `None` for anything but `left` and `right`, which is
/// dropped.
pub fn hand_of(frame_id: &str) -> Option<Hand> {
    match frame_id {
        "left" => Some(Hand::Left),
        "right" => Some(Hand::Right),
        _ => None,
    }
}

/// The `frame_id` of a hand's messages.
pub const fn frame_id_of(hand: Hand) -> &'static str {
    match hand {
        Hand::Left => "left",
        Hand::Right => "right",
    }
}

/// The coordinator tasks that generation A addresses by `frame_id`; empty in generation B, where ports do the routing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskNames {
    /// The task that follows the left hand.
    pub left: Option<String>,
    /// The task that follows the right hand.
    pub right: Option<String>,
}

impl TaskNames {
    /// The `frame_id` with which a hand's motion is published.
    pub fn frame_id(&self, hand: Hand) -> &str {
        let name = match hand {
            Hand::Left => &self.left,
            Hand::Right => &self.right,
        };
        name.as_deref().unwrap_or(frame_id_of(hand))
    }
}

/// From WebXR (x right, y up, z back) to the robot (x forward, y left, z up).
const AXES: DMat3 = DMat3::from_cols(DVec3::new(0.0, -1.0, 0.0), DVec3::new(0.0, 0.0, 1.0), DVec3::new(-1.0, 0.0, 0.0));

/// A controller's pose in the frame of the robot, rolled by ±90° about its own z so that both hands' grippers agree.
///
/// The axes are turned on the left only; this is no similarity transform, so the result is meaningful as a difference of
/// two poses of the same hand ([`HandDelta`]).
pub fn webxr_to_robot(pose: &Pose<LocalFloor>, hand: Hand) -> Pose<Base> {
    let roll = match hand {
        Hand::Left => FRAC_PI_2,
        Hand::Right => -FRAC_PI_2,
    };
    let orientation = DQuat::from_mat3(&AXES) * pose.orientation() * DQuat::from_rotation_z(roll);
    // Signed permutations of finite coordinates and products of unit quaternions are valid again.
    Pose::new(AXES * pose.position(), orientation).unwrap_or(Pose::IDENTITY)
}

/// A checked pose of a controller.
///
/// # Errors
/// [`InvalidPose`] if a number is not finite, the position is farther than 1000 m away, or the quaternion is shorter
/// than 1e-6.
pub fn controller_pose(position: DVec3, orientation: DQuat) -> Result<Pose<LocalFloor>, InvalidPose> {
    Pose::new(position, orientation)
}

/// What a hand has moved since it engaged, in the axes of the robot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandDelta {
    /// Metres, already scaled.
    pub position: DVec3,
    /// The rotation to apply on the left of the orientation held at the baseline. A unit quaternion.
    pub orientation: DQuat,
}

impl HandDelta {
    /// From `baseline` to `current`; only the position is scaled.
    pub fn between(baseline: &Pose<Base>, current: &Pose<Base>, scale: f64) -> Self {
        Self {
            position: (current.position() - baseline.position()) * scale,
            orientation: (current.orientation() * baseline.orientation().conjugate()).normalize(),
        }
    }
}
