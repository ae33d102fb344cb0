//! What a peer is, and which messages that allows.

use crate::names::wire_names;

use super::{Extension, Extensions, Invalid};

/// Of the echo of an unknown type, in a refusal, this many bytes.
const ECHOED: usize = 128;

wire_names! {
    /// What a peer of the server is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Role {
        /// Has arms and drives them. Whoever names no role, or an unknown one, is this.
        VrClient = "vr_client",
        /// Watches.
        Spectator = "spectator",
        /// Puts meshes and points into the scene.
        Publisher = "publisher",
    }
}

impl Role {
    /// Whether a socket of that role may send a message of that type; `None` before a hello. Comes between reading the
    /// envelope and reading its payload.
    ///
    /// # Errors
    /// The reason, as on the wire.
    pub fn check(role: Option<Self>, kind: &str, extensions: Extensions) -> Result<(), Invalid> {
        let allowed: &[&str] = match role {
            _ if kind == "hello" => return Ok(()),
            None => return Err(Invalid::reason("hello required first")),
            Some(_) if kind == "heartbeat" => return Ok(()),
            Some(_) if kind == "scene_request" && extensions.has(Extension::SceneDelta) => return Ok(()),
            Some(Self::Spectator) => &[],
            Some(Self::VrClient) => &["xr_input", "reset"],
            Some(Self::Publisher) => &[
                "add_mesh",
                "update_mesh_transform",
                "remove_mesh",
                "clear_meshes",
                "update_overlay_points",
                "remove_overlay_points",
                "clear_overlay_points",
            ],
        };
        if allowed.contains(&kind) {
            return Ok(());
        }
        let kind = &kind[..kind.floor_char_boundary(ECHOED)];
        Err(Invalid::Reason(match role {
            Some(Self::Spectator) => format!("{kind} unsupported for spectator role"),
            Some(Self::Publisher) => format!("unsupported publisher message type: {kind}"),
            _ => format!("unsupported type: {kind}"),
        }))
    }
}
