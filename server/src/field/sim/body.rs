//! One arm as a body, with or without physics.

use glam::{DMat3, DQuat, DVec3};
use waldo_protocol::field::{ArmState, TipPose, Transform};

use super::rod::Pull;
use super::solid::{Solid, Touch};

/// Contact points that an arm shows at most.
const MOST_CONTACTS: usize = 64;

/// An arm that is pulled at its tip and clamped at its base.
pub(super) trait Body: Send {
    /// Lets `dt` seconds pass; without a pull the arm does what it does when nobody holds it.
    fn step(&mut self, dt: f64, pull: Option<Pull>, solids: &[Solid]);

    /// Position and orientation, local to world; z is the tangent.
    fn tip(&self) -> (DVec3, DQuat);

    /// m/s
    fn tip_velocity(&self) -> DVec3;

    /// Base to tip, one more than elements.
    fn nodes(&self) -> &[DVec3];

    /// Radius of each element, base to tip, m.
    fn radii(&self) -> &[f64];

    /// What the arm touched in the last step.
    fn touches(&self) -> &[Touch];

    /// Moves the clamp, and the arm with it.
    fn move_base(&mut self, base: DVec3, velocity: DVec3);

    /// Grows or shrinks to that length, m.
    fn set_length(&mut self, length: f64);

    /// Ends every motion; the shape stays.
    fn freeze(&mut self);

    /// Writes how it looks now.
    fn show(&self, state: &mut ArmState);
}

pub(super) fn tip_pose((position, orientation): (DVec3, DQuat)) -> TipPose {
    TipPose { position, director: DMat3::from_quat(orientation).transpose() }
}

pub(super) fn pull_to(pose: TipPose) -> Pull {
    Pull { position: pose.position, orientation: DQuat::from_mat3(&pose.director.transpose()).normalize() }
}

/// What others bump into: the nodes that an element joins, and its radius.
pub(super) fn segments(body: &dyn Body) -> impl Iterator<Item = ([DVec3; 2], f64)> + '_ {
    body.nodes().windows(2).map(|ends| [ends[0], ends[1]]).zip(body.radii().iter().copied())
}

/// Writes the parts of a state that follow from nodes and orientations.
pub(super) fn show_shape(
    state: &mut ArmState,
    nodes: &[DVec3],
    orientations: impl Iterator<Item = DQuat>,
    radii: &[f64],
    touches: &[Touch],
) {
    state.centerline.clear();
    state.centerline.extend(nodes.iter().map(|node| node.to_array()));
    state.element_lengths.clear();
    state.element_lengths.extend(nodes.windows(2).map(|ends| ends[0].distance(ends[1])));
    state.radii.clear();
    state.radii.extend_from_slice(radii);
    state.contact_points.clear();
    state.contact_points.extend(touches.iter().take(MOST_CONTACTS).map(|touch| touch.point.to_array()));
    state.directors.clear();
    let mut last = DQuat::IDENTITY;
    for orientation in orientations {
        let turned = DMat3::from_quat(orientation);
        state.directors.push([turned.x_axis, turned.y_axis, turned.z_axis].map(|row| row.to_array()));
        last = orientation;
    }
    if let [base, .., tip] = nodes {
        state.base = Transform::at(base.to_array());
        state.tip = Transform { translation: tip.to_array(), rotation_xyzw: last.to_array() };
    }
}
