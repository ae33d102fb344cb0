//! The arms of a robot as a field shows them: a line through their joints, with what the gripper holds open at its end.

use glam::DVec3;
use waldo_protocol::field::{ArmState, Director, Transform, director_rotation};

use super::world::vector_to_field;
use crate::robot::Arm;
use crate::robot::kinematics::{ArmFrames, Transform as Motion};

/// Joints nearer to each other than this are one point of the line, metres.
const ONE_POINT: f64 = 0.005;

/// From the gripper mount to where fingers end, metres. Descriptions do not tell it.
const FINGERS: f64 = 0.12;

/// Radius of the first and of the last link, metres. Descriptions do not tell it either.
const LINKS: (f64, f64) = (0.055, 0.03);

/// Radius of a closed gripper and of an open one, metres.
const GRIPPER: (f64, f64) = (0.015, 0.05);

/// One arm of the robot.
#[derive(Debug)]
pub(super) struct DrawnArm {
    pub(super) arm: Arm,
    /// The joints that are points of the line.
    joints: Vec<usize>,
}

impl DrawnArm {
    pub(super) fn new(arm: &Arm) -> Self {
        let frames = ArmFrames::at(arm, &arm.rest);
        let mut joints: Vec<usize> = Vec::new();
        for (i, joint) in frames.joints().iter().enumerate() {
            let last = joints.last().and_then(|last| frames.joints().get(*last));
            let apart = |last: DVec3| last.distance(joint.transform.translation) > ONE_POINT;
            if last.is_none_or(|last| apart(last.transform.translation)) {
                joints.push(i);
            }
        }
        Self { arm: arm.clone(), joints }
    }

    /// Where it is with these joint angles, rad, and this opening of the gripper, 0 … 1.
    pub(super) fn state(&self, id: &str, owner: Option<&str>, angles: &[f64], opening: f64) -> ArmState {
        let frames = ArmFrames::at(&self.arm, angles);
        let gripper = frames.gripper();
        let joints =
            self.joints.iter().filter_map(|i| frames.joints().get(*i)).map(|joint| joint.transform.translation);
        let mut points: Vec<DVec3> = joints.collect();
        if points.last().is_none_or(|last| last.distance(gripper.translation) > ONE_POINT) {
            points.push(gripper.translation);
        }
        points.push(gripper.point(DVec3::NEG_Z * FINGERS));
        let points: Vec<DVec3> = points.into_iter().map(vector_to_field).collect();

        let lengths: Vec<f64> = points.windows(2).map(|ends| ends[0].distance(ends[1])).collect();
        let links = lengths.len().saturating_sub(1);
        let radius = |link: usize| LINKS.0 + (LINKS.1 - LINKS.0) * link as f64 / links.max(1) as f64;
        let mut radii: Vec<f64> = (0..links).map(radius).collect();
        radii.push(GRIPPER.0 + (GRIPPER.1 - GRIPPER.0) * opening.clamp(0.0, 1.0));
        // Across the links lies what is across the gripper, so that nothing turns over between them.
        let across = vector_to_field(gripper.rotation * DVec3::X);
        let mut directors: Vec<Director> = points.windows(2).map(|ends| along(ends[1] - ends[0], across)).collect();
        if let Some(last) = directors.last_mut() {
            *last = of_gripper(gripper);
        }

        let end = |point: Option<&DVec3>| point.copied().unwrap_or_default().to_array();
        let tip = Transform {
            translation: end(points.last()),
            rotation_xyzw: directors.last().map_or(Transform::IDENTITY.rotation_xyzw, director_rotation),
        };
        ArmState {
            owner_user_id: owner.map(str::to_owned),
            tip,
            centerline: points.iter().map(DVec3::to_array).collect(),
            radii,
            element_lengths: lengths,
            directors,
            ..ArmState::new(id, Transform::at(end(points.first())))
        }
    }
}

/// A frame along this way, its normal as near to `across` as can be.
fn along(way: DVec3, across: DVec3) -> Director {
    let tangent = way.normalize_or(DVec3::Y);
    let normal = across.reject_from_normalized(tangent).normalize_or(tangent.any_orthonormal_vector());
    [normal, tangent.cross(normal), tangent].map(|axis| axis.to_array())
}

/// The frame of the gripper: its tangent is the way it approaches, its normal lies across the fingers.
fn of_gripper(gripper: Motion) -> Director {
    let axis = |axis: DVec3| vector_to_field(gripper.rotation * axis).to_array();
    [axis(DVec3::X), axis(DVec3::NEG_Y), axis(DVec3::NEG_Z)]
}

#[cfg(test)]
mod tests {
    use glam::DQuat;

    use super::*;
    use crate::robot::kinematics::forward;
    use crate::robot::sim::model;

    fn state(angles: &[f64], opening: f64) -> ArmState {
        DrawnArm::new(&model::description().arms[0]).state("amy_arm_0", Some("amy"), angles, opening)
    }

    #[test]
    fn the_line_goes_from_the_shoulder_over_elbow_and_wrist_to_the_fingers() {
        let arm = &model::description().arms[0];
        let shown = state(&arm.rest, 1.0);
        assert_eq!(shown.centerline.len(), 5, "{:?}", shown.centerline);
        assert_eq!((shown.radii.len(), shown.element_lengths.len(), shown.directors.len()), (4, 4, 4));
        assert_eq!(shown.base, Transform::at([-0.2, 1.22, 0.0]));
        assert_eq!((shown.centerline[0], shown.centerline[4]), (shown.base.translation, shown.tip.translation));
        let mount = forward(arm, &arm.rest).position();
        assert!(DVec3::from(shown.centerline[3]).distance(vector_to_field(mount)) < 1e-9);
        assert!((shown.element_lengths[0] - 0.33).abs() < 1e-9 && (shown.element_lengths[3] - FINGERS).abs() < 1e-9);
        assert!(shown.tip.translation[2] < -0.4, "in front of the robot");
    }

    #[test]
    fn directors_are_rotations_along_the_line_and_the_tip_has_that_of_the_last_one() {
        let shown = state(&[0.3, 0.4, -0.5, 1.2, 0.7, -0.3, 0.6], 0.5);
        for (director, ends) in shown.directors.iter().zip(shown.centerline.windows(2)) {
            let [n, b, t] = director.map(DVec3::from);
            assert!((n.cross(b) - t).length() < 1e-9 && n.is_normalized() && b.is_normalized());
            let way = DVec3::from(ends[1]) - DVec3::from(ends[0]);
            assert!((way.normalize() - t).length() < 1e-6);
        }
        let rotation = DQuat::from_array(shown.tip.rotation_xyzw);
        assert!((rotation * DVec3::Z - DVec3::from(shown.directors[3][2])).length() < 1e-9);
        assert_eq!(shown.base.rotation_xyzw, Transform::IDENTITY.rotation_xyzw);
    }

    #[test]
    fn an_open_gripper_is_wider_than_a_closed_one() {
        let rest = &model::description().arms[0].rest;
        assert!(state(rest, 1.0).radii[3] > 2.0 * state(rest, 0.0).radii[3]);
    }
}
