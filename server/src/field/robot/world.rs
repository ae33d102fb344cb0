//! The world of the field (x right, y up, −z forward) and the robot's base (x forward, y left, z up): one origin on the
//! floor, one way forward.

use glam::{DMat3, DQuat, DVec3};
use waldo_protocol::field::Transform;
use waldo_protocol::geometry::{Base, InvalidPose, Pose};

/// A point or direction of the field in the base.
fn vector_to_base(v: DVec3) -> DVec3 {
    DVec3::new(-v.z, -v.x, v.y)
}

/// A point or direction of the base in the field.
pub(super) fn vector_to_field(v: DVec3) -> DVec3 {
    DVec3::new(-v.y, v.z, -v.x)
}

/// A pose of the field in the base.
///
/// # Errors
/// [`InvalidPose`] if it is none.
pub(super) fn pose_to_base(pose: &Transform) -> Result<Pose<Base>, InvalidPose> {
    let turn = DMat3::from_cols(vector_to_base(DVec3::X), vector_to_base(DVec3::Y), vector_to_base(DVec3::Z));
    // Checked and made a unit first: what is turned then is a rotation.
    let own = Pose::<Base>::new(DVec3::ZERO, DQuat::from_array(pose.rotation_xyzw))?.orientation();
    Pose::new(vector_to_base(DVec3::from_array(pose.translation)), DQuat::from_mat3(&turn) * own)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_PI_2;

    use super::*;

    #[test]
    fn forward_left_and_up_are_the_same_in_both() {
        for (field, base) in [
            (DVec3::NEG_Z, DVec3::X),
            (DVec3::NEG_X, DVec3::Y),
            (DVec3::Y, DVec3::Z),
            (DVec3::ONE, DVec3::new(-1.0, -1.0, 1.0)),
        ] {
            assert_eq!((vector_to_base(field), vector_to_field(base)), (base, field));
        }
    }

    #[test]
    fn a_turn_about_the_vertical_is_one_about_the_vertical() {
        let turned = |angle: f64| {
            let rotation_xyzw = (DQuat::from_rotation_y(angle) * 1.5).to_array();
            pose_to_base(&Transform { translation: [0.0, 1.0, -0.4], rotation_xyzw }).unwrap()
        };
        let (before, after) = (turned(0.0), turned(FRAC_PI_2));
        assert_eq!(after.position(), DVec3::new(0.4, 0.0, 1.0));
        let turn = after.orientation() * before.orientation().conjugate();
        assert!(turn.angle_between(DQuat::from_rotation_z(FRAC_PI_2)) < 1e-7, "{turn}");
    }

    #[test]
    fn what_is_no_pose_is_refused() {
        let refused = |translation, rotation_xyzw| pose_to_base(&Transform { translation, rotation_xyzw }).is_err();
        assert!(refused([f64::NAN, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]));
        assert!(refused([0.0, 1e9, 0.0], [0.0, 0.0, 0.0, 1.0]));
        assert!(refused([0.0; 3], [0.0; 4]));
    }
}
