//! An arm without physics: the tip follows its target with a lag, the rest is a smooth curve.

use glam::{DQuat, DVec3};
use waldo_protocol::field::ArmState;

use super::body::{Body, show_shape};
use super::rod::Pull;
use super::solid::{Solid, Touch};

/// Time constant of the tip, seconds.
const LAG: f64 = 0.05;
/// Time constant with which an arm that nobody pulls goes back to its rest pose, seconds.
const RELAX: f64 = 0.4;

pub(super) struct KinematicArm {
    base: DVec3,
    clamp: DQuat,
    length: f64,
    radii: Vec<f64>,
    tip: DVec3,
    orientation: DQuat,
    velocity: DVec3,
    nodes: Vec<DVec3>,
    frames: Vec<DQuat>,
    touches: Vec<Touch>,
}

impl KinematicArm {
    /// A straight arm along the z axis of `clamp`, with one element for each radius.
    pub(super) fn new(base: DVec3, clamp: DQuat, length: f64, radii: Vec<f64>) -> Self {
        let elements = radii.len();
        let mut arm = Self {
            base,
            clamp,
            length,
            radii,
            tip: base + clamp * DVec3::Z * length,
            orientation: clamp,
            velocity: DVec3::ZERO,
            nodes: vec![base; elements + 1],
            frames: vec![clamp; elements],
            touches: Vec::new(),
        };
        arm.bend();
        arm
    }

    /// Lays the curve from the base, along the clamp, to the tip, along its tangent.
    fn bend(&mut self) {
        let elements = self.frames.len();
        let way = self.tip - self.base;
        let stretch = way.length().max(0.5 * self.length);
        let (leave, arrive) = (self.clamp * DVec3::Z * stretch, self.orientation * DVec3::Z * stretch);
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let u = index as f64 / elements as f64;
            // A cubic Hermite curve.
            let (uu, uuu) = (u * u, u * u * u);
            *node = self.base + way * (3.0 * uu - 2.0 * uuu) + leave * (uuu - 2.0 * uu + u) + arrive * (uuu - uu);
        }
        // Frames are carried along without twist; what is missing at the tip is spread over the arm.
        let mut frame = self.clamp;
        for (index, ends) in self.nodes.windows(2).enumerate() {
            let before = frame * DVec3::Z;
            let tangent = (ends[1] - ends[0]).try_normalize().unwrap_or(before);
            frame = (DQuat::from_rotation_arc(before, tangent) * frame).normalize();
            self.frames[index] = frame;
        }
        let tangent = frame * DVec3::Z;
        let wanted = DQuat::from_rotation_arc(self.orientation * DVec3::Z, tangent) * self.orientation;
        let (from, to) = (frame * DVec3::X, wanted * DVec3::X);
        let twist = tangent.dot(from.cross(to)).atan2(from.dot(to));
        for (index, frame) in self.frames.iter_mut().enumerate() {
            *frame *= DQuat::from_rotation_z(twist * (index + 1) as f64 / elements as f64);
        }
        if let Some(last) = self.frames.last_mut() {
            *last = self.orientation;
        }
    }
}

impl Body for KinematicArm {
    fn step(&mut self, dt: f64, pull: Option<Pull>, solids: &[Solid]) {
        if dt.is_nan() || dt <= 0.0 {
            return;
        }
        let rest = Pull { position: self.base + self.clamp * DVec3::Z * self.length, orientation: self.clamp };
        let (goal, lag) = pull.map_or((rest, RELAX), |pull| (pull, LAG));
        let share = 1.0 - (-dt / lag).exp();
        let moved = (goal.position - self.tip) * share;
        self.velocity = moved / dt;
        self.tip += moved;
        self.orientation = self.orientation.slerp(goal.orientation, share).normalize();
        self.bend();
        self.touches.clear();
        for (node, radius) in self.nodes[1..].iter().zip(&self.radii) {
            self.touches.extend(solids.iter().filter_map(|solid| solid.touch(*node, *radius)));
        }
    }

    fn tip(&self) -> (DVec3, DQuat) {
        (self.tip, self.orientation)
    }

    fn tip_velocity(&self) -> DVec3 {
        self.velocity
    }

    fn nodes(&self) -> &[DVec3] {
        &self.nodes
    }

    fn radii(&self) -> &[f64] {
        &self.radii
    }

    fn touches(&self) -> &[Touch] {
        &self.touches
    }

    fn move_base(&mut self, base: DVec3, _velocity: DVec3) {
        self.base = base;
    }

    fn set_length(&mut self, length: f64) {
        self.length = length;
    }

    fn freeze(&mut self) {
        self.velocity = DVec3::ZERO;
    }

    fn show(&self, state: &mut ArmState) {
        show_shape(state, &self.nodes, self.frames.iter().copied(), &self.radii, &self.touches);
    }
}
