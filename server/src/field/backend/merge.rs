//! What simulations show goes into the scene, but never what is not finite.

use std::collections::BTreeMap;

use waldo_protocol::field::{ArmState, Haptic, SceneState};

use crate::field::sim::Simulation;

pub(super) fn merge(scene: &mut SceneState, user: &str, simulation: &dyn Simulation) {
    merge_still(scene, user, simulation);
    let felt = simulation.haptic_events().iter().filter(|haptic| haptic.is_finite());
    scene.haptics.extend(felt.map(|haptic| Haptic { intensity: haptic.intensity.max(0.0), ..haptic.clone() }));
}

/// The same without what is felt.
pub(super) fn merge_still(scene: &mut SceneState, user: &str, simulation: &dyn Simulation) {
    for state in simulation.arm_states() {
        merge_arm(&mut scene.arms, user, state);
    }
    for mesh in simulation.mesh_entities().iter().filter(|mesh| mesh.is_finite()) {
        // What the scene has of somebody else under this id makes room: ids of users are given out by the server.
        put(&mut scene.meshes, &mesh.mesh_id, mesh, |mesh| user.clone_into(&mut mesh.owner_id));
    }
    for sphere in simulation.sphere_entities().iter().filter(|sphere| sphere.is_finite() && sphere.radius > 0.0) {
        put(&mut scene.spheres, &sphere.sphere_id, sphere, |sphere| user.clone_into(&mut sphere.owner_id));
    }
}

/// A state that is not finite leaves the last one there, marked.
fn merge_arm(arms: &mut BTreeMap<String, ArmState>, user: &str, state: &ArmState) {
    let own = |arm: &mut ArmState| arm.owner_user_id = Some(user.to_owned());
    let lengths = || state.radii.iter().chain(&state.element_lengths);
    if state.is_finite() && lengths().all(|length| *length >= 0.0) {
        put(arms, &state.arm_id, state, own);
    } else if let Some(last) = arms.get_mut(&state.arm_id) {
        last.fault = true;
    }
}

fn put<T: Clone + PartialEq>(map: &mut BTreeMap<String, T>, id: &str, value: &T, own: impl FnOnce(&mut T)) {
    match map.get_mut(id) {
        Some(there) if there == value => {}
        Some(there) => {
            there.clone_from(value);
            own(there);
        }
        None => {
            let mut value = value.clone();
            own(&mut value);
            map.insert(id.to_owned(), value);
        }
    }
}
