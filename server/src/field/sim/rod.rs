//! A soft arm as physics: a chain of rigid elements with elastic joints, a discrete Kirchhoff rod.
//!
//! The state is the orientation and the spin of each element, so the arm cannot change its length and its directors are
//! orthonormal whatever happens. One step solves the equations of motion of the whole chain in one sweep to the base and
//! one back (the articulated-body algorithm in world coordinates); joints, drag, contacts and the pull at the tip are
//! taken implicitly (linearised), so stiff arms need no small steps.

use std::f64::consts::PI;

use glam::{DMat3, DQuat, DVec3};
use waldo_protocol::geometry::rotation_vector;

use super::characters;
use super::solid::{Solid, Touch};

/// The longest step of the integrator, seconds.
const LONGEST_STEP: f64 = 0.0025;
/// Steps per call at most; what a call asks for beyond that is left out.
const MOST_STEPS: u32 = 20;
/// No element spins faster, rad/s: faster than anything a pull within its bound does.
const FASTEST_SPIN: f64 = 120.0;
/// Stiffness and damping of contacts, N/m and N·s/m.
const CONTACT_STIFFNESS: f64 = 3000.0;
const CONTACT_DAMPING: f64 = 8.0;

/// What an arm is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Material {
    pub(super) elements: usize,
    /// m
    pub(super) length: f64,
    /// Radius at the base and at the tip, m.
    pub(super) radius: [f64; 2],
    /// kg/m³
    pub(super) density: f64,
    /// Young's modulus, Pa.
    pub(super) modulus: f64,
    /// Relaxation time of the material's own damping, seconds.
    pub(super) damping: f64,
    /// Drag of the medium per length, N·s/m².
    pub(super) drag: f64,
    /// Acceleration downward, m/s²: less than on land for what swims.
    pub(super) gravity: f64,
}

/// How the tip is held: a proportional controller with damping, bounded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gains {
    /// N/m
    pub(super) linear: f64,
    /// N·m/rad
    pub(super) angular: f64,
    /// N·s/m; the angular damping is the same share of `angular`.
    pub(super) damping: f64,
    /// N; torque is bounded at the same share of `angular`.
    pub(super) most_force: f64,
}

/// Where the tip is pulled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pull {
    pub(super) position: DVec3,
    /// Local to world; z is the tangent.
    pub(super) orientation: DQuat,
}

#[derive(Clone, Debug)]
struct Element {
    /// kg
    mass: f64,
    /// Of the joint to the element before, N·m/rad.
    bend: f64,
    twist: f64,
    /// Local to world: x normal, y binormal, z tangent.
    orientation: DQuat,
    /// World, rad/s.
    spin: DVec3,
}

/// What the sweep to the base leaves for the sweep back.
#[derive(Clone, Copy, Debug)]
struct Joint {
    inverse: DMat3,
    stiffness: DMat3,
    coupling: DMat3,
    torque: DVec3,
    reach: DVec3,
    centripetal: DVec3,
}

impl Joint {
    const NONE: Self = Self {
        inverse: DMat3::ZERO,
        stiffness: DMat3::ZERO,
        coupling: DMat3::ZERO,
        torque: DVec3::ZERO,
        reach: DVec3::ZERO,
        centripetal: DVec3::ZERO,
    };
}

/// What a part of the chain, from one joint to the tip, does to the element before it: torque and force as affine
/// functions of that element's angular acceleration and of the joint's acceleration.
#[derive(Clone, Copy, Debug)]
struct Load {
    torque: DVec3,
    force: DVec3,
    spin_spin: DMat3,
    spin_linear: DMat3,
    linear_linear: DMat3,
}

impl Load {
    /// Nothing there.
    const NONE: Self = Self {
        torque: DVec3::ZERO,
        force: DVec3::ZERO,
        spin_spin: DMat3::ZERO,
        spin_linear: DMat3::ZERO,
        linear_linear: DMat3::ZERO,
    };
}

/// The arm itself.
#[derive(Clone, Debug)]
pub(super) struct Rod {
    material: Material,
    base: DVec3,
    base_velocity: DVec3,
    /// Orientation in which the base is clamped.
    clamp: DQuat,
    length: f64,
    elements: Vec<Element>,
    radii: Vec<f64>,
    /// One more than elements, base to tip.
    nodes: Vec<DVec3>,
    velocities: Vec<DVec3>,
    touches: Vec<Touch>,
    joints: Vec<Joint>,
}

impl Rod {
    /// A straight arm at rest, along the z axis of `clamp`.
    pub(super) fn new(material: Material, base: DVec3, clamp: DQuat) -> Self {
        let count = material.elements;
        let empty = Element { mass: 0.0, bend: 0.0, twist: 0.0, orientation: clamp, spin: DVec3::ZERO };
        let mut rod = Self {
            length: material.length,
            base,
            base_velocity: DVec3::ZERO,
            clamp,
            elements: vec![empty; count],
            radii: characters::tapered(material.radius, count),
            nodes: vec![base; count + 1],
            velocities: vec![DVec3::ZERO; count + 1],
            touches: Vec::new(),
            joints: vec![Joint::NONE; count],
            material,
        };
        rod.set_length(rod.material.length);
        rod
    }

    pub(super) fn material(&self) -> &Material {
        &self.material
    }

    pub(super) fn base(&self) -> DVec3 {
        self.base
    }

    /// Base to tip, one more than elements.
    pub(super) fn nodes(&self) -> &[DVec3] {
        &self.nodes
    }

    /// Of each element, m.
    pub(super) fn radii(&self) -> &[f64] {
        &self.radii
    }

    /// Of each element, local to world; z is the tangent.
    pub(super) fn orientations(&self) -> impl Iterator<Item = DQuat> + '_ {
        self.elements.iter().map(|element| element.orientation)
    }

    pub(super) fn tip(&self) -> (DVec3, DQuat) {
        let orientation = self.elements.last().map_or(self.clamp, |element| element.orientation);
        (self.nodes.last().copied().unwrap_or(self.base), orientation)
    }

    pub(super) fn tip_velocity(&self) -> DVec3 {
        self.velocities.last().copied().unwrap_or_default()
    }

    /// What touched in the last step.
    pub(super) fn touches(&self) -> &[Touch] {
        &self.touches
    }

    /// Lets the arm grow or shrink; radii stay, mass and stiffness follow.
    pub(super) fn set_length(&mut self, length: f64) {
        self.length = length;
        let element_length = self.element_length();
        let (density, modulus) = (self.material.density, self.material.modulus);
        for (index, element) in self.elements.iter_mut().enumerate() {
            let radius = self.radii[index];
            // The joint stands for the halves of the elements beside it; at the clamp there is only one half.
            let joint_radius = 0.5 * (radius + self.radii[index.saturating_sub(1)]);
            let span = if index == 0 { 0.5 * element_length } else { element_length };
            let second_moment = PI / 4.0 * joint_radius.powi(4);
            element.mass = density * PI * radius * radius * element_length;
            element.bend = modulus * second_moment / span;
            // Of an incompressible material the shear modulus is a third, and the polar moment is twice the other.
            element.twist = element.bend * 2.0 / 3.0;
        }
        self.place_nodes();
    }

    /// Moves the clamp; the arm comes along.
    pub(super) fn move_base(&mut self, base: DVec3, velocity: DVec3) {
        self.base = base;
        self.base_velocity = velocity;
        self.place_nodes();
    }

    /// Stops every motion; the shape stays.
    pub(super) fn freeze(&mut self) {
        self.base_velocity = DVec3::ZERO;
        for element in &mut self.elements {
            element.spin = DVec3::ZERO;
        }
        self.place_nodes();
    }

    pub(super) fn is_finite(&self) -> bool {
        self.elements.iter().all(|element| element.orientation.is_finite() && element.spin.is_finite())
            && self.nodes.iter().all(|node| node.is_finite())
    }

    /// Lets `dt` seconds pass; at most 50 ms of it count, in steps of at most 2.5 ms.
    pub(super) fn step(&mut self, dt: f64, gains: &Gains, pull: Option<Pull>, solids: &[Solid]) {
        if dt.is_nan() || dt <= 0.0 {
            return;
        }
        let steps = (dt / LONGEST_STEP).ceil().clamp(1.0, f64::from(MOST_STEPS));
        let h = (dt / steps).min(LONGEST_STEP);
        for _ in 0..steps as u32 {
            self.sweep_in(h, gains, pull, solids);
            self.sweep_out(h);
            self.place_nodes();
        }
    }

    fn element_length(&self) -> f64 {
        self.length / self.elements.len() as f64
    }

    fn place_nodes(&mut self) {
        let length = self.element_length();
        let (mut node, mut velocity) = (self.base, self.base_velocity);
        self.nodes[0] = node;
        self.velocities[0] = velocity;
        for (index, element) in self.elements.iter().enumerate() {
            let reach = element.orientation * DVec3::Z * length;
            node += reach;
            velocity += element.spin.cross(reach);
            self.nodes[index + 1] = node;
            self.velocities[index + 1] = velocity;
        }
    }

    /// From the tip to the base: what each part of the chain does to the rest.
    fn sweep_in(&mut self, h: f64, gains: &Gains, pull: Option<Pull>, solids: &[Solid]) {
        let length = self.element_length();
        let weight = DVec3::new(0.0, -self.material.gravity, 0.0);
        let drag = self.material.drag * length;
        self.touches.clear();
        let mut load = self.tip_load(h, gains, pull);
        for index in (0..self.elements.len()).rev() {
            let element = &self.elements[index];
            let (parent, parent_spin) = match index.checked_sub(1) {
                Some(before) => (self.elements[before].orientation, self.elements[before].spin),
                None => (self.clamp, DVec3::ZERO),
            };
            let (mass, radius, spin) = (element.mass, self.radii[index], element.spin);
            let tangent = element.orientation * DVec3::Z;
            let along = outer(tangent);
            let reach = tangent * length;
            let cross = skew(reach);
            let centripetal = spin.cross(spin.cross(reach));

            // Forces at the far end of the element, beside the rest of the chain: drag and contacts.
            let (node, velocity) = (self.nodes[index + 1], self.velocities[index + 1]);
            let mut force = -drag * velocity;
            load.linear_linear += DMat3::from_diagonal(DVec3::splat(h * drag));
            for solid in solids {
                if let Some(touch) = solid.touch(node, radius) {
                    let stiff = CONTACT_DAMPING + h * CONTACT_STIFFNESS;
                    let push = CONTACT_STIFFNESS * touch.depth - stiff * velocity.dot(touch.normal);
                    // A solid pushes; it does not hold on to what leaves it.
                    if push > 0.0 {
                        force += push * touch.normal;
                        load.linear_linear += outer(touch.normal) * (h * stiff);
                    }
                    self.touches.push(touch);
                }
            }
            load.force += load.linear_linear * centripetal - force;
            load.torque += load.spin_linear * centripetal;

            // The element itself, about its near end.
            let slender = mass * (0.25 * radius * radius + length * length / 3.0);
            let axial = 0.5 * mass * radius * radius;
            let inertia = DMat3::from_diagonal(DVec3::splat(slender)) + along * (axial - slender);
            let coupling =
                load.spin_linear + cross * (load.linear_linear + DMat3::from_diagonal(DVec3::splat(0.5 * mass)));
            let spin_spin = inertia
                + load.spin_spin
                + load.spin_linear * cross.transpose()
                + cross * (load.spin_linear.transpose() + load.linear_linear * cross.transpose());
            let linear_linear = load.linear_linear + DMat3::from_diagonal(DVec3::splat(mass));
            let bias_torque =
                load.torque + reach.cross(load.force) + spin.cross(inertia * spin) - 0.5 * mass * reach.cross(weight);
            let bias_force = load.force + mass * (0.5 * centripetal - weight);

            // The joint to the element before.
            let material = DMat3::from_diagonal(DVec3::splat(element.bend)) + along * (element.twist - element.bend);
            let bending = rotation_vector(element.orientation * parent.inverse());
            let give = h + self.material.damping;
            let torque = -(material * (bending + give * (spin - parent_spin)));
            let stiffness = material * (h * give);
            let inverse = (spin_spin + stiffness).inverse();
            let rest = torque - bias_torque;
            let carried = stiffness * inverse;
            let eased = inverse * rest;
            let coupling_transposed = coupling.transpose();
            load = Load {
                torque: torque - stiffness * eased,
                force: bias_force + coupling_transposed * eased,
                spin_spin: stiffness - carried * stiffness,
                spin_linear: carried * coupling,
                linear_linear: linear_linear - coupling_transposed * inverse * coupling,
            };
            self.joints[index] = Joint { inverse, stiffness, coupling, torque: rest, reach, centripetal };
        }
    }

    /// What the controller does to the last element.
    fn tip_load(&self, h: f64, gains: &Gains, pull: Option<Pull>) -> Load {
        let (Some(pull), Some(last)) = (pull, self.elements.last()) else { return Load::NONE };
        let (tip, velocity) = (self.nodes[self.elements.len()], self.tip_velocity());
        let away = pull.position - tip;
        let turn = rotation_vector(pull.orientation * last.orientation.inverse());
        // A bound on the spring alone is one on the whole: damping only ever takes energy away.
        let share = gains.most_force / (gains.linear * away.length()).max(gains.most_force);
        let (linear, angular, damping) = (gains.linear * share, gains.angular * share, gains.damping);
        let angular_damping = angular * gains.damping / gains.linear;
        Load {
            force: (damping + h * linear) * velocity - linear * away,
            torque: (angular_damping + h * angular) * last.spin - angular * turn,
            spin_spin: DMat3::from_diagonal(DVec3::splat(h * (angular_damping + h * angular))),
            spin_linear: DMat3::ZERO,
            linear_linear: DMat3::from_diagonal(DVec3::splat(h * (damping + h * linear))),
        }
    }

    /// From the base to the tip: accelerations, and with them the new spins and orientations.
    fn sweep_out(&mut self, h: f64) {
        let (mut spinning, mut linear) = (DVec3::ZERO, DVec3::ZERO);
        for (element, joint) in self.elements.iter_mut().zip(&self.joints) {
            spinning = joint.inverse * (joint.torque + joint.stiffness * spinning - joint.coupling * linear);
            linear += spinning.cross(joint.reach) + joint.centripetal;
            element.spin = (element.spin + h * spinning).clamp_length_max(FASTEST_SPIN);
            element.orientation = (DQuat::from_scaled_axis(h * element.spin) * element.orientation).normalize();
        }
    }
}

fn outer(v: DVec3) -> DMat3 {
    DMat3::from_cols(v * v.x, v * v.y, v * v.z)
}

/// The matrix that does `v × …`.
fn skew(v: DVec3) -> DMat3 {
    DMat3::from_cols(DVec3::new(0.0, v.z, -v.y), DVec3::new(-v.z, 0.0, v.x), DVec3::new(v.y, -v.x, 0.0))
}

#[cfg(test)]
mod tests;
