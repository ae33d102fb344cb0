//! What clients say to the server.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::envelope::message;
use super::hello::HelloPayload;
use super::object::object;
use super::publisher::{MeshName, OverlayName};
use super::{AddMesh, Envelope, Hello, Invalid, MeshChange, UpdateOverlay, XrInputSample};

/// A sample as it is sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct XrInput {
    /// The sample; with at least one controller.
    #[serde(flatten)]
    pub sample: XrInputSample,
    /// One more with every message, wrapping around; of clients with [`InputSeq`](super::Extension::InputSeq).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u32>,
}

/// A message from a client to the server.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// What it is.
    Hello(Hello),
    /// What the headset of a user sees.
    XrInput(XrInput),
    /// It is still there.
    Heartbeat,
    /// A user begins anew.
    Reset,
    /// It lost track of the scene (extension).
    SceneRequest,
    /// Puts a mesh there.
    AddMesh(AddMesh),
    /// Moves one.
    UpdateMeshTransform(MeshChange),
    /// Takes one away; an empty id names none.
    RemoveMesh {
        /// Trimmed.
        mesh_id: String,
    },
    /// Takes all of one's own away.
    ClearMeshes,
    /// Puts points there.
    UpdateOverlayPoints(UpdateOverlay),
    /// Takes them away; an empty id names none.
    RemoveOverlayPoints {
        /// Trimmed.
        overlay_id: String,
    },
    /// Takes all of one's own away.
    ClearOverlayPoints,
    /// Of a type that nobody knows; [`Role::check`](super::Role::check) has its refusal.
    Unknown(String),
}

impl Envelope<'_> {
    /// Reads what a client said. Comes after [`Role::check`](super::Role::check).
    ///
    /// # Errors
    /// [`Invalid::Disconnected`] for a sample without controllers, else the reason as on the wire.
    pub fn message(&self) -> Result<ClientMessage, Invalid> {
        Ok(match self.kind() {
            "hello" => ClientMessage::Hello(Hello::from_payload(self.payload::<HelloPayload>()?)?),
            "xr_input" => {
                let sample: XrInputSample = self.payload()?;
                sample.check()?;
                ClientMessage::XrInput(XrInput { sample, seq: self.payload::<Numbered>()?.seq })
            }
            "heartbeat" => ClientMessage::Heartbeat,
            "reset" => ClientMessage::Reset,
            "scene_request" => ClientMessage::SceneRequest,
            "add_mesh" => ClientMessage::AddMesh(self.payload::<AddMesh>()?.check()?),
            "update_mesh_transform" => ClientMessage::UpdateMeshTransform(self.payload::<MeshChange>()?.check()?),
            "remove_mesh" => ClientMessage::RemoveMesh { mesh_id: self.payload::<MeshName>()?.mesh_id },
            "clear_meshes" => ClientMessage::ClearMeshes,
            "update_overlay_points" => ClientMessage::UpdateOverlayPoints(self.payload::<UpdateOverlay>()?.check()?),
            "remove_overlay_points" => {
                ClientMessage::RemoveOverlayPoints { overlay_id: self.payload::<OverlayName>()?.overlay_id }
            }
            "clear_overlay_points" => ClientMessage::ClearOverlayPoints,
            unknown => ClientMessage::Unknown(unknown.to_owned()),
        })
    }
}

impl ClientMessage {
    /// Reads envelope and message in one, for whoever asks for no role in between.
    ///
    /// # Errors
    /// As [`Envelope::read`] and [`Envelope::message`].
    pub fn decode(text: &str) -> Result<Self, Invalid> {
        Envelope::read(text)?.message()
    }

    /// Its type.
    pub fn kind(&self) -> &str {
        match self {
            Self::Hello(_) => "hello",
            Self::XrInput(_) => "xr_input",
            Self::Heartbeat => "heartbeat",
            Self::Reset => "reset",
            Self::SceneRequest => "scene_request",
            Self::AddMesh(_) => "add_mesh",
            Self::UpdateMeshTransform(_) => "update_mesh_transform",
            Self::RemoveMesh { .. } => "remove_mesh",
            Self::ClearMeshes => "clear_meshes",
            Self::UpdateOverlayPoints(_) => "update_overlay_points",
            Self::RemoveOverlayPoints { .. } => "remove_overlay_points",
            Self::ClearOverlayPoints => "clear_overlay_points",
            Self::Unknown(kind) => kind,
        }
    }

    /// The message as JSON text. Numbers that are not finite come out as null, which every server refuses: check with
    /// [`XrInputSample::is_finite`].
    pub fn encode(&self) -> String {
        let kind = self.kind();
        match self {
            Self::Hello(hello) => message(kind, hello.to_payload()),
            Self::XrInput(input) => message(kind, input),
            Self::AddMesh(mesh) => message(kind, mesh),
            Self::UpdateMeshTransform(change) => message(kind, change),
            Self::RemoveMesh { mesh_id } => message(kind, json!({ "mesh_id": mesh_id })),
            Self::UpdateOverlayPoints(overlay) => message(kind, overlay),
            Self::RemoveOverlayPoints { overlay_id } => message(kind, json!({ "overlay_id": overlay_id })),
            Self::Heartbeat
            | Self::Reset
            | Self::SceneRequest
            | Self::ClearMeshes
            | Self::ClearOverlayPoints
            | Self::Unknown(_) => message(kind, Map::<String, Value>::new()),
        }
    }
}

/// What an `xr_input` has beside the sample.
struct Numbered {
    seq: Option<u32>,
}

object! {
    Numbered {
        seq: u32 = None,
    }
}
