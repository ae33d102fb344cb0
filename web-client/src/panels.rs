//! Where the camera pictures hang around the operator. Lengths in metres, frame `local-floor`.

use glam::{DMat3, DMat4, DQuat, DVec3};
use waldo_protocol::geometry::{LocalFloor, Pose};

/// Width of the overhead picture.
pub const OVERHEAD_WIDTH: f64 = 1.0;
/// Width of a wrist picture.
pub const WRIST_WIDTH: f64 = 0.5;
/// Width over height before the first picture came.
pub const DEFAULT_ASPECT: f64 = 16.0 / 9.0;

/// A place for one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In front, a little below the eyes.
    Overhead,
    /// Below left.
    LeftWrist,
    /// Below right.
    RightWrist,
}

impl Place {
    /// All places.
    pub const ALL: [Self; 3] = [Self::Overhead, Self::LeftWrist, Self::RightWrist];

    /// Where a camera of this name is shown; `None` for cameras that are not shown in the headset.
    pub fn of_camera(name: &str) -> Option<Self> {
        match name {
            "overhead" | "overhead_left" | "overhead_right" | "overhead_sbs" => Some(Self::Overhead),
            "left_arm" => Some(Self::LeftWrist),
            "right_arm" => Some(Self::RightWrist),
            _ => None,
        }
    }

    fn centre(self) -> DVec3 {
        match self {
            Self::Overhead => DVec3::new(0.0, -0.175, -1.0),
            Self::LeftWrist => DVec3::new(-0.72, -0.52, -1.0),
            Self::RightWrist => DVec3::new(0.72, -0.52, -1.0),
        }
    }

    fn width(self) -> f64 {
        match self {
            Self::Overhead => OVERHEAD_WIDTH,
            Self::LeftWrist | Self::RightWrist => WRIST_WIDTH,
        }
    }
}

/// The head's place and heading at the start of a presentation; the pictures stay there.
#[derive(Clone, Copy, Debug)]
pub struct Anchor(DMat4);

impl Anchor {
    /// Anchors at `head`: its position, and of its orientation only the yaw.
    pub fn at(head: Pose<LocalFloor>) -> Self {
        let ahead = head.orientation() * DVec3::NEG_Z;
        // Looking straight up or down there is no heading in the gaze; the top of the head has one.
        let flat =
            if ahead.x.hypot(ahead.z) > 1e-3 { ahead } else { head.orientation() * DVec3::Y * -ahead.y.signum() };
        let yaw = (-flat.x).atan2(-flat.z);
        Self(DMat4::from_rotation_translation(DQuat::from_rotation_y(yaw), head.position()))
    }

    /// Model matrix of the unit square (centred, in x and y, facing +z) for a picture of this width over height.
    /// The picture faces the anchored head.
    pub fn place(&self, place: Place, aspect: f64) -> DMat4 {
        let centre = place.centre();
        let towards_head = (-centre).normalize();
        let right = DVec3::Y.cross(towards_head).normalize();
        let up = towards_head.cross(right);
        let facing = DMat4::from_mat3(DMat3::from_cols(right, up, towards_head));
        let width = place.width();
        self.0 * DMat4::from_translation(centre) * facing * DMat4::from_scale(DVec3::new(width, width / aspect, 1.0))
    }
}

/// An eye of the headset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eye {
    /// The left eye, and the only one of a view without stereo.
    Left,
    /// The right eye.
    Right,
}

/// The part of a picture that one eye sees, along its width from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Left edge.
    pub start: f32,
    /// Width.
    pub width: f32,
}

const WHOLE: Span = Span { start: 0.0, width: 1.0 };

/// The camera to show at a place to an eye, and the part of its picture, among the cameras for which `has` is true.
pub fn camera_for(place: Place, eye: Eye, has: impl Fn(&str) -> bool) -> Option<(&'static str, Span)> {
    let first = |names: [&'static str; 3]| names.into_iter().find(|name| has(name)).map(|name| (name, WHOLE));
    match (place, eye) {
        (Place::LeftWrist, _) => has("left_arm").then_some(("left_arm", WHOLE)),
        (Place::RightWrist, _) => has("right_arm").then_some(("right_arm", WHOLE)),
        (Place::Overhead, _) if has("overhead_sbs") => {
            let start = if eye == Eye::Left { 0.0 } else { 0.5 };
            Some(("overhead_sbs", Span { start, width: 0.5 }))
        }
        (Place::Overhead, Eye::Left) => first(["overhead", "overhead_left", "overhead_right"]),
        (Place::Overhead, Eye::Right) => first(["overhead", "overhead_right", "overhead_left"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(orientation: DQuat) -> Pose<LocalFloor> {
        Pose::new(DVec3::new(1.0, 1.6, 2.0), orientation).unwrap()
    }

    fn centre(matrix: DMat4) -> DVec3 {
        matrix.transform_point3(DVec3::ZERO)
    }

    #[test]
    fn pictures_hang_ahead_of_the_heading_whatever_the_pitch() {
        for pitch in [-1.2, 0.0, 1.2] {
            let gaze = DQuat::from_rotation_y(-std::f64::consts::FRAC_PI_2) * DQuat::from_rotation_x(pitch);
            let at = centre(Anchor::at(head(gaze)).place(Place::Overhead, 1.0));
            assert!(at.abs_diff_eq(DVec3::new(2.0, 1.425, 2.0), 1e-9), "{pitch}: {at}");
        }
    }

    #[test]
    fn looking_straight_down_keeps_a_heading() {
        let down = DQuat::from_rotation_x(-std::f64::consts::FRAC_PI_2);
        let at = centre(Anchor::at(head(down)).place(Place::Overhead, 1.0));
        assert!(at.abs_diff_eq(DVec3::new(1.0, 1.425, 1.0), 1e-9), "{at}");
    }

    #[test]
    fn every_picture_faces_the_head_and_keeps_its_aspect() {
        let anchor = Anchor::at(head(DQuat::IDENTITY));
        for place in Place::ALL {
            let matrix = anchor.place(place, 2.0);
            let normal = matrix.transform_vector3(DVec3::Z).normalize();
            let towards = (DVec3::new(1.0, 1.6, 2.0) - centre(matrix)).normalize();
            assert!(normal.abs_diff_eq(towards, 1e-9));
            let (width, height) =
                (matrix.transform_vector3(DVec3::X).length(), matrix.transform_vector3(DVec3::Y).length());
            assert!((width / height - 2.0).abs() < 1e-9);
        }
    }

    #[test]
    fn every_camera_that_is_shown_has_the_place_it_is_shown_at() {
        for place in Place::ALL {
            for eye in [Eye::Left, Eye::Right] {
                let (name, _) = camera_for(place, eye, |name| Place::of_camera(name).is_some()).unwrap();
                assert_eq!(Place::of_camera(name), Some(place));
            }
        }
        assert_eq!(Place::of_camera("rear"), None);
    }

    #[test]
    fn each_eye_sees_its_own_lens() {
        let has = |names: &'static [&'static str]| move |name: &str| names.contains(&name);
        let both = has(&["overhead_left", "overhead_right"]);
        assert_eq!(camera_for(Place::Overhead, Eye::Left, both), Some(("overhead_left", WHOLE)));
        assert_eq!(camera_for(Place::Overhead, Eye::Right, both), Some(("overhead_right", WHOLE)));
        let one = has(&["overhead_left", "left_arm"]);
        assert_eq!(camera_for(Place::Overhead, Eye::Right, one), Some(("overhead_left", WHOLE)));
        assert_eq!(camera_for(Place::RightWrist, Eye::Right, one), None);
        let packed = has(&["overhead_sbs", "overhead_left"]);
        let right_half = Span { start: 0.5, width: 0.5 };
        assert_eq!(camera_for(Place::Overhead, Eye::Right, packed), Some(("overhead_sbs", right_half)));
    }
}
