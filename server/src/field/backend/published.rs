//! Meshes and overlays of publishers: who may change what, and how much there may be.

use std::sync::Arc;

use waldo_protocol::field::{Mesh, MeshChange, Overlay, SceneState};

use super::BackendError;
use super::bounds::{self, room};

/// Texts of so many bytes are not compared on the thread that steps.
const LONG: usize = 64 << 10;

pub(in crate::field) fn add_mesh(scene: &mut SceneState, mut mesh: Mesh) -> Result<bool, BackendError> {
    bounds::check_mesh(&mesh)?;
    let before = scene.meshes.get(&mesh.mesh_id);
    if before.is_some_and(|before| before.owner_id != mesh.owner_id) {
        return Err(BackendError::MeshOwned);
    }
    let others = || scene.meshes.values().filter(|other| other.mesh_id != mesh.mesh_id);
    let own = others().filter(|other| other.owner_id == mesh.owner_id).count();
    room(own + 1, bounds::MESHES_PER_OWNER, "meshes of one owner")?;
    room(others().count() + 1, bounds::MESHES, "meshes")?;
    let bytes = others().chain([&mesh]).map(asset_bytes).sum();
    room(bytes, bounds::MESH_BYTES, "bytes of meshes")?;
    let same = |before: &Mesh| same_asset(before.asset_uri.as_ref(), mesh.asset_uri.as_ref());
    let asset = before.filter(|before| same(before)).map(|before| before.asset_uri.clone());
    let changed = match asset {
        Some(asset) => {
            mesh.asset_uri = asset;
            // Not by the text, of which there is only one now.
            before != Some(&mesh)
        }
        None => true,
    };
    scene.meshes.insert(mesh.mesh_id.clone(), mesh);
    Ok(changed)
}

/// Whether that is the same text, as far as it can be told in no time.
fn same_asset(before: Option<&Arc<str>>, now: Option<&Arc<str>>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => {
            Arc::ptr_eq(before, now) || before.len() == now.len() && now.len() < LONG && before == now
        }
        (None, None) => true,
        _ => false,
    }
}

fn asset_bytes(mesh: &Mesh) -> usize {
    mesh.asset_uri.as_ref().map_or(0, |uri| uri.len())
}

pub(in crate::field) fn change_mesh(
    scene: &mut SceneState,
    owner: &str,
    change: &MeshChange,
) -> Result<bool, BackendError> {
    bounds::check_change(change)?;
    let mesh = scene.meshes.get_mut(&change.mesh_id).filter(|mesh| mesh.owner_id == owner);
    Ok(change.apply(mesh.ok_or(BackendError::NoSuchMesh)?))
}

pub(in crate::field) fn remove_mesh(scene: &mut SceneState, owner: &str, mesh_id: &str) -> bool {
    let own = scene.meshes.get(mesh_id).is_some_and(|mesh| mesh.owner_id == owner);
    own && scene.meshes.remove(mesh_id).is_some()
}

pub(in crate::field) fn clear_meshes(scene: &mut SceneState, owner: &str) -> bool {
    let before = scene.meshes.len();
    scene.meshes.retain(|_, mesh| mesh.owner_id != owner);
    scene.meshes.len() < before
}

pub(in crate::field) fn update_overlay(scene: &mut SceneState, overlay: Overlay) -> Result<bool, BackendError> {
    bounds::check_overlay(&overlay)?;
    let before = scene.overlay_points.get(&overlay.overlay_id);
    if before.is_some_and(|before| before.owner_id != overlay.owner_id) {
        return Err(BackendError::OverlayOwned);
    }
    let others = || scene.overlay_points.values().filter(|other| other.overlay_id != overlay.overlay_id);
    let own = others().filter(|other| other.owner_id == overlay.owner_id).count();
    room(own + 1, bounds::OVERLAYS_PER_OWNER, "overlays of one owner")?;
    room(others().count() + 1, bounds::OVERLAYS, "overlays")?;
    let points = others().chain([&overlay]).map(|overlay| overlay.points.len()).sum();
    room(points, bounds::POINTS, "points in overlays")?;
    let changed = before != Some(&overlay);
    scene.overlay_points.insert(overlay.overlay_id.clone(), overlay);
    Ok(changed)
}

pub(in crate::field) fn remove_overlay(scene: &mut SceneState, owner: &str, overlay_id: &str) -> bool {
    let own = scene.overlay_points.get(overlay_id).is_some_and(|overlay| overlay.owner_id == owner);
    own && scene.overlay_points.remove(overlay_id).is_some()
}

pub(in crate::field) fn clear_overlays(scene: &mut SceneState, owner: &str) -> bool {
    let before = scene.overlay_points.len();
    scene.overlay_points.retain(|_, overlay| overlay.owner_id != owner);
    scene.overlay_points.len() < before
}
