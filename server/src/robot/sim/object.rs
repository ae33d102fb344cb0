//! Things on the table: their shapes, how they fall and come to rest.

use glam::{DQuat, DVec3};

use crate::robot::kinematics::Transform;

const GRAVITY: f64 = 9.81;
/// Fast enough to look like falling, slow enough never to pass through a thing in one step.
const MAX_FALL: f64 = 4.0;
/// How fast a thing that stands on an edge tips over, rad/s.
const TIPPING: f64 = 8.0;
/// How fast things that stand in each other move apart, m/s.
const PARTING: f64 = 1.0;
/// Things that overlap less than this in height stand on each other, metres.
const TOUCHING: f64 = 0.003;

/// The table top: a rectangle parallel to the floor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) min: DVec3,
    pub(super) max: DVec3,
}

/// Where the table stands; `max.z` is its top.
pub(super) const TABLE: Table = Table { min: DVec3::new(0.28, -0.6, 0.72), max: DVec3::new(0.98, 0.6, 0.75) };

/// A body, centred on its own origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// A cube of this edge, metres.
    Cube { edge: f64 },
    /// A cylinder about its own z.
    Cylinder { radius: f64, height: f64 },
}

impl Shape {
    /// How far the body reaches from its centre along a unit direction of its own frame.
    fn reach(self, direction: DVec3) -> f64 {
        match self {
            Self::Cube { edge } => edge / 2.0 * direction.abs().element_sum(),
            Self::Cylinder { radius, height } => {
                direction.z.abs() * height / 2.0 + radius * (1.0 - direction.z * direction.z).max(0.0).sqrt()
            }
        }
    }
}

/// A thing that can be grasped.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object {
    pub(super) shape: Shape,
    /// Linear RGB, 0 to 1.
    pub(super) color: [f32; 3],
    /// Object to world.
    pub(super) at: Transform,
    fall: f64,
}

impl Object {
    /// A thing at rest on the table at x, y, turned about the vertical.
    fn on_table(shape: Shape, color: [f32; 3], x: f64, y: f64, yaw: f64) -> Self {
        let z = TABLE.max.z + shape.reach(DVec3::Z);
        let at = Transform { rotation: DQuat::from_rotation_z(yaw), translation: DVec3::new(x, y, z) };
        Self { shape, color, at, fall: 0.0 }
    }

    /// How far it reaches from its centre along a unit direction of the world.
    pub(super) fn reach(&self, direction: DVec3) -> f64 {
        self.shape.reach(self.at.rotation.conjugate() * direction)
    }

    /// Height of its highest point above the floor.
    fn top(&self) -> f64 {
        self.at.translation.z + self.reach(DVec3::Z)
    }

    /// Height of its lowest point above the floor.
    pub(super) fn bottom(&self) -> f64 {
        self.at.translation.z - self.reach(DVec3::Z)
    }

    /// Radius of a round thing of about its size, seen from above.
    pub(super) fn footprint(&self) -> f64 {
        (self.reach(DVec3::X) + self.reach(DVec3::Y)) / 2.0
    }

    /// Whether a point lies above or below it, seen from above.
    fn covers(&self, x: f64, y: f64) -> bool {
        (self.at.translation.x - x).hypot(self.at.translation.y - y) <= self.footprint()
    }

    /// Holds it still where it is: a fall begins anew when it is let go.
    pub(super) fn carry_to(&mut self, at: Transform) {
        self.at = at;
        self.fall = 0.0;
    }

    /// Lets it fall or tip for `dt` seconds; `support` is the height of what is below.
    pub(super) fn settle(&mut self, support: f64, dt: f64) {
        let tip = self.unevenness();
        let (axis, angle) = tip.to_axis_angle();
        self.at.rotation = if angle <= TIPPING * dt {
            (tip * self.at.rotation).normalize()
        } else {
            (DQuat::from_axis_angle(axis, TIPPING * dt) * self.at.rotation).normalize()
        };
        self.fall = (self.fall + GRAVITY * dt).min(MAX_FALL);
        self.at.translation.z -= self.fall * dt;
        let lowest = support + self.reach(DVec3::Z);
        if self.at.translation.z <= lowest {
            self.at.translation.z = lowest;
            self.fall = 0.0;
        }
    }

    /// The shortest turn that lays one of its faces (a cylinder: end or side) flat.
    fn unevenness(&self) -> DQuat {
        let axes = [DVec3::X, DVec3::Y, DVec3::Z].map(|axis| self.at.rotation * axis);
        let upright = |axis: DVec3| DQuat::from_rotation_arc(axis, DVec3::Z * axis.z.signum());
        match self.shape {
            Shape::Cube { .. } => {
                let steepest = axes.into_iter().max_by(|a, b| a.z.abs().total_cmp(&b.z.abs()));
                steepest.map_or(DQuat::IDENTITY, upright)
            }
            Shape::Cylinder { .. } if axes[2].z.abs() > 0.7 => upright(axes[2]),
            Shape::Cylinder { .. } => DQuat::from_rotation_arc(axes[2], axes[2].with_z(0.0).normalize_or(axes[2])),
        }
    }
}

/// Height of the highest surface under an object: another one that nobody holds, the table, the floor.
///
/// A surface counts as under it when its centre is above, so that a thing pressed a little into the table comes up.
pub(super) fn support(objects: &[Object], index: usize, held: impl Fn(usize) -> bool) -> f64 {
    let Some(DVec3 { x, y, z }) = objects.get(index).map(|o| o.at.translation) else { return 0.0 };
    let on_table =
        (TABLE.min.x..TABLE.max.x).contains(&x) && (TABLE.min.y..TABLE.max.y).contains(&y) && z > TABLE.min.z;
    let ground = if on_table { TABLE.max.z } else { 0.0 };
    let others = objects.iter().enumerate().filter(|&(i, _)| i != index && !held(i));
    others.filter(|(_, o)| o.covers(x, y)).map(|(_, o)| o.top()).filter(|&top| top <= z).fold(ground, f64::max)
}

/// Moves things that stand in each other level apart, for `dt` seconds. Who is held stays and pushes the other one.
pub(super) fn part(objects: &mut [Object], held: impl Fn(usize) -> bool, dt: f64) {
    for second in 1..objects.len() {
        let (before, rest) = objects.split_at_mut(second);
        let b = &mut rest[0];
        for (first, a) in before.iter_mut().enumerate() {
            let apart = (b.at.translation - a.at.translation).with_z(0.0);
            let overlap = a.footprint() + b.footprint() - apart.length();
            let stacked = a.top().min(b.top()) - a.bottom().max(b.bottom()) < TOUCHING;
            if overlap <= 0.0 || stacked {
                continue;
            }
            let push = apart.normalize_or(DVec3::X) * overlap.min(PARTING * dt);
            let share = match (held(first), held(second)) {
                (true, true) => continue,
                (true, false) => 0.0,
                (false, true) => 1.0,
                (false, false) => 0.5,
            };
            a.at.translation -= push * share;
            b.at.translation += push * (1.0 - share);
        }
    }
}

/// The things on the table at the beginning.
pub(super) fn beginning() -> Vec<Object> {
    let cube = |edge| Shape::Cube { edge };
    let cylinder = |radius, height| Shape::Cylinder { radius, height };
    vec![
        Object::on_table(cube(0.05), [0.80, 0.10, 0.07], 0.56, 0.2, 0.0),
        Object::on_table(cube(0.045), [0.06, 0.22, 0.75], 0.62, -0.12, 0.5),
        Object::on_table(cylinder(0.022, 0.06), [0.07, 0.50, 0.16], 0.54, -0.26, 0.0),
        Object::on_table(cylinder(0.025, 0.05), [0.90, 0.58, 0.05], 0.66, 0.08, 0.0),
        Object::on_table(cube(0.04), [0.45, 0.12, 0.55], 0.5, 0.0, 0.35),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fall(mut object: Object, seconds: f64) -> Object {
        for _ in 0..(seconds / 0.004) as usize {
            let under = support(std::slice::from_ref(&object), 0, |_| false);
            object.settle(under, 0.004);
        }
        object
    }

    #[test]
    fn all_things_are_at_rest_at_the_beginning() {
        let objects = beginning();
        for (i, object) in objects.iter().enumerate() {
            let mut settled = object.clone();
            settled.settle(support(&objects, i, |_| false), 0.005);
            assert!(settled.at.translation.distance(object.at.translation) < 1e-9, "{object:?}");
            assert!(settled.at.rotation.angle_between(object.at.rotation) < 1e-6);
        }
    }

    #[test]
    fn a_tilted_cube_falls_flat_on_the_table() {
        let mut cube = beginning().remove(0);
        cube.carry_to(Transform {
            rotation: DQuat::from_rotation_x(0.5) * DQuat::from_rotation_y(0.4),
            translation: DVec3::new(0.5, 0.0, 1.1),
        });
        let cube = fall(cube, 1.0);
        assert!((cube.at.translation.z - (TABLE.max.z + 0.025)).abs() < 1e-6, "{cube:?}");
        assert!(cube.unevenness().to_axis_angle().1 < 1e-6);
    }

    #[test]
    fn a_thing_beside_the_table_falls_to_the_floor_in_the_time_gravity_takes() {
        let mut cube = beginning().remove(0);
        cube.carry_to(Transform { translation: DVec3::new(0.1, 0.0, 0.8), ..cube.at });
        assert!(fall(cube.clone(), 0.36).at.translation.z > 0.1, "0.775 m take 0.40 s");
        assert!((fall(cube, 0.5).at.translation.z - 0.025).abs() < 1e-9);
    }

    #[test]
    fn a_cylinder_lies_down_or_stands_up_whichever_is_nearer() {
        let cylinder = |pitch: f64| {
            let mut c = beginning().remove(2);
            c.carry_to(Transform { rotation: DQuat::from_rotation_x(pitch), translation: DVec3::new(0.5, 0.0, 0.9) });
            fall(c, 1.0).at.translation.z - TABLE.max.z
        };
        assert!((cylinder(0.3) - 0.03).abs() < 1e-6, "stands");
        assert!((cylinder(1.3) - 0.022).abs() < 1e-6, "lies");
    }

    #[test]
    fn a_thing_comes_to_rest_on_top_of_another_unless_that_one_is_held() {
        let mut objects = beginning();
        let below = objects[0].at.translation;
        objects[1].carry_to(Transform::from_translation(below + DVec3::Z * 0.1));
        assert!((support(&objects, 1, |_| false) - (TABLE.max.z + 0.05)).abs() < 1e-9);
        assert_eq!(support(&objects, 1, |i| i == 0), TABLE.max.z);
    }

    #[test]
    fn a_held_thing_pushes_others_aside() {
        let mut objects = beginning();
        let there = objects[0].at.translation;
        let step = |objects: &mut Vec<Object>| (0..100).for_each(|_| part(objects, |i| i == 1, 0.004));
        objects[1].at.translation = there + DVec3::Y * 0.03;
        step(&mut objects);
        assert_eq!(objects[1].at.translation, there + DVec3::Y * 0.03, "the held one stays");
        let touching = objects[0].footprint() + objects[1].footprint();
        assert!((objects[0].at.translation - there - DVec3::Y * (0.03 - touching)).length() < 1e-6);
    }

    #[test]
    fn things_on_top_of_each_other_or_apart_do_not_push() {
        let mut objects = beginning();
        let below = objects[0].at.translation;
        objects[1].at.translation = below + DVec3::new(0.01, 0.0, 0.025 + 0.0225);
        let before = objects.clone();
        part(&mut objects, |_| false, 0.004);
        assert_eq!(objects, before);
    }

    #[test]
    fn a_thing_pressed_into_the_table_comes_up() {
        let mut cube = beginning().remove(0);
        cube.at.translation.z -= 0.03;
        assert!((fall(cube, 0.1).at.translation.z - (TABLE.max.z + 0.025)).abs() < 1e-9);
    }
}
