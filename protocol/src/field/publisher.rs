//! What publishers put into the scene: meshes and clouds of points.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::hello::Id;
use super::object::{object, some};
use super::read::{LongText, Rotation};
use super::scene_read::{SharedPoints, Size};
use super::{Invalid, Mesh, Overlay, POINT_SIZE};

/// Of a mesh that names none.
const MIME_TYPE: &str = "model/gltf-binary";

/// Puts a mesh there, or another in its place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AddMesh {
    /// Not empty.
    pub mesh_id: String,
    /// The file, in base64.
    pub mesh_data_b64: String,
    /// Of the file.
    pub mime_type: String,
    /// Position, metres.
    pub translation: [f64; 3],
    /// Orientation as a quaternion x, y, z, w.
    pub rotation_xyzw: [f64; 4],
    /// Factor along each of its axes.
    pub scale: [f64; 3],
    /// Whether it is drawn.
    pub visible: bool,
    /// Its data need not be sent again to whoever got it.
    pub static_asset: bool,
}

impl AddMesh {
    /// A visible glTF mesh at the origin, not scaled.
    pub fn new(mesh_id: impl Into<String>, mesh_data_b64: String) -> Self {
        Self {
            mesh_id: mesh_id.into(),
            mesh_data_b64,
            mime_type: MIME_TYPE.to_owned(),
            translation: [0.0; 3],
            rotation_xyzw: [0.0, 0.0, 0.0, 1.0],
            scale: [1.0; 3],
            visible: true,
            static_asset: false,
        }
    }

    /// The mesh as it stands in a scene.
    pub fn into_mesh(self, owner_id: impl Into<String>) -> Mesh {
        let asset_uri = format!("data:{};base64,{}", self.mime_type, self.mesh_data_b64);
        Mesh {
            mesh_id: self.mesh_id,
            owner_id: owner_id.into(),
            asset_uri: Some(asset_uri.into()),
            translation: self.translation,
            rotation_xyzw: self.rotation_xyzw,
            scale: self.scale,
            visible: self.visible,
            static_asset: self.static_asset,
        }
    }

    pub(super) fn check(self) -> Result<Self, Invalid> {
        if self.mesh_id.is_empty() || self.mesh_data_b64.is_empty() {
            return Err(Invalid::reason("add_mesh requires mesh_id and mesh_data_b64"));
        }
        if !is_base64(self.mesh_data_b64.as_bytes()) {
            return Err(Invalid::reason("mesh_data_b64 is not base64"));
        }
        // It becomes a part of an address that every page opens.
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/.+-_".contains(&b);
        if self.mime_type.is_empty() || !self.mime_type.bytes().all(allowed) {
            return Err(Invalid::reason("mime_type must be a media type"));
        }
        Ok(self)
    }
}

/// Whether it is base64 of the standard alphabet, padded and with nothing in between.
fn is_base64(text: &[u8]) -> bool {
    let padding = text.iter().rev().take(2).take_while(|b| **b == b'=').count();
    let of_alphabet = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    text.len().is_multiple_of(4) && text[..text.len() - padding].iter().all(of_alphabet)
}

object! {
    AddMesh {
        mesh_id: Id = String::new(),
        mesh_data_b64: LongText = String::new(),
        mime_type: String = MIME_TYPE.to_owned(),
        translation: [f64; 3] = [0.0; 3],
        rotation_xyzw: Rotation = [0.0, 0.0, 0.0, 1.0],
        scale: [f64; 3] = [1.0; 3],
        visible: bool = true,
        static_asset: bool = false,
    }
}

/// Moves a mesh of one's own; what it does not name stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MeshChange {
    /// Not empty.
    pub mesh_id: String,
    /// Position, metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translation: Option<[f64; 3]>,
    /// Orientation as a quaternion x, y, z, w.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_xyzw: Option<[f64; 4]>,
    /// Factor along each of its axes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<[f64; 3]>,
    /// Whether it is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible: Option<bool>,
}

impl MeshChange {
    /// Changes a mesh; tells whether that made a difference.
    pub fn apply(&self, mesh: &mut Mesh) -> bool {
        fn set<T: PartialEq + Copy>(value: &mut T, new: Option<T>) -> bool {
            new.is_some_and(|new| std::mem::replace(value, new) != new)
        }
        let translated = set(&mut mesh.translation, self.translation);
        let turned = set(&mut mesh.rotation_xyzw, self.rotation_xyzw);
        let scaled = set(&mut mesh.scale, self.scale);
        let shown = set(&mut mesh.visible, self.visible);
        translated || turned || scaled || shown
    }

    pub(super) fn check(self) -> Result<Self, Invalid> {
        if self.mesh_id.is_empty() {
            return Err(Invalid::reason("update_mesh_transform requires mesh_id"));
        }
        Ok(self)
    }
}

object! {
    MeshChange {
        mesh_id: Id = String::new(),
        translation: [f64; 3] = None,
        rotation_xyzw: Rotation => some = None,
        scale: [f64; 3] = None,
        visible: bool = None,
    }
}

/// Puts a cloud of points there, or another in its place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpdateOverlay {
    /// Not empty.
    pub overlay_id: String,
    /// Metres; at most [`MAX_POINTS`](super::MAX_POINTS).
    #[serde(serialize_with = "shared_points")]
    pub points: Arc<[[f64; 3]]>,
    /// Above 0, metres.
    pub point_size: f64,
    /// Whether it is drawn.
    pub visible: bool,
}

fn shared_points<S: Serializer>(points: &Arc<[[f64; 3]]>, serializer: S) -> Result<S::Ok, S::Error> {
    points.as_ref().serialize(serializer)
}

impl UpdateOverlay {
    /// Visible points of the usual size.
    pub fn new(overlay_id: impl Into<String>, points: Arc<[[f64; 3]]>) -> Self {
        Self { overlay_id: overlay_id.into(), points, point_size: POINT_SIZE, visible: true }
    }

    /// The cloud as it stands in a scene.
    pub fn into_overlay(self, owner_id: impl Into<String>) -> Overlay {
        Overlay {
            overlay_id: self.overlay_id,
            owner_id: owner_id.into(),
            points: self.points,
            point_size: self.point_size,
            visible: self.visible,
        }
    }

    pub(super) fn check(self) -> Result<Self, Invalid> {
        if self.overlay_id.is_empty() {
            return Err(Invalid::reason("update_overlay_points requires overlay_id"));
        }
        Ok(self)
    }
}

object! {
    UpdateOverlay {
        overlay_id: Id = String::new(),
        points: SharedPoints = Arc::default(),
        point_size: Size = POINT_SIZE,
        visible: bool = true,
    }
}

/// A message that only names a mesh.
pub(super) struct MeshName {
    pub(super) mesh_id: String,
}

object! {
    MeshName {
        mesh_id: Id = String::new(),
    }
}

/// A message that only names a cloud of points.
pub(super) struct OverlayName {
    pub(super) overlay_id: String,
}

object! {
    OverlayName {
        overlay_id: Id = String::new(),
    }
}
