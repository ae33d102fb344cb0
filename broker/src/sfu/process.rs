//! The embedded engine as a process of its own, so that commands and pictures go on while the broker restarts.
//!
//! [`Server`] is that process: HTTP with JSON, and one shared secret. `POST /v1/call` takes one `Call` and replies its result;
//! `GET /v1/events?after=n` waits for events that come after the n-th. [`Client`] is the broker's side, an [`Engine`](super::Engine) like the
//! others. There is no TLS: they speak on loopback or in a private network.

mod client;
mod server;

use serde::{Deserialize, Serialize};

pub use client::Client;
pub use server::Server;

use super::{Bridge, LegIds, NewPeer, PeerId, Track};

/// How long a request for events may wait for one, in seconds.
const POLL: u64 = 20;

/// Events that are kept for a broker that restarts.
const EVENTS: usize = 4096;

/// One call of the engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
enum Call {
    CreatePeer { new: NewPeer },
    PeerState { peer: PeerId },
    OpenBridge { robot: PeerId, operator: PeerId, generation: u64, previous: Option<LegIds> },
    CloseBridge { robot: PeerId, operator: PeerId, bridge: Bridge },
    BridgeIsOpen { robot: PeerId, operator: PeerId, generation: u64 },
    AttachVideo { robot: PeerId, track: Track, receiver: PeerId },
    AttachAudio { operator: PeerId, track: Track, robot: PeerId },
    AttachViewer { robot: PeerId, viewer: PeerId },
    SubmitAnswer { peer: PeerId, sdp: String },
    ClosePeer { peer: PeerId },
    Inject { robot: PeerId, text: String },
    IdsTold { robot: PeerId, generation: u64 },
}

/// Events, and where to go on.
#[derive(Debug, Serialize, Deserialize)]
struct Events {
    /// Another one after the process was started anew.
    process: String,
    /// The number of the last event.
    last: u64,
    /// Some before these are not kept any more.
    missed: bool,
    events: Vec<super::EngineEvent>,
}
