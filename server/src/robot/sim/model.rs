//! What the simulated robot looks like to kinematics: lengths, limits, the rest posture.
//!
//! Each arm hangs from a shoulder like a person's: three joints in the shoulder, one in the elbow, three in the wrist.
//! At angle zero it hangs straight down and all joint frames are parallel to the base. The gripper sits on a bracket
//! that bends [`BRACKET`] from the hand, which keeps the wrist away from its singular postures over the whole table.

use std::f64::consts::FRAC_PI_2;

use glam::{DQuat, DVec3};
use waldo_protocol::geometry::{Parent, Pose};
use waldo_protocol::vr::Hand;

use crate::robot::{Arm, Description, Joint, Lift, MobileBase};

/// Left shoulder in the base; the right one mirrors it.
pub(super) const SHOULDER: DVec3 = DVec3::new(0.0, 0.2, 1.22);
/// Shoulder to elbow, metres.
pub(super) const UPPER_ARM: f64 = 0.33;
/// Elbow to wrist, metres.
pub(super) const FOREARM: f64 = 0.31;
/// Wrist to the bend of the bracket, metres.
pub(super) const HAND: f64 = 0.06;
/// Bend to the gripper mount, metres.
pub(super) const MOUNT: f64 = 0.08;
/// The bend itself, rad.
pub(super) const BRACKET: f64 = std::f64::consts::FRAC_PI_4;
/// Gripper mount to fingertips along the approach direction, metres.
pub(super) const FINGERTIP: f64 = 0.145;
/// Acceleration that commands may ask of every joint, rad/s².
pub(super) const MAX_ACCELERATION: f64 = 50.0;
/// Distance between the open fingers, metres.
pub(super) const MAX_GAP: f64 = 0.1;

/// Names of the cameras, in the order in which they are offered.
pub(super) const CAMERAS: [&str; 4] = ["overhead_left", "overhead_right", "left_arm", "right_arm"];

/// Upper arm down, elbow well bent, gripper 35° below the horizontal, rad.
const REST: [f64; 7] = [0.0, 0.0, 0.0, 1.99, 0.0, -0.25, 0.0];

/// The simulated robot's description.
pub(crate) fn description() -> Description {
    Description {
        name: "simulated".into(),
        arms: vec![arm("left", Hand::Left, 1.0), arm("right", Hand::Right, -1.0)],
        base: Some(MobileBase {
            max_speed: 0.5,
            max_turn: 1.0,
            lift: Some(Lift { lower: 0.0, upper: 0.4, max_speed: 0.15 }),
        }),
        cameras: CAMERAS.map(String::from).to_vec(),
    }
}

/// `side` is 1 for the left, −1 for the right arm. Mirrored axes make equal angles mirrored postures.
fn arm(name: &str, hand: Hand, side: f64) -> Arm {
    let mirror = |v: DVec3| DVec3::new(v.x, side * v.y, v.z);
    let bend = DVec3::NEG_Y;
    let abduct = DVec3::X * side;
    let twist = DVec3::Z * side;
    let origin = |offset| pose(offset, DQuat::IDENTITY);
    let joint = |name: &str, offset: DVec3, axis, lower, upper, max_velocity| Joint {
        name: name.into(),
        origin: origin(offset),
        axis,
        lower,
        upper,
        max_velocity,
        max_acceleration: MAX_ACCELERATION,
    };
    let down = |length: f64| DVec3::NEG_Z * length;

    // At angle zero the gripper hangs down with x to the left: turned about z, then bent backward by the bracket.
    let bracket = DQuat::from_rotation_y(BRACKET);
    let gripper = bracket * DQuat::from_rotation_z(FRAC_PI_2);
    Arm {
        name: name.into(),
        hand,
        joints: vec![
            joint("shoulder_pitch", mirror(SHOULDER), bend, -1.2, 2.8, 2.6),
            joint("shoulder_roll", DVec3::ZERO, abduct, -0.5, 1.4, 2.6),
            joint("shoulder_yaw", DVec3::ZERO, twist, -1.7, 1.7, 2.6),
            joint("elbow", down(UPPER_ARM), bend, 0.1, 2.6, 3.1),
            joint("forearm_roll", DVec3::ZERO, twist, -2.8, 2.8, 4.4),
            joint("wrist_pitch", down(FOREARM), bend, -1.4, 1.4, 4.4),
            joint("wrist_yaw", DVec3::ZERO, abduct, -1.4, 1.4, 4.4),
        ],
        gripper_mount: pose(down(HAND) + bracket * down(MOUNT), gripper),
        rest: REST.to_vec(),
        workspace_min: DVec3::new(0.16, if side > 0.0 { -0.35 } else { -0.75 }, 0.77),
        workspace_max: DVec3::new(0.8, if side > 0.0 { 0.75 } else { 0.35 }, 1.6),
    }
}

fn pose(position: DVec3, orientation: DQuat) -> Pose<Parent> {
    Pose::new(position, orientation).expect("the model's lengths are small and its rotations unit quaternions")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robot::kinematics::{ArmFrames, forward};

    #[test]
    fn at_rest_the_grippers_look_forward_and_down_at_the_table_with_x_to_the_left() {
        for arm in description().arms {
            let pose = forward(&arm, &arm.rest);
            let side = if arm.name == "left" { 1.0 } else { -1.0 };
            assert!(pose.position().distance(DVec3::new(0.41, 0.2 * side, 0.98)) < 0.01, "{pose:?}");
            assert!((pose.orientation() * DVec3::X).distance(DVec3::Y) < 1e-9);
            let approach = pose.orientation() * DVec3::NEG_Z;
            assert!(approach.x > 0.8 && approach.z < -0.5, "{approach}");
            assert!((pose.orientation() * DVec3::Y).z < -0.8, "y is down");
        }
    }

    #[test]
    fn equal_angles_are_mirrored_postures() {
        let arms = description().arms;
        let angles = [0.3, 0.4, -0.5, 1.2, 0.7, -0.3, 0.6];
        let (left, right) = (forward(&arms[0], &angles), forward(&arms[1], &angles));
        assert!((left.position() * DVec3::new(1.0, -1.0, 1.0)).distance(right.position()) < 1e-12);
        let approach = |p: Pose<waldo_protocol::geometry::Base>| p.orientation() * DVec3::NEG_Z;
        assert!((approach(left) * DVec3::new(1.0, -1.0, 1.0)).distance(approach(right)) < 1e-12);
    }

    #[test]
    fn rest_lies_inside_limits_and_workspace_with_room_to_spare() {
        for arm in description().arms {
            assert_eq!(arm.rest.len(), arm.joints.len());
            for (angle, joint) in arm.rest.iter().zip(&arm.joints) {
                assert!(angle - joint.lower > 0.4 && joint.upper - angle > 0.4, "{}", joint.name);
            }
            let p = forward(&arm, &arm.rest).position();
            assert!((p - arm.workspace_min).min_element() > 0.1 && (arm.workspace_max - p).min_element() > 0.1);
        }
    }

    #[test]
    fn rest_is_far_from_singular() {
        for arm in description().arms {
            let frames = ArmFrames::at(&arm, &arm.rest);
            let columns: Vec<f64> =
                frames.jacobian().flat_map(|t| [t.linear.to_array(), t.angular.to_array()].concat()).collect();
            let smallest = nalgebra::DMatrix::from_column_slice(6, 7, &columns).singular_values().min();
            assert!(smallest > 0.1, "{smallest}");
        }
    }

    #[test]
    fn joint_names_are_unique_and_axes_are_unit_vectors() {
        for arm in description().arms {
            let mut names: Vec<_> = arm.joints.iter().map(|j| &j.name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 7);
            assert!(arm.joints.iter().all(|j| j.axis.is_normalized() && j.lower < j.upper && j.max_velocity > 0.0));
        }
    }
}
