//! What the cameras see: a room, the table, the robot's body, its arms, the things, and soft spots of shadow below.

use glam::DVec3;

use super::base::ROOM;
use super::mesh::{Color, Mesh};
use super::model::{FINGERTIP, FOREARM, HAND, MAX_GAP, MOUNT, SHOULDER, UPPER_ARM};
use super::object::{Object, Shape, TABLE};
use super::raster::Canvas;
use super::view::{View, light, screen};
use super::world::{ArmState, World};
use crate::robot::kinematics::Transform;

const SHELL: Color = [0.80, 0.81, 0.80];
const METAL: Color = [0.10, 0.11, 0.13];
const PAD: Color = [0.035, 0.035, 0.04];
const TEAL: Color = [0.0, 0.33, 0.36];
const ORANGE: Color = [0.78, 0.22, 0.02];
const WOOD: Color = [0.50, 0.39, 0.27];
const FLOOR: Color = [0.22, 0.24, 0.26];
const WALL: Color = [0.52, 0.55, 0.57];

/// A square of the table's grid, metres.
const SQUARE: f64 = 0.1;
/// Spots of shadow that take less than this of the light are left out.
const FAINT: f64 = 0.1;
const FINGER_WIDTH: f64 = 0.022;
const FINGER_THICKNESS: f64 = 0.014;
/// From the gripper mount to the end of the gripper's body, metres.
const PALM: f64 = 0.065;

/// All bodies, each in its own frame.
pub(super) struct Scenery {
    /// Room and table, shaded once, in the world frame.
    fixed: Mesh,
    /// What of the robot stays on the floor.
    foot: Mesh,
    /// What the lift raises, without the arms.
    torso: Mesh,
    arms: Vec<ArmBodies>,
    objects: Vec<Mesh>,
}

/// One arm's bodies.
struct ArmBodies {
    /// With the index of the joint whose frame they are in.
    links: Vec<(usize, Mesh)>,
    palm: Mesh,
    /// At x = 0; its inner face looks to +x.
    right_finger: Mesh,
    left_finger: Mesh,
}

impl Scenery {
    /// The scenery of a world.
    pub(super) fn new(world: &World) -> Self {
        let accents = [TEAL, ORANGE];
        Self {
            fixed: fixed(),
            foot: foot(),
            torso: torso(),
            arms: accents.into_iter().zip(world.arms()).map(|(accent, _)| ArmBodies::new(accent)).collect(),
            objects: world.objects().iter().map(body).collect(),
        }
    }

    /// Draws what moves only with the base, if at all.
    pub(super) fn draw_standing(&self, view: &mut View, canvas: &mut Canvas<'_>, world: &World) {
        // Roughly from near to far, so that a pixel is rarely drawn twice.
        view.draw(canvas, &self.torso, world.base());
        view.draw(canvas, &self.foot, world.foot());
        view.draw_baked(canvas, &self.fixed);
    }

    /// Draws what moves by itself.
    pub(super) fn draw_moving(&self, view: &mut View, canvas: &mut Canvas<'_>, world: &World) {
        for (bodies, arm) in self.arms.iter().zip(world.arms()) {
            bodies.draw(view, canvas, arm, world.base());
        }
        for (mesh, object) in self.objects.iter().zip(world.objects()) {
            view.draw(canvas, mesh, object.at);
        }
    }

    /// Darkens the table and the floor straight below what moves; the canvas must hold them already.
    ///
    /// The spots say to the operator how high a gripper is and what it is above.
    pub(super) fn draw_shadows(&self, view: &mut View, canvas: &mut Canvas<'_>, world: &World) {
        for object in world.objects() {
            let bottom = object.at.translation.with_z(object.bottom());
            shadow(view, canvas, bottom, object.footprint() * 1.7, 0.6);
        }
        for (index, arm) in world.arms().iter().enumerate() {
            let gripper = world.gripper(index);
            for (depth, radius, strength) in [(FINGERTIP, 0.035, 0.55), (0.05, 0.07, 0.5)] {
                shadow(view, canvas, gripper.point(DVec3::NEG_Z * depth), radius, strength);
            }
            if let [.., elbow, _, wrist, _] = arm.frames().joints() {
                let [elbow, wrist] = [elbow, wrist].map(|joint| world.base().point(joint.transform.translation));
                for part in [0.3, 0.8] {
                    shadow(view, canvas, elbow.lerp(wrist, part), 0.09, 0.4);
                }
            }
        }
    }
}

/// A spot below a point: wider and fainter the higher the point is.
fn shadow(view: &mut View, canvas: &mut Canvas<'_>, point: DVec3, radius: f64, strength: f64) {
    let DVec3 { x, y, z } = point;
    let above_table = (TABLE.min.x..TABLE.max.x).contains(&x) && (TABLE.min.y..TABLE.max.y).contains(&y);
    let ground = if above_table && z > TABLE.min.z { TABLE.max.z } else { 0.0 };
    let height = (z - ground).max(0.0);
    let strength = strength / (1.0 + 5.0 * height);
    if strength > FAINT {
        view.blot(canvas, point.with_z(ground + 0.001), radius + 0.25 * height, strength);
    }
}

impl ArmBodies {
    fn new(accent: Color) -> Self {
        let o = DVec3::ZERO;
        let down = |length: f64| DVec3::NEG_Z * length;
        let across = |half: f64| (DVec3::NEG_Y * half, DVec3::Y * half);
        let hub = |mesh: Mesh, half: f64, radius: f64| {
            let (from, to) = across(half);
            mesh.bar(from, to, radius, METAL)
        };
        let shoulder = hub(Mesh::default(), 0.075, 0.062);
        let upper = Mesh::default()
            .ball(o, 0.064, SHELL)
            .tube(o, down(0.06), [0.06, 0.05], SHELL)
            .bar(down(0.06), down(0.072), 0.0505, accent)
            .tube(down(0.072), down(UPPER_ARM), [0.05, 0.043], SHELL);
        let elbow = hub(Mesh::default(), 0.056, 0.05);
        let forearm = Mesh::default()
            .ball(o, 0.048, SHELL)
            .tube(o, down(FOREARM - 0.05), [0.044, 0.034], SHELL)
            .bar(down(FOREARM - 0.05), down(FOREARM - 0.038), 0.0345, accent)
            .tube(down(FOREARM - 0.038), down(FOREARM), [0.033, 0.03], SHELL);
        let wrist = hub(Mesh::default(), 0.042, 0.034);
        let hand = Mesh::default().tube(o, down(HAND), [0.028, 0.026], SHELL).ball(down(HAND), 0.027, SHELL);

        let palm = Mesh::default()
            .tube(DVec3::Z * MOUNT, DVec3::Z * 0.01, [0.025, 0.028], SHELL)
            .bar(DVec3::Z * 0.01, o, 0.034, accent)
            .cuboid(DVec3::new(-0.036, -0.03, -0.035), DVec3::new(0.036, 0.03, 0.0), METAL)
            .cuboid(DVec3::new(-0.068, -0.018, -PALM), DVec3::new(0.068, 0.018, -0.035), METAL);
        let finger = |outside: f64| {
            let half = FINGER_WIDTH / 2.0;
            let plate = |from: f64, to: f64, z0: f64, z1: f64, color| {
                let (a, b) = (outside * from, outside * to);
                Mesh::default().cuboid(DVec3::new(a.min(b), -half, z0), DVec3::new(a.max(b), half, z1), color)
            };
            let band = -FINGERTIP + 0.045;
            plate(0.0, 0.003, -FINGERTIP, band, PAD)
                .and(plate(0.003, FINGER_THICKNESS, -FINGERTIP, band, SHELL))
                .and(plate(0.0, FINGER_THICKNESS, band, band + 0.006, accent))
                .and(plate(0.003, FINGER_THICKNESS, band + 0.006, -PALM, SHELL))
        };
        Self {
            links: vec![(0, shoulder), (2, upper), (3, elbow), (4, forearm), (5, wrist), (6, hand)],
            palm,
            right_finger: finger(-1.0),
            left_finger: finger(1.0),
        }
    }

    fn draw(&self, view: &mut View, canvas: &mut Canvas<'_>, arm: &ArmState, base: Transform) {
        let gripper = base * arm.frames().gripper();
        let beside = |x: f64| gripper * Transform::from_translation(DVec3::X * x);
        let half_gap = arm.opening() * MAX_GAP / 2.0;
        view.draw(canvas, &self.left_finger, beside(half_gap));
        view.draw(canvas, &self.right_finger, beside(-half_gap));
        view.draw(canvas, &self.palm, gripper);
        for (joint, mesh) in &self.links {
            if let Some(frame) = arm.frames().joints().get(*joint) {
                view.draw(canvas, mesh, base * frame.transform);
            }
        }
    }
}

fn body(object: &Object) -> Mesh {
    match object.shape {
        Shape::Cube { edge } => {
            Mesh::default().cuboid(DVec3::splat(-edge / 2.0), DVec3::splat(edge / 2.0), object.color)
        }
        Shape::Cylinder { radius, height } => {
            let end = DVec3::Z * height / 2.0;
            Mesh::default().bar(-end, end, radius, object.color)
        }
    }
}

/// Room and table with their light, in screen colours.
fn fixed() -> Mesh {
    // The nearer one first, so that a pixel is rarely drawn twice.
    let mut mesh = table().and(room());
    for vertex in &mut mesh.vertices {
        vertex.color = screen(vertex.color, light(vertex.normal)).map(|c| c / 255.0);
    }
    mesh
}

fn room() -> Mesh {
    let [min, max] = ROOM;
    let (middle, half) = ((min + max) / 2.0, (max - min) / 2.0);
    let (x, y, z) = (DVec3::X * half.x, DVec3::Y * half.y, DVec3::Z * half.z);
    // The walls stand a little inside floor and ceiling, so that no light falls through where they meet.
    let inside = 0.999;
    let mut walls = Mesh::default()
        .quad(middle + x * inside, y, -z, WALL)
        .quad(middle - x * inside, y, z, WALL)
        .quad(middle + y * inside, x, z, WALL)
        .quad(middle - y * inside, x, -z, WALL)
        .quad(middle + z, x, -y, WALL);
    for vertex in &mut walls.vertices {
        let brightness = (0.55 + 0.45 * vertex.position.z / max.z) as f32;
        vertex.color = vertex.color.map(|c| c * brightness);
    }
    let tile = 1.0;
    tiles(walls, min, max.with_z(0.0), tile, |center, even| {
        let near_table = center.distance(DVec3::new(0.6, 0.0, 0.0));
        let brightness = (0.55 + 0.3 * near_table.min(1.5)) * if even { 1.0 } else { 0.86 };
        FLOOR.map(|c| c * brightness as f32)
    })
}

fn table() -> Mesh {
    let (min, max) = (TABLE.min, TABLE.max);
    let middle = (min + max) / 2.0;
    let edge = WOOD.map(|c| c * 0.7);
    let mut mesh = Mesh::default();
    for side in [DVec3::X, DVec3::NEG_X, DVec3::Y, DVec3::NEG_Y] {
        let half = (max - min) / 2.0;
        let along = DVec3::Z.cross(side);
        mesh = mesh.quad(middle + side * half, along * half, DVec3::Z * half.z, edge);
    }
    for (x, y) in [(min.x, min.y), (min.x, max.y - 0.05), (max.x - 0.05, min.y), (max.x - 0.05, max.y - 0.05)] {
        mesh = mesh.cuboid(DVec3::new(x, y, 0.0), DVec3::new(x + 0.05, y + 0.05, min.z), METAL);
    }
    tiles(mesh, min.with_z(max.z), max, SQUARE, |center, even| {
        let lamp = 1.08 - 0.35 * center.distance(middle.with_z(max.z));
        let brightness = lamp * if even { 1.0 } else { 0.88 };
        WOOD.map(|c| c * brightness as f32)
    })
}

/// A level chequered rectangle at `max.z`; the colour of a tile comes from its middle.
fn tiles(mut mesh: Mesh, min: DVec3, max: DVec3, edge: f64, color: impl Fn(DVec3, bool) -> Color) -> Mesh {
    let count = |length: f64| (length / edge).round() as u32;
    for row in 0..count(max.x - min.x) {
        for column in 0..count(max.y - min.y) {
            let offset = DVec3::new(f64::from(row) + 0.5, f64::from(column) + 0.5, 0.0) * edge;
            let center = (min + offset).with_z(max.z);
            let (u, v) = (DVec3::X * edge / 2.0, DVec3::Y * edge / 2.0);
            mesh = mesh.quad(center, u, v, color(center, (row + column).is_multiple_of(2)));
        }
    }
    mesh
}

/// The foot with the mast on which the torso slides.
fn foot() -> Mesh {
    let mast = Mesh::default().cuboid(DVec3::new(-0.12, -0.06, 0.08), DVec3::new(-0.04, 0.06, 0.6), METAL);
    mast.cuboid(DVec3::new(-0.28, -0.22, 0.0), DVec3::new(0.14, 0.22, 0.08), METAL)
}

fn torso() -> Mesh {
    let shoulders = SHOULDER.with_y(0.0);
    let inner = DVec3::Y * (SHOULDER.y - 0.07);
    let column = (DVec3::new(-0.14, -0.08, 0.08), DVec3::new(-0.02, 0.08, shoulders.z + 0.05));
    Mesh::default().cuboid(column.0, column.1, SHELL).bar(shoulders - inner, shoulders + inner, 0.05, METAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robot::sim::model;

    #[test]
    fn the_table_is_drawn_where_things_rest_on_it() {
        let scenery = Scenery::new(&World::new(&model::description()));
        let on_top = scenery.fixed.vertices.iter().filter(|v| (v.position.z - TABLE.max.z).abs() < 1e-9);
        let (min, max) = on_top
            .fold((DVec3::INFINITY, DVec3::NEG_INFINITY), |(min, max), v| (min.min(v.position), max.max(v.position)));
        assert!((min - TABLE.min.with_z(TABLE.max.z)).abs().max_element() < 1e-9, "{min}");
        assert!((max - TABLE.max).abs().max_element() < 1e-9, "{max}");
    }
}
