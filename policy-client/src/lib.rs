//! The policy's side of the policy wire.

mod action;
mod address;
pub mod blocking;
mod client;
mod common;
mod connection;
mod error;
mod keeper;
mod latest;
mod link;
mod observation;
mod options;
mod queue;
mod requests;
mod state;
mod stats;

use std::time::Duration;

pub use action::{Action, Chunk, Due};
pub use address::{Address, AddressError};
pub use client::{ChunkQueued, PolicyClient, Step, StreamOptions};
pub use common::Metadata;
pub use error::{ActionError, Error, Lost};
pub use latest::Latest;
pub use observation::{Camera, ImageError, Observation, Proprio};
pub use options::Options;
pub use state::{Event, State};
pub use stats::{CallStats, Stats};
pub use waldo_protocol::policy::{
    Align, AppMap, ArrayView, CameraSettings, Capabilities, Capability, ClientId, ClockMapping, Driver, Dtype,
    Encoding, Episode, ErrorCode, ErrorReply, Generation, LeaseEvent, LeaseReason, Outcome, Region, RobotId, ServerExt,
    UnknownName, Value,
};

/// Where a robot on this machine listens for WebSockets by default.
pub const DEFAULT_URI: &str = "ws://localhost:8765";

/// Where a robot on this machine listens for Zenoh by default.
pub const DEFAULT_ZENOH_URI: &str = "tcp/localhost:7447";

/// Answer to a word about the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// Whether the client has what it asked for.
    pub granted: bool,
    /// Who controls now; `None`: nobody.
    pub holder: Option<String>,
    /// For how long the holder may be silent.
    pub ttl: Duration,
}
