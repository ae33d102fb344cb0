//! What moves the arms of a field: the trait, and the back end that holds a scene and one simulation per user.

mod bounds;
mod merge;
mod pass_through;
mod published;
mod scene;

use std::borrow::Cow;
use std::collections::BTreeSet;

use waldo_protocol::field::{CharacterMode, Limits, Mesh, MeshChange, MultiArmCommand, Overlay, SceneState, Smoothing};

pub use self::scene::MultiArmPassThroughBackend;

/// What a back end refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// No character has that name.
    #[error("Unsupported character mode: {0}")]
    UnsupportedMode(String),
    /// There is no such mesh, or it belongs to somebody else.
    #[error("mesh not found or ownership mismatch for update")]
    NoSuchMesh,
    /// Somebody else has a mesh of that id.
    #[error("mesh_id owned by another publisher")]
    MeshOwned,
    /// Somebody else has an overlay of that id.
    #[error("overlay_id owned by another publisher")]
    OverlayOwned,
    /// Nothing may move.
    #[error("stopped: nothing moves until the stop is cleared")]
    Stopped,
    /// A value that cannot be in a scene.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// There is room for that many only.
    #[error("there is room for {limit} {what} only")]
    Full {
        /// How many.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
}

/// What the owners begin with that are publishers, and no users: they have a name space of their own. On the wire they
/// are what they call themselves.
pub(super) const PUBLISHERS: &str = "pub:";

/// The owner of what a publisher puts into the scene.
pub(super) fn publisher_id(name: &str) -> String {
    format!("{PUBLISHERS}{name}")
}

/// Why the commands of a user move nothing at this moment, or what else they should know then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldHold {
    /// For programs: short, snake case.
    pub code: &'static str,
    /// For people.
    pub text: Cow<'static, str>,
}

/// The scene of a field, and whatever moves its arms.
///
/// One thread calls it, 200 times a second; no call may block. Everything in the scene has an owner and goes with it.
/// World of the wire: y up, −z forward, metres.
pub trait FieldBackend: Send {
    /// A user joins; returns the ids of the arms that are now that user's. Whoever is there already keeps mode and arms.
    ///
    /// # Errors
    /// If there is no room for another user.
    fn register_user(&mut self, user: &str, mode: CharacterMode) -> Result<Vec<String>, BackendError>;

    /// A user leaves, and with it everything that is owned by it.
    fn remove_user(&mut self, user: &str);

    /// Lets `dt` seconds pass, with the newest command of each user who has a live one. A user who had one in the step
    /// before and has none now lets go of all arms; an arm that is no longer in its user's command is let go of. Arms of
    /// other users in a command are left alone.
    fn step(&mut self, dt: f64, commands: &[(&str, &MultiArmCommand)]);

    /// The scene after the last step.
    fn scene(&self) -> &SceneState;

    /// The same, for what publishers put into it.
    fn scene_mut(&mut self) -> &mut SceneState;

    /// The arms whose targets were held back by limits in the last step.
    fn clamped(&self) -> &BTreeSet<String>;

    /// The stop latch was set or cleared. While it is set, steps go on and pass the scene's time, but every arm stands
    /// where it is. Afterwards arms are eased to their targets.
    ///
    /// A back end whose motions are held by somebody else may leave this empty, as it is.
    fn stop(&mut self, stopped: bool) {
        let _ = stopped;
    }

    /// After a stop this user has yet to release a grip, or has done so. Until then the user's arms go on standing as
    /// during the stop, while those of others move; commands still show what is pressed.
    ///
    /// Not called where [`heeds_stop`](Self::heeds_stop).
    fn wait(&mut self, user: &str, waits: bool);

    /// Whether somebody behind this back end minds the stop latch and the grips after it; otherwise the service does.
    fn heeds_stop(&self) -> bool {
        false
    }

    /// Hands that let go of all arms of a user, who is about to be removed. Takes no time.
    fn let_go(&mut self, user: &str, command: &MultiArmCommand);

    /// What bounds the targets of the arms, for clients to know; `None` where that is not a box and a speed.
    fn limits(&self) -> Option<Limits> {
        None
    }

    /// How the hands of users are smoothed on their way to this back end.
    fn smoothing(&self) -> Smoothing {
        Smoothing::PerMessage(0.25)
    }

    /// Why this user's commands move nothing now, or what else they should know, if there is such a thing.
    fn hold(&self, user: &str) -> Option<FieldHold> {
        let _ = user;
        None
    }

    /// Puts a mesh into the scene, or replaces one of the same owner; whether that made a difference. The text of an
    /// unchanged asset keeps its place in memory, so the same pointer means the same data; a long text in another place
    /// counts as another one, since to compare it would hold up a step.
    ///
    /// # Errors
    /// A mesh of somebody else, a value that is not finite, no room.
    fn add_mesh(&mut self, mesh: Mesh) -> Result<bool, BackendError> {
        published::add_mesh(self.scene_mut(), mesh)
    }

    /// Moves, scales, shows or hides a mesh of `owner`; whether that made a difference.
    ///
    /// # Errors
    /// No such mesh of this owner, a value that is not finite.
    fn update_mesh_transform(&mut self, owner: &str, change: &MeshChange) -> Result<bool, BackendError> {
        published::change_mesh(self.scene_mut(), owner, change)
    }

    /// Removes a mesh of `owner`; whether there was one.
    fn remove_mesh(&mut self, owner: &str, mesh_id: &str) -> bool {
        published::remove_mesh(self.scene_mut(), owner, mesh_id)
    }

    /// Removes all meshes of `owner`; whether there were any.
    fn clear_meshes(&mut self, owner: &str) -> bool {
        published::clear_meshes(self.scene_mut(), owner)
    }

    /// Puts an overlay into the scene, or replaces one of the same owner; whether that made a difference.
    ///
    /// # Errors
    /// An overlay of somebody else, a value that is not finite, no room.
    fn update_overlay(&mut self, overlay: Overlay) -> Result<bool, BackendError> {
        published::update_overlay(self.scene_mut(), overlay)
    }

    /// Removes an overlay of `owner`; whether there was one.
    fn remove_overlay(&mut self, owner: &str, overlay_id: &str) -> bool {
        published::remove_overlay(self.scene_mut(), owner, overlay_id)
    }

    /// Removes all overlays of `owner`; whether there were any.
    fn clear_overlays(&mut self, owner: &str) -> bool {
        published::clear_overlays(self.scene_mut(), owner)
    }

    /// A publisher leaves, and with it its meshes and overlays.
    fn remove_owner(&mut self, owner: &str) {
        self.clear_meshes(owner);
        self.clear_overlays(owner);
    }
}

#[cfg(test)]
mod tests;
