//! Inputs of the mode `cathy-foraging`: crawling, and targets to reach for.

use std::collections::BTreeMap;

use glam::{DQuat, DVec3};

use super::Transform;
use crate::geometry::valid_orientation;

/// A stick pushed less than this does not crawl.
pub const MIN_CRAWL: f64 = 0.15;

/// How far from the controller's −y axis a target may be to be meant, m.
pub const SELECT_WITHIN: f64 = 0.09;

/// How long a target stays selected, s.
pub const SELECTED_FOR: f64 = 6.0;

/// Where the right stick steers the animal, in the world; the length, 0 to 1, is how far the stick is pushed.
///
/// `joystick` is [right, pulled back], relative to where the head looks horizontally. Nothing below [`MIN_CRAWL`], or if
/// a value is not finite.
pub fn crawl_direction(joystick: [f64; 2], head_pose: &Transform) -> Option<DVec3> {
    let [right, back] = joystick;
    let pushed = right.hypot(back);
    if !pushed.is_finite() || pushed < MIN_CRAWL {
        return None;
    }
    let forward = heading(head_pose)?;
    let to_the_right = forward.cross(DVec3::Y);
    Some((to_the_right * right - forward * back).clamp_length_max(1.0))
}

/// The horizontal direction in which a head looks. One that looks straight down looks where its top points to.
fn heading(head_pose: &Transform) -> Option<DVec3> {
    let rotation = valid_orientation(DQuat::from_array(head_pose.rotation_xyzw)).ok()?;
    let ahead = rotation * DVec3::NEG_Z;
    let top = rotation * if ahead.y < 0.0 { DVec3::Y } else { DVec3::NEG_Y };
    let flat = |v: DVec3| DVec3::new(v.x, 0.0, v.z);
    let looked = if flat(ahead).length() > 1e-3 { flat(ahead) } else { flat(top) };
    looked.try_normalize()
}

/// The target that a controller points at with its −y axis: within [`SELECT_WITHIN`] of the ray, the nearest to it.
pub fn pointed_at<'a>(pose: &Transform, targets: impl IntoIterator<Item = (&'a str, [f64; 3])>) -> Option<&'a str> {
    let (origin, direction) = down_ray(pose)?;
    let distance = |center: [f64; 3]| {
        let to_center = DVec3::from_array(center) - origin;
        let along = to_center.dot(direction);
        (along >= 0.0).then(|| (to_center - direction * along).length())
    };
    targets
        .into_iter()
        .filter_map(|(id, center)| distance(center).map(|distance| (id, distance)))
        .filter(|(_, distance)| *distance <= SELECT_WITHIN)
        .min_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(id, _)| id)
}

/// The origin of a pose and the direction of its −y axis.
pub(super) fn down_ray(pose: &Transform) -> Option<(DVec3, DVec3)> {
    let origin = DVec3::from_array(pose.translation);
    let rotation = valid_orientation(DQuat::from_array(pose.rotation_xyzw)).ok()?;
    origin.is_finite().then(|| (origin, rotation * DVec3::NEG_Y))
}

/// The targets that one user has selected. There are never more than targets that were offered to [`toggle`](Self::toggle).
#[derive(Clone, Debug, Default)]
pub struct Selection {
    left: BTreeMap<String, f64>,
}

impl Selection {
    /// `trigger_click` was pressed while pointing at `target`: selects it for [`SELECTED_FOR`] seconds, or deselects it.
    pub fn toggle(&mut self, target: &str) {
        if self.left.remove(target).is_none() {
            self.left.insert(target.to_owned(), SELECTED_FOR);
        }
    }

    /// Time passes, s; what was selected long enough ends.
    pub fn advance(&mut self, dt: f64) {
        self.left.retain(|_, left| {
            *left -= dt.max(0.0);
            *left > 0.0
        });
    }

    /// An arm touched the target, or it is gone: it is no longer selected.
    pub fn end(&mut self, target: &str) {
        self.left.remove(target);
    }

    /// Whether a target is selected.
    pub fn contains(&self, target: &str) -> bool {
        self.left.contains_key(target)
    }

    /// What is selected.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.left.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_PI_2, PI};

    use super::*;

    fn looking(rotation: DQuat) -> Transform {
        Transform { translation: [0.0, 1.6, 0.0], rotation_xyzw: rotation.to_array() }
    }

    #[test]
    fn the_stick_steers_relative_to_where_the_head_looks() {
        let ahead = looking(DQuat::IDENTITY);
        let to_the_left = looking(DQuat::from_rotation_y(FRAC_PI_2));
        for (joystick, head, expected) in [
            ([0.0, -1.0], ahead, DVec3::NEG_Z),
            ([1.0, 0.0], ahead, DVec3::X),
            ([0.0, 0.5], ahead, DVec3::Z * 0.5),
            ([0.0, -1.0], to_the_left, DVec3::NEG_X),
            ([1.0, 0.0], to_the_left, DVec3::NEG_Z),
        ] {
            let crawl = crawl_direction(joystick, &head).unwrap();
            assert!(crawl.distance(expected) < 1e-12, "{joystick:?}: {crawl}");
        }
    }

    #[test]
    fn a_head_that_looks_straight_down_or_up_still_has_a_heading() {
        for pitch in [-FRAC_PI_2, FRAC_PI_2] {
            let head = looking(DQuat::from_rotation_y(FRAC_PI_2) * DQuat::from_rotation_x(pitch));
            let crawl = crawl_direction([0.0, -1.0], &head).unwrap();
            assert!(crawl.distance(DVec3::NEG_X) < 1e-9, "{pitch}: {crawl}");
        }
    }

    #[test]
    fn a_stick_that_is_hardly_pushed_does_not_crawl() {
        let head = looking(DQuat::IDENTITY);
        assert!(crawl_direction([0.15, 0.0], &head).is_some());
        for joystick in [[0.1499, 0.0], [0.1, 0.1], [f64::NAN, 1.0], [f64::INFINITY, 0.0]] {
            assert_eq!(crawl_direction(joystick, &head), None, "{joystick:?}");
        }
        assert_eq!(crawl_direction([1.0, 0.0], &looking(DQuat::from_xyzw(0.0, 0.0, 0.0, 0.0))), None);
    }

    #[test]
    fn a_stick_in_a_corner_crawls_no_faster() {
        let crawl = crawl_direction([1.0, 1.0], &looking(DQuat::IDENTITY)).unwrap();
        assert!((crawl.length() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_target_nearest_to_the_ray_below_the_controller_is_meant() {
        let targets = [("near", [0.08, 0.0, 0.0]), ("nearer", [0.0, 0.5, 0.03]), ("above", [0.0, 2.0, 0.0])];
        let pose = |rotation| Transform { translation: [0.0, 1.0, 0.0], ..looking(rotation) };
        assert_eq!(pointed_at(&pose(DQuat::IDENTITY), targets), Some("nearer"));
        assert_eq!(pointed_at(&pose(DQuat::from_rotation_x(PI)), targets), Some("above"));
        assert_eq!(pointed_at(&pose(DQuat::from_rotation_x(1.0)), targets), None);
        assert_eq!(pointed_at(&pose(DQuat::IDENTITY), [("far", [0.0901, 0.0, 0.0])]), None);
    }

    #[test]
    fn a_selection_ends_by_time_touch_or_a_second_press() {
        let mut selection = Selection::default();
        for target in ["a", "b", "c"] {
            selection.toggle(target);
        }
        selection.advance(5.9);
        selection.toggle("a");
        selection.end("b");
        assert_eq!(selection.targets().collect::<Vec<_>>(), ["c"]);
        assert!(selection.contains("c"));
        selection.advance(0.2);
        assert!(!selection.contains("c"));
    }
}
