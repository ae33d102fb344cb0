//! What the server says to its clients.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::message::Message;
use super::names::wire_names;
use super::{
    Haptic, Health, Hold, IceServer, LeaseNotice, LeaseReply, MotionScale, Pong, ServerHello, Snapshot, VrState,
};

wire_names! {
    /// Operating mode announced on connect.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Mode {
        /// Drive only.
        Teleop = "teleop",
        /// Drive and record episodes.
        DataCollection = "data_collection",
    }
}

/// The popup state of a headset: a JSON object relayed with every key it has, or nothing.
pub type HudValue = Option<Map<String, Value>>;

/// A message from the server to a client.
#[derive(Clone, Debug, PartialEq)]
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
    /// Camera offer.
    WebrtcOffer {
        /// The session description, candidates included.
        sdp: String,
        /// Camera name per mid.
        tracks: BTreeMap<String, String>,
        /// Empty: no configuration of the peer connection.
        ice_servers: Vec<IceServer>,
    },
    /// Cameras are configured but not ready, or an offer is being built.
    WebrtcPending,
    /// No video.
    WebrtcUnavailable,
    /// Pose-channel offer.
    ControlOffer {
        /// The session description, candidates included.
        sdp: String,
        /// As in the camera offer.
        ice_servers: Vec<IceServer>,
    },
    /// Answer to hello.
    Hello(ServerHello),
    /// State of the service after hello.
    Snapshot(Snapshot),
    /// Why motion is held; `None` when cleared (extension).
    Hold(Option<Hold>),
    /// Answer to a request for the lease (extension).
    LeaseReply(LeaseReply),
    /// Who drives, and who asks to (extension).
    LeaseNotice(LeaseNotice),
    /// A pulse of the controllers (extension).
    Haptic(Haptic),
    /// Answer to a ping (extension).
    Pong(Pong),
    /// How well poses and pictures travel (extension).
    Health(Health),
    /// The scale of the clutch that is in force (extension).
    Motion(MotionScale),
}

impl ServerMessage {
    /// The message as JSON text.
    pub fn encode(&self) -> String {
        match self {
            Self::Mode(mode) => Message::new("mode").with("value", mode).finish(),
            Self::Episode(n) => Message::new("episode").with("value", n).finish(),
            Self::Hud(value) => Message::new("hud").with("value", value).finish(),
            Self::State(state) => Message::new("state").with("value", state).finish(),
            Self::Tracking(engaged) => Message::new("tracking").with("value", engaged).finish(),
            Self::WebrtcOffer { sdp, tracks, ice_servers } => Message::new("webrtc-offer")
                .with("sdp", sdp)
                .with("tracks", tracks)
                .with("iceServers", ice_servers)
                .finish(),
            Self::WebrtcPending => Message::new("webrtc-pending").finish(),
            Self::WebrtcUnavailable => Message::new("webrtc-unavailable").finish(),
            Self::ControlOffer { sdp, ice_servers } => {
                Message::new("control-offer").with("sdp", sdp).with("iceServers", ice_servers).finish()
            }
            Self::Hello(hello) => hello.encode(),
            Self::Snapshot(snapshot) => Message::new("snapshot").with("value", snapshot).finish(),
            Self::Hold(hold) => Message::new("hold").with("value", hold).finish(),
            Self::LeaseReply(reply) => reply.encode(),
            Self::LeaseNotice(notice) => Message::new("lease").with("value", notice).finish(),
            Self::Haptic(haptic) => haptic.encode(),
            Self::Pong(pong) => pong.encode(),
            Self::Health(health) => Message::new("health").with("value", health).finish(),
            Self::Motion(scale) => Message::new("motion").with("value", scale).finish(),
        }
    }

    /// Reads a server's message; `None` for what this version does not know or cannot read, which a client ignores.
    ///
    /// Lenient as the clients of the wire are: an episode that is no count hides the label, `tracking` is the truth
    /// value of whatever comes, `tracks` and `iceServers` may be missing. An unknown state or mode is ignored.
    pub fn decode(text: &str) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_str(text).ok()?;
        let field = |key| fields.get(key).unwrap_or(&Value::Null);
        let value = field("value");
        let sdp = || field("sdp").as_str().map(str::to_owned);
        let ice_servers = || IceServer::list(field("iceServers"));
        Some(match field("type").as_str()? {
            "mode" => Self::Mode(Mode::from_name(value.as_str()?)?),
            "episode" => Self::Episode(episode(value)),
            "hud" => Self::Hud(value.as_object().cloned()),
            "state" => Self::State(VrState::from_name(value.as_str()?)?),
            "tracking" => Self::Tracking(truth(value)),
            "webrtc-offer" => {
                Self::WebrtcOffer { sdp: sdp()?, tracks: tracks(field("tracks")), ice_servers: ice_servers() }
            }
            "webrtc-pending" => Self::WebrtcPending,
            "webrtc-unavailable" => Self::WebrtcUnavailable,
            "control-offer" => Self::ControlOffer { sdp: sdp()?, ice_servers: ice_servers() },
            "hello" => Self::Hello(ServerHello::from_fields(&fields).ok()?),
            "snapshot" => Self::Snapshot(Snapshot::from_value(value)?),
            "hold" if value.is_null() => Self::Hold(None),
            "hold" => Self::Hold(Some(Hold::from_value(value)?)),
            "lease" if value.is_object() => Self::LeaseNotice(LeaseNotice::from_value(value)),
            "lease" => Self::LeaseReply(LeaseReply::from_fields(&fields)?),
            "haptic" => Self::Haptic(Haptic::from_fields(&fields)?),
            "pong" => Self::Pong(Pong::from_fields(&fields)?),
            "health" => Self::Health(Health::from_value(value)?),
            "motion" => Self::Motion(MotionScale::from_fields(&fields).ok()?),
            _ => return None,
        })
    }
}

/// An episode's number; anything but a count hides it.
pub(super) fn episode(value: &Value) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number below 2^53")]
    let whole = |n: f64| (n.fract() == 0.0 && (0.0..9e15).contains(&n)).then_some(n as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(whole))
}

/// The truth value JavaScript gives a JSON value.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Camera name per mid; what is not a text is left out.
fn tracks(value: &Value) -> BTreeMap<String, String> {
    let named = |(mid, name): (&String, &Value)| Some((mid.clone(), name.as_str()?.to_owned()));
    value.as_object().map_or_else(BTreeMap::new, |tracks| tracks.iter().filter_map(named).collect())
}
