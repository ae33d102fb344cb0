//! What a client says to the server.

use serde_json::{Map, Value};

use super::message::{Message, integer, number};
use super::scan::not_json;
use super::{ClientHello, HudValue, LeaseRequest, MotionScale, Ping, Refusal, RefusalKind, Stop, VrFrame};

/// Longest signalling message, bytes. A session description of some dozen tracks is a tenth of it; a tree of JSON
/// values takes much more memory than its text.
pub const MAX_SIGNALLING: usize = 256 * 1024;

/// A message from a client to the server.
#[derive(Clone, Debug, PartialEq)]
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
    /// Popup state of the headset. A value that is not an object, or is missing, is `None`.
    Hud(HudValue),
    /// Handshake of the extensions.
    Hello(ClientHello),
    /// Asks for the control lease, or answers somebody who does (extension).
    Lease(LeaseRequest),
    /// Asks for a [`super::Pong`] (extension).
    Ping(Ping),
    /// Sets the scale of the clutch (extension).
    Motion(MotionScale),
    /// Sets or clears the stop latch (extension).
    Stop(Stop),
    /// Signalling of a type that this version does not know.
    Ignored,
}

impl ClientMessage {
    /// The message as JSON text; empty for [`ClientMessage::Ignored`], which has no form on the wire.
    pub fn encode(&self) -> String {
        match self {
            Self::Pose(frame) => {
                let mut text = String::with_capacity(1024);
                frame.encode(&mut text);
                text
            }
            Self::WebrtcRequest => Message::new("webrtc-request").finish(),
            Self::WebrtcAnswer { sdp } => Message::new("webrtc-answer").with("sdp", sdp).finish(),
            Self::ControlRequest => Message::new("control-request").finish(),
            Self::ControlAnswer { sdp } => Message::new("control-answer").with("sdp", sdp).finish(),
            Self::Hud(value) => Message::new("hud").with("value", value).finish(),
            Self::Hello(hello) => hello.encode(),
            Self::Lease(request) => request.encode(),
            Self::Ping(ping) => Message::new("ping").with("n", &ping.n).with("t", &ping.t).finish(),
            Self::Motion(scale) => Message::new("motion").with("value", scale).finish(),
            Self::Stop(stop) => stop.encode(),
            Self::Ignored => String::new(),
        }
    }

    /// Decodes an object that has a `type` key.
    pub(super) fn decode_signalling(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_SIGNALLING {
            let detail = format!("signalling is longer than {MAX_SIGNALLING} bytes");
            return Err(Refusal::of_message(RefusalKind::OutOfRange, detail));
        }
        let mut fields: Map<String, Value> = serde_json::from_str(text).map_err(|e| not_json(&e, "message"))?;
        Ok(match fields.get("type").and_then(Value::as_str) {
            Some("webrtc-request") => Self::WebrtcRequest,
            Some("webrtc-answer") => Self::WebrtcAnswer { sdp: sdp(&mut fields)? },
            Some("control-request") => Self::ControlRequest,
            Some("control-answer") => Self::ControlAnswer { sdp: sdp(&mut fields)? },
            Some("hud") => Self::Hud(match fields.remove("value") {
                Some(Value::Object(value)) => Some(value),
                _ => None,
            }),
            Some("hello") => Self::Hello(ClientHello::from_fields(&fields)?),
            Some("lease") => Self::Lease(LeaseRequest::from_fields(&fields)?),
            Some("ping") => match (integer(&fields, "n"), number(&fields, "t")) {
                (Ok(n), Ok(t)) => Self::Ping(Ping { n, t }),
                // Clients that never agreed on it may have a ping of their own.
                _ => Self::Ignored,
            },
            Some("motion") => Self::Motion(MotionScale::from_fields(&fields)?),
            Some("stop") => Self::Stop(Stop::from_fields(&fields)),
            _ => Self::Ignored,
        })
    }
}

fn sdp(fields: &mut Map<String, Value>) -> Result<String, Refusal> {
    match fields.remove("sdp") {
        Some(Value::String(sdp)) => Ok(sdp),
        _ => Err(Refusal::new(RefusalKind::WrongType, "sdp", "must be a text")),
    }
}
