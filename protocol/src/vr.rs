//! The VR wire: one text message per pose frame from the headset, feedback and WebRTC signalling back.
//!
//! [`VrFrame`] is the pose frame, [`ClientMessage`] and [`ServerMessage`] are everything else, [`dispatch`] is the one
//! rule that tells them apart. Poses on the wire are raw WebXR `local-floor` target-ray poses.

mod address;
mod clutch;
mod elbow;
mod engage;
mod frame;
mod message;

pub use address::{InvalidAddress, RobotAddress};
pub use clutch::{Clutch, ClutchScale};
pub use elbow::estimate_elbow;
pub use engage::EngageToggle;
pub use frame::{Controller, Hand, VrFrame, VrState};
pub use message::{
    Capability, ClientHello, ClientMessage, Hold, HoldReason, HudValue, IceServer, Mode, Refusal, RefusalKind, Role,
    ServerHello, ServerMessage, Severity, Snapshot, dispatch, dispatch_channel,
};
