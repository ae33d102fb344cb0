//! The VR wire: one text message per pose frame from the headset, feedback and WebRTC signalling back.
//!
//! [`VrFrame`] is the pose frame, [`ClientMessage`] and [`ServerMessage`] are everything else, [`dispatch()`] is the one
//! rule that tells them apart. Poses on the wire are raw WebXR `local-floor` target-ray poses. [`Signalling`] decides
//! what a server answers to one client's WebRTC messages. [`Playout`] makes an even motion of frames that come unevenly;
//! [`EngageToggle`] and [`Clutch`] are what it means to arms, [`Cart`] to the base under them, [`RecordingEdges`] to the
//! recorder.
//!
//! ```
//! use waldo_protocol::vr::{ClientMessage, ServerMessage, dispatch};
//!
//! assert_eq!(dispatch(r#"{"type":"webrtc-request"}"#)?, ClientMessage::WebrtcRequest);
//! assert_eq!(ServerMessage::Tracking(true).encode(), r#"{"type":"tracking","value":true}"#);
//!
//! let refusal = dispatch(r#"{"l_ee":{"position":{"x":null}}}"#).unwrap_err();
//! assert_eq!(refusal.to_string(), "l_ee.position.x: must be a number");
//! # Ok::<(), waldo_protocol::vr::Refusal>(())
//! ```

use crate::names;

mod address;
mod cart;
mod client;
mod client_clock;
mod client_recording;
mod clutch;
mod coerce;
mod dispatch;
mod elbow;
mod engage;
mod frame;
mod haptic;
mod health;
mod hello;
mod hold;
mod ice;
mod lease;
mod message;
mod motion;
mod object;
mod playout;
mod recording;
mod refusal;
mod scan;
mod sequence;
mod server;
mod signalling;
mod snapshot;
mod stop;

pub use address::{InvalidAddress, RobotAddress};
pub use cart::{Cart, CartCommand, Lift};
pub use client::{ClientMessage, MAX_SIGNALLING};
pub use client_clock::{ClockEstimate, ClockSync, MAX_UNANSWERED, PING_EVERY_MS, REMEMBERED};
pub use client_recording::{
    COUNTDOWN_MS, Confirmation, EDGE_WAIT_MS, HeadsetRecording, PressCounters, RESET_FRAMES, RecordingButtons,
    RecordingStep,
};
pub use clutch::Clutch;
pub use dispatch::{dispatch, dispatch_channel};
pub use elbow::estimate_elbow;
pub use engage::EngageToggle;
pub use frame::{Controller, EpisodeOp, Hand, VrFrame, VrState};
pub use haptic::{Haptic, HapticPattern};
pub use health::{Health, Ping, Pong, VideoHealth};
pub use hello::{Capability, ClientHello, HELLO_VERSION, MAX_PROGRAM_NAME, MAX_STREAM_ID, Role, ServerHello};
pub use hold::{Hands, Hold, HoldReason, Severity};
pub use ice::IceServer;
pub use lease::{FIELD, LeaseNotice, LeaseOp, LeaseReason, LeaseReply, LeaseRequest, LeaseState, POLICY};
pub use motion::MotionScale;
pub use playout::{Playout, PlayoutConfig, PlayoutProfile, Rendered};
pub use recording::{Edges, Episode, Interruption, RecordingEdges};
pub use refusal::{Refusal, RefusalKind};
pub use sequence::SeqMark;
pub use server::{HudValue, Mode, ServerMessage};
pub use signalling::{Action, Cameras, Event, Peer, Signalling};
pub use snapshot::Snapshot;
pub use stop::Stop;
