//! Everything on the VR wire but poses, and the rule that tells one from the other.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{VrFrame, VrState};

/// Operating mode announced on connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Drive only.
    Teleop,
    /// Drive and record episodes.
    DataCollection,
}

/// The popup state of a headset: a JSON object relayed untouched, or nothing.
pub type HudValue = Option<serde_json::Map<String, serde_json::Value>>;

/// One STUN or TURN entry of a WebRTC configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:`, `turn:` or `turns:` URLs.
    pub urls: Vec<String>,
    /// TURN user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// An extension both sides may agree on in `hello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Capability {
    /// The state of the service at once after hello, instead of guessing.
    Snapshot,
    /// Reasons of every hold and clamp.
    Hold,
}

/// What a client wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends poses.
    Driver,
    /// Watches.
    Viewer,
}

/// A client's `hello`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// Version of the extensions.
    pub v: u32,
    /// `<name>/<version>`
    pub client: String,
    /// Random id per page load, the same on every socket of the page.
    pub stream: String,
    /// Driver or viewer.
    pub role: Role,
    /// Capabilities known to us; unknown ones are skipped.
    pub caps: Vec<Capability>,
}

/// The server's answer to `hello`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHello {
    /// The lower of both versions.
    pub v: u32,
    /// `<name>/<version>`
    pub server: String,
    /// Id of this connection.
    pub conn: String,
    /// The capabilities both sides have.
    pub caps: Vec<Capability>,
}

/// How serious a hold is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is limited; a word to the operator.
    Info,
    /// Motion is limited.
    Clamp,
    /// Motion is held.
    Hold,
}

/// Why motion is held or limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HoldReason {
    /// Somebody else drives.
    NotDriver,
    /// No poses arrive.
    LinkStale,
    /// A controller is not tracked.
    TrackingLost,
    /// The picture is old.
    VideoStale,
    /// A joint is at its limit.
    Limit,
    /// The target lies outside the workspace.
    Workspace,
    /// The target moves faster than the arm may.
    Velocity,
    /// The motion would collide.
    Collision,
    /// The arm touched something.
    Contact,
    /// The arms are moving to rest.
    Resetting,
    /// An episode is being written.
    Saving,
    /// No joint angles were found for the target.
    Solver,
    /// The headset's clock jumped.
    Clock,
    /// Both grips must be released first.
    ReleaseGrips,
    /// The stop latch is set.
    Stopped,
    /// The robot reported a fault.
    Fault,
}

/// A hold or clamp as told to the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub reason: HoldReason,
    /// `left`, `right` or `both`.
    pub hand: Cow<'static, str>,
    /// How serious.
    pub severity: Severity,
    /// One sentence for a person.
    pub text: Cow<'static, str>,
    /// How long it has lasted, milliseconds.
    pub since_ms: f64,
}

/// State of the service, sent once after hello.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are the messages of the same names")]
pub struct Snapshot {
    pub mode: Option<Mode>,
    pub episode: Option<u64>,
    pub state: VrState,
    pub tracking: bool,
    pub hold: Option<Hold>,
    pub reset_n: u32,
    pub driver: Option<String>,
    pub cameras: Vec<String>,
}

/// A message from a client to the server.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "poses are the hot path and must not allocate")]
pub enum ClientMessage {
    /// A pose frame.
    Pose(VrFrame),
    /// Asks for a camera offer.
    WebrtcRequest,
    /// Answer to the camera offer.
    WebrtcAnswer {
        /// The session description.
        sdp: String,
    },
    /// Asks for the pose-channel offer.
    ControlRequest,
    /// Answer to the pose-channel offer.
    ControlAnswer {
        /// The session description.
        sdp: String,
    },
    /// Popup state of the headset.
    Hud(HudValue),
    /// Handshake of the extensions.
    Hello(ClientHello),
    /// Signalling that this version does not know, or whose fields do not fit: ignored.
    Ignored,
}

/// A message from the server to a client.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the wire")]
pub enum ServerMessage {
    /// Operating mode, once after accept.
    Mode(Mode),
    /// Number of the current episode; `None` hides it.
    Episode(Option<u64>),
    /// Popup state of the driver's headset, relayed.
    Hud(HudValue),
    /// Override of the headset's state.
    State(VrState),
    /// The engage toggle.
    Tracking(bool),
    /// Camera offer; `tracks` maps mid to camera name.
    WebrtcOffer { sdp: String, tracks: BTreeMap<String, String>, ice_servers: Vec<IceServer> },
    /// Cameras are configured but not ready.
    WebrtcPending,
    /// No video.
    WebrtcUnavailable,
    /// Pose-channel offer.
    ControlOffer { sdp: String, ice_servers: Vec<IceServer> },
    /// Answer to hello.
    Hello(ServerHello),
    /// State of the service after hello.
    Snapshot(Snapshot),
    /// Why motion is held; `None` when cleared.
    Hold(Option<Hold>),
}

/// Kind of a refused message, for counters and rate-limited logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RefusalKind {
    /// Not JSON.
    NotJson,
    /// JSON, but neither a pose object nor signalling.
    NotAnObject,
    /// A required field is missing.
    MissingField,
    /// A field has the wrong type.
    WrongType,
    /// A number is not finite.
    NotFinite,
    /// A value is out of its range.
    OutOfRange,
    /// A quaternion of zero length.
    ZeroQuaternion,
    /// Binary where text is spoken.
    Binary,
}

/// Why a message was refused; names the offending field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct Refusal {
    /// The kind.
    pub kind: RefusalKind,
    /// Path of the offending field, such as `l_ee.position.x`; `message` for the whole.
    pub field: &'static str,
    /// What is wrong with it.
    pub detail: Cow<'static, str>,
}

/// Tells signalling from poses and decodes either.
///
/// # Errors
/// [`Refusal`] for what is neither; the caller counts it and keeps the socket.
pub fn dispatch(_text: &str) -> Result<ClientMessage, Refusal> {
    unimplemented!()
}

/// The rule of the pose data channel: poses only; anything with a `type` is dropped (`Ok(None)`).
///
/// # Errors
/// As [`dispatch`].
pub fn dispatch_channel(_text: &str) -> Result<Option<VrFrame>, Refusal> {
    unimplemented!()
}

impl ServerMessage {
    /// The message as JSON text.
    pub fn encode(&self) -> String {
        unimplemented!()
    }

    /// Reads a server's message; `None` for what this version does not know or cannot read, which a client ignores.
    pub fn decode(_text: &str) -> Option<Self> {
        unimplemented!()
    }
}

impl ClientMessage {
    /// The message as JSON text; empty for [`ClientMessage::Ignored`], which has no form on the wire.
    pub fn encode(&self) -> String {
        unimplemented!()
    }
}
