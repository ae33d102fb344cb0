//! What the server says to its clients.

use serde::de::Error;
use serde::{Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::names::wire_names;

use super::envelope::message;
use super::hello_ack::{Ack, AckPayload};
use super::object::object;
use super::read::{At, LongText, Wire};
use super::{AssetManifest, Envelope, HelloAck, Invalid, NotFinite, ResetAck, SceneDelta, SceneMessage};

wire_names! {
    /// What became of a mesh or of points.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Status {
        /// A mesh is there now, new or in place of another.
        Added = "added",
        /// A mesh was moved, points are there.
        Updated = "updated",
        /// It is no longer there; also if it never was, or belongs to somebody else.
        Removed = "removed",
        /// All of the publisher's are gone.
        Cleared = "cleared",
    }
}

/// The answer to what a publisher did with a mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MeshAck {
    /// The publisher.
    pub owner_id: String,
    /// `None` if all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh_id: Option<String>,
    /// What became of it.
    pub status: Status,
    /// Whether that made a difference (extension).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
}

/// The answer to what a publisher did with a cloud of points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OverlayAck {
    /// The publisher.
    pub owner_id: String,
    /// `None` if all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay_id: Option<String>,
    /// What became of it.
    pub status: Status,
    /// Whether that made a difference (extension).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
}

/// A refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ErrorMessage {
    /// For people; empty if there is nothing to say to them.
    pub reason: String,
    /// For programs (extension).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Type of the message it answers (extension).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_type: Option<String>,
}

impl From<&Invalid> for ErrorMessage {
    fn from(invalid: &Invalid) -> Self {
        Self { reason: invalid.to_string(), ..Self::default() }
    }
}

object! {
    MeshAck {
        owner_id: String,
        mesh_id: Option<String> = None,
        status: Status,
        changed: Option<bool> = None,
    }
}

object! {
    OverlayAck {
        owner_id: String,
        overlay_id: Option<String> = None,
        status: Status,
        changed: Option<bool> = None,
    }
}

object! {
    ErrorMessage {
        reason: LongText,
        code: Option<String> = None,
        request_type: Option<String> = None,
    }
}

impl<'de> Wire<'de> for Status {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        Self::from_name(&String::read(at, deserializer)?)
            .ok_or_else(|| D::Error::custom(format_args!("{at} must be a status")))
    }
}

/// A message from the server to a client.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerMessage {
    /// Answer to hello.
    HelloAck(HelloAck),
    /// Answer to reset.
    ResetAck(ResetAck),
    /// Colours.
    AssetManifest(AssetManifest),
    /// Answer to a publisher.
    MeshAck(MeshAck),
    /// Answer to a publisher.
    OverlayAck(OverlayAck),
    /// A refusal.
    Error(ErrorMessage),
    /// The whole scene.
    SceneState(Box<SceneMessage>),
    /// What changed in it (extension).
    SceneDelta(Box<SceneDelta>),
    /// Of a type this version does not know; to be ignored.
    Unknown(String),
}

impl ServerMessage {
    /// Reads a message. Unknown keys are ignored, optional ones may be missing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(text: &str) -> Result<Self, Invalid> {
        let envelope = Envelope::read(text)?;
        Ok(match envelope.kind() {
            "hello_ack" => match envelope.payload::<AckPayload>()?.read()? {
                Ack::Hello(ack) => Self::HelloAck(ack),
                Ack::Reset(ack) => Self::ResetAck(ack),
            },
            "asset_manifest" => Self::AssetManifest(envelope.payload()?),
            "mesh_ack" => Self::MeshAck(envelope.payload()?),
            "overlay_ack" => Self::OverlayAck(envelope.payload()?),
            "error" => Self::Error(envelope.payload()?),
            "scene_state" => Self::SceneState(Box::new(envelope.payload()?)),
            "scene_delta" => Self::SceneDelta(Box::new(envelope.payload()?)),
            unknown => Self::Unknown(unknown.to_owned()),
        })
    }

    /// The message as JSON text.
    ///
    /// # Errors
    /// A number of the scene is not finite.
    pub fn encode(&self) -> Result<String, NotFinite> {
        Ok(match self {
            Self::HelloAck(ack) => message("hello_ack", ack.to_payload()),
            Self::ResetAck(ack) => message("hello_ack", ack),
            Self::AssetManifest(manifest) => message("asset_manifest", manifest),
            Self::MeshAck(ack) => message("mesh_ack", ack),
            Self::OverlayAck(ack) => message("overlay_ack", ack),
            Self::Error(error) => message("error", error),
            Self::SceneState(scene) => scene.encode()?,
            Self::SceneDelta(delta) => delta.encode()?,
            Self::Unknown(kind) => message(kind, Map::<String, Value>::new()),
        })
    }
}
