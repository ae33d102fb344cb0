//! Which meshes a socket already got.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Mesh;

/// Which meshes of a scene are sent with their data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MeshData {
    /// All of them.
    Whole,
    /// Of the static ones only these, by id, in order. Empty most of the time, so that many sockets want the same.
    OfStatic(Vec<String>),
    /// Only these, by id, in order: for clients of [`SceneDelta`](super::Extension::SceneDelta).
    Of(Vec<String>),
}

impl MeshData {
    /// Whether a mesh is sent with its data.
    pub fn has(&self, id: &str, mesh: &Mesh) -> bool {
        let among = |ids: &[String]| ids.binary_search_by(|known| known.as_str().cmp(id)).is_ok();
        match self {
            Self::Whole => true,
            Self::OfStatic(ids) => !mesh.static_asset || among(ids),
            Self::Of(ids) => among(ids),
        }
    }
}

/// What one socket with a hello got of the static meshes: each is sent whole once, and again when it was missing from
/// a frame or is another one now.
#[derive(Clone, Debug, Default)]
pub struct MeshMarks {
    /// By mesh id. Holding the data itself makes every change of it noticed, and costs a reference.
    got: BTreeMap<String, Mark>,
}

#[derive(Clone, Debug)]
struct Mark {
    owner_id: String,
    data: Arc<str>,
}

impl MeshMarks {
    /// No marks: of a new socket, or after another hello.
    pub const fn new() -> Self {
        Self { got: BTreeMap::new() }
    }

    /// Which data the next frame takes along, if these are its meshes. The frame must be sent then.
    pub fn next(&mut self, meshes: &BTreeMap<String, Mesh>) -> MeshData {
        self.got.retain(|id, _| meshes.get(id).is_some_and(|mesh| mesh.static_asset));
        let mut whole = Vec::new();
        for (id, mesh) in meshes.iter().filter(|(_, mesh)| mesh.static_asset) {
            let Some(data) = &mesh.asset_uri else { continue };
            if self.got.get(id).is_some_and(|mark| same_data(&mark.data, data)) {
                continue;
            }
            self.got.insert(id.clone(), Mark { owner_id: mesh.owner_id.clone(), data: data.clone() });
            whole.push(id.clone());
        }
        MeshData::OfStatic(whole)
    }

    /// Sends an owner's meshes anew: a reset makes them again within one message, when no frame misses them.
    pub fn forget(&mut self, owner_id: &str) {
        self.got.retain(|_, mark| mark.owner_id != owner_id);
    }
}

/// Whether two meshes have the same data; the shared ones of a mesh that only moved are not looked at.
pub(super) fn same_data(a: &Arc<str>, b: &Arc<str>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}
