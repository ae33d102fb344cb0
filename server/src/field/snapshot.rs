//! The scene as it was after a step, for everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use waldo_protocol::field::{ArmState, Person, SceneState};

use super::backend::{FieldBackend, PUBLISHERS};
use super::seat::Seat;

/// Immutable, and shared by all clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) scene: Arc<SceneState>,
    /// Arms whose target was beyond the limits.
    pub(super) clamped: BTreeSet<String>,
}

impl Snapshot {
    /// What the back end shows now, with the people whose hands are live. An arm whose state is not finite is shown as it
    /// was last, and said to be at fault.
    pub(super) fn take<'a>(backend: &dyn FieldBackend, seats: impl Iterator<Item = &'a Seat>, before: &Self) -> Self {
        let mut scene = backend.scene().clone();
        let person = |seat: &Seat| Some((seat.user.clone(), Person::from(&**seat.input().sample()?)));
        scene.people = seats.filter_map(person).collect();
        name_publishers(&mut scene);
        mend(&mut scene, &before.scene.arms);
        Self { scene: Arc::new(scene), clamped: backend.clamped().clone() }
    }

    /// The same with every arm at fault.
    pub(super) fn broken(&self) -> Self {
        let mut scene = SceneState::clone(&self.scene);
        scene.arms.values_mut().for_each(|arm| arm.fault = true);
        scene.haptics.clear();
        Self { scene: Arc::new(scene), clamped: BTreeSet::new() }
    }
}

/// On the wire publishers are what they call themselves.
fn name_publishers(scene: &mut SceneState) {
    let owners = scene.meshes.values_mut().map(|mesh| &mut mesh.owner_id);
    for owner in owners.chain(scene.overlay_points.values_mut().map(|overlay| &mut overlay.owner_id)) {
        if let Some(name) = owner.strip_prefix(PUBLISHERS) {
            *owner = name.to_owned();
        }
    }
}

/// Numbers that are not finite are none of JSON: one of them would keep everybody from seeing anything.
fn mend(scene: &mut SceneState, before: &BTreeMap<String, ArmState>) {
    scene.arms.retain(|id, arm| {
        if arm.is_finite() {
            return true;
        }
        let Some(last) = before.get(id) else { return false };
        *arm = ArmState { fault: true, ..last.clone() };
        true
    });
    scene.spheres.retain(|_, sphere| sphere.is_finite());
    scene.meshes.retain(|_, mesh| mesh.is_finite());
    scene.haptics.retain(|haptic| haptic.is_finite());
}

#[cfg(test)]
mod tests {
    use waldo_protocol::field::{Sphere, Transform};

    use super::*;

    #[test]
    fn an_arm_that_diverged_is_shown_as_it_was_and_said_to_be_at_fault() {
        let arm = ArmState::new("u_arm_0", Transform::at([0.0, 1.0, 0.0]));
        let good = SceneState { arms: [("u_arm_0".to_owned(), arm.clone())].into(), ..SceneState::default() };
        let mut bad = good.clone();
        bad.arms.get_mut("u_arm_0").unwrap().tip.translation = [f64::NAN; 3];
        bad.spheres.insert("s".to_owned(), Sphere::new("s", "u", [0.0, f64::INFINITY, 0.0], 0.1));
        mend(&mut bad, &good.arms);
        assert_eq!(bad.arms["u_arm_0"], ArmState { fault: true, ..arm });
        assert!(bad.spheres.is_empty());
        let mut newcomer = good.clone();
        newcomer.arms.get_mut("u_arm_0").unwrap().radii = vec![f64::NAN];
        mend(&mut newcomer, &BTreeMap::new());
        assert!(newcomer.arms.is_empty(), "nobody has seen it otherwise");
    }
}
