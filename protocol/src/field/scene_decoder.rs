//! A client's scene, made of everything the server sends of it.

use super::scene_delta::keep_data;
use super::{BinaryScene, InvalidBinary, SceneDelta, SceneMessage, SceneState};

/// Why a frame does not lead on from what a client has; it asks for a full one then (`scene_request`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LostTrack {
    /// It leads on from another full frame.
    #[error("the full frame before it is missing")]
    Base,
    /// It is older than what is there.
    #[error("a newer frame came before it")]
    Old,
    /// It tells too little of something new.
    #[error("it changes {0:?}, which is not there")]
    Unknown(String),
    /// It names an arm by a place that the table has not.
    #[error("no arm has the place {0}")]
    Place(u16),
    /// It is no binary frame.
    #[error(transparent)]
    Invalid(#[from] InvalidBinary),
}

/// Puts full frames, deltas and binary frames together, in the order in which they come.
#[derive(Clone, Debug, Default)]
pub struct SceneDecoder {
    scene: SceneState,
    /// Numbers of the full frame and of the newest one; `None`: a full frame must come first.
    at: Option<(u32, u32)>,
    table: Vec<String>,
}

impl SceneDecoder {
    /// The scene so far; empty before the first full frame.
    pub const fn scene(&self) -> &SceneState {
        &self.scene
    }

    /// A full frame, from any server. A mesh without data has that of the mesh of its id in the frame before.
    pub fn full(&mut self, message: SceneMessage) {
        let SceneMessage { mut scene, frame, arm_table, .. } = message;
        for (id, mesh) in &mut scene.meshes {
            keep_data(mesh, self.scene.meshes.get(id));
        }
        self.scene = scene;
        self.at = frame.map(|frame| (frame, frame));
        self.table = arm_table;
    }

    /// A delta.
    ///
    /// # Errors
    /// It does not lead on; the scene stays as it was, and only a full frame leads on then.
    pub fn delta(&mut self, delta: SceneDelta) -> Result<(), LostTrack> {
        let (base, newest) = self.at.take().ok_or(LostTrack::Base)?;
        if delta.base != base {
            return Err(LostTrack::Base);
        }
        // That of a binary frame comes after it.
        if delta.frame < newest {
            return Err(LostTrack::Old);
        }
        let frame = delta.frame;
        delta.apply(&mut self.scene).map_err(LostTrack::Unknown)?;
        self.at = Some((base, frame));
        Ok(())
    }

    /// A binary frame.
    ///
    /// # Errors
    /// It does not lead on; the scene stays as it was, and only a full frame leads on then.
    pub fn binary(&mut self, bytes: &[u8]) -> Result<(), LostTrack> {
        let (base, newest) = self.at.take().ok_or(LostTrack::Base)?;
        let BinaryScene { frame, timestamp, arms } = BinaryScene::decode(bytes)?;
        if frame <= newest {
            return Err(LostTrack::Old);
        }
        for arm in &arms {
            let id = self.table.get(usize::from(arm.index)).ok_or(LostTrack::Place(arm.index))?;
            if !self.scene.arms.contains_key(id) {
                return Err(LostTrack::Unknown(id.clone()));
            }
        }
        for arm in arms {
            let id = self.table.get(usize::from(arm.index));
            if let Some(known) = id.and_then(|id| self.scene.arms.get_mut(id)) {
                arm.apply(known);
            }
        }
        self.scene.timestamp = timestamp;
        self.at = Some((base, frame));
        Ok(())
    }
}
