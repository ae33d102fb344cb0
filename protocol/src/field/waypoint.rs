//! Inputs of the mode `octo-waypoint`: points on the ground that the animal walks to, one after the other.

use std::collections::VecDeque;

use glam::DVec3;

use super::{Transform, foraging::down_ray};

/// Waypoints that wait at most.
pub const MAX_WAYPOINTS: usize = 8;

/// A waypoint nearer than this, horizontally, is reached, m.
pub const REACHED_WITHIN: f64 = 0.08;

const GROUND: f64 = -0.05;
const X: [f64; 2] = [-2.0, 2.0];
const Z: [f64; 2] = [-1.8, 1.2];

/// Where the ray along the −y axis of a pose meets the ground, if it points down and the point lies inside the terrain.
pub fn waypoint(pose: &Transform) -> Option<[f64; 3]> {
    let (origin, direction) = down_ray(pose)?;
    let distance = (GROUND - origin.y) / direction.y;
    if direction.y >= 0.0 || distance < 0.0 {
        return None;
    }
    let hit = origin + direction * distance;
    let inside = |value: f64, [min, max]: [f64; 2]| value >= min && value <= max;
    (inside(hit.x, X) && inside(hit.z, Z)).then_some([hit.x, GROUND, hit.z])
}

/// The waypoints of one user, oldest first; at most [`MAX_WAYPOINTS`].
#[derive(Clone, Debug, Default)]
pub struct Waypoints {
    queue: VecDeque<[f64; 3]>,
}

impl Waypoints {
    /// Another one at the end. A full queue refuses it and says false.
    pub fn push(&mut self, waypoint: [f64; 3]) -> bool {
        let room = self.queue.len() < MAX_WAYPOINTS;
        if room {
            self.queue.push_back(waypoint);
        }
        room
    }

    /// The animal is here: forgets the first waypoint if that is reached, and says so.
    pub fn advance(&mut self, position: [f64; 3]) -> bool {
        let flat = |[x, _, z]: [f64; 3]| DVec3::new(x, 0.0, z);
        let reached = self.next().is_some_and(|next| flat(next).distance(flat(position)) <= REACHED_WITHIN);
        if reached {
            self.queue.pop_front();
        }
        reached
    }

    /// Where to go now.
    pub fn next(&self) -> Option<[f64; 3]> {
        self.queue.front().copied()
    }

    /// All of them, the next one first.
    pub fn iter(&self) -> impl Iterator<Item = [f64; 3]> {
        self.queue.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use glam::DQuat;

    use super::*;

    fn pose(translation: [f64; 3], rotation: DQuat) -> Transform {
        Transform { translation, rotation_xyzw: rotation.to_array() }
    }

    #[test]
    fn a_slanted_ray_meets_the_ground_ahead() {
        // A quarter of a half turn about x swings −y towards −z.
        let hit = waypoint(&pose([0.0, 0.95, 0.0], DQuat::from_rotation_x(std::f64::consts::FRAC_PI_4))).unwrap();
        assert!(DVec3::from_array(hit).distance(DVec3::new(0.0, -0.05, -1.0)) < 1e-12, "{hit:?}");
    }

    #[test]
    fn a_ray_that_is_level_from_below_or_leaves_the_terrain_meets_nothing() {
        let down = DQuat::IDENTITY;
        for pose in [
            pose([0.0, 1.0, 0.0], DQuat::from_rotation_x(std::f64::consts::FRAC_PI_2 + 1e-9)),
            pose([0.0, -1.0, 0.0], down),
            pose([2.01, 1.0, 0.0], down),
            pose([0.0, 1.0, 1.21], down),
            pose([0.0, 1.0, -1.81], down),
            pose([f64::NAN, 1.0, 0.0], down),
            pose([0.0, 1.0, 0.0], DQuat::from_xyzw(0.0, 0.0, 0.0, 0.0)),
        ] {
            assert_eq!(waypoint(&pose), None, "{pose:?}");
        }
        for [x, z] in [[2.0, 1.2], [-2.0, -1.8]] {
            assert_eq!(waypoint(&pose([x, 1.0, z], down)), Some([x, -0.05, z]));
        }
    }

    #[test]
    fn the_queue_holds_eight_and_goes_on_when_one_is_reached() {
        let mut waypoints = Waypoints::default();
        for i in 0..10 {
            assert_eq!(waypoints.push([f64::from(i), 0.0, 0.0]), i < 8);
        }
        assert!(!waypoints.advance([0.081, 0.0, 0.0]));
        assert!(waypoints.advance([0.0, 5.0, 0.079]), "height does not matter");
        assert_eq!(waypoints.next(), Some([1.0, 0.0, 0.0]));
        assert_eq!(waypoints.iter().count(), 7);
        assert!(waypoints.push([9.0, 0.0, 0.0]));
    }
}
