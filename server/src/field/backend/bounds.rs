//! How large a scene may get, and what may be in it.

use std::borrow::Cow;

use waldo_protocol::field::{Mesh, MeshChange, Overlay, ROTATION_NORM};

use super::BackendError;

pub(super) const USERS: usize = 64;
pub(super) const MESHES_PER_OWNER: usize = 64;
pub(super) const MESHES: usize = 512;
/// Asset text of all meshes together, bytes.
pub(super) const MESH_BYTES: usize = 256 << 20;
pub(super) const OVERLAYS_PER_OWNER: usize = 32;
pub(super) const OVERLAYS: usize = 256;
pub(super) const POINTS_PER_OVERLAY: usize = 200_000;
/// Of all overlays together.
pub(super) const POINTS: usize = 4_000_000;

/// An error if there is no room for `wanted`.
pub(super) fn room(wanted: usize, limit: usize, what: &'static str) -> Result<(), BackendError> {
    if wanted <= limit { Ok(()) } else { Err(BackendError::Full { limit, what }) }
}

pub(super) fn check_mesh(mesh: &Mesh) -> Result<(), BackendError> {
    check_change(&MeshChange {
        translation: Some(mesh.translation),
        rotation_xyzw: Some(mesh.rotation_xyzw),
        scale: Some(mesh.scale),
        ..MeshChange::default()
    })
}

pub(super) fn check_change(change: &MeshChange) -> Result<(), BackendError> {
    let finite = |field: &str, values: Option<&[f64]>| match values {
        Some(values) if !values.iter().all(|value| value.is_finite()) => {
            Err(BackendError::Invalid(Cow::Owned(format!("{field} must be finite"))))
        }
        _ => Ok(()),
    };
    finite("translation", change.translation.as_ref().map(<[f64; 3]>::as_slice))?;
    finite("rotation_xyzw", change.rotation_xyzw.as_ref().map(<[f64; 4]>::as_slice))?;
    finite("scale", change.scale.as_ref().map(<[f64; 3]>::as_slice))?;
    let norm = |quaternion: [f64; 4]| quaternion.iter().map(|value| value * value).sum::<f64>().sqrt();
    if change.rotation_xyzw.is_some_and(|rotation| !ROTATION_NORM.contains(&norm(rotation))) {
        return Err(BackendError::Invalid("rotation_xyzw must be a unit quaternion".into()));
    }
    Ok(())
}

pub(super) fn check_overlay(overlay: &Overlay) -> Result<(), BackendError> {
    room(overlay.points.len(), POINTS_PER_OVERLAY, "points in an overlay")?;
    if !overlay.is_finite() {
        return Err(BackendError::Invalid("points must be finite".into()));
    }
    if overlay.point_size <= 0.0 {
        return Err(BackendError::Invalid("point_size must be > 0".into()));
    }
    Ok(())
}
