//! The policy's side of the policy wire: observations in, actions out, over WebSocket or Zenoh.
//!
//! A robot serves its cameras, its joint readings and its actions on `ws://robot:8765`, or on `tcp/robot:7447` over
//! Zenoh. [`PolicyClient`] connects to it and stays connected; [`blocking::PolicyClient`] is the same for programs
//! without an asynchronous runtime. It speaks to Waldo, and to servers of the original wire in Python and C++ of every
//! generation, which it tells apart by itself.
//!
//! ```no_run
//! use std::time::Duration;
//! use waldo_policy_client::{Action, Options, PolicyClient};
//!
//! # fn policy(_: ndarray::ArrayView3<u8>, joints: waldo_policy_client::Proprio) -> Vec<f32> { joints.to_vec() }
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // Waits until the robot is there.
//! let robot = PolicyClient::connect("ws://localhost:8765", Options::default()).await?;
//! robot.reset().await?;
//! robot.start_obs_stream(30.0)?;
//! robot.start_action_dispatch(10.0)?;
//!
//! let mut version = 0;
//! loop {
//!     let latest = robot.newer_obs(version, Duration::from_secs(1)).await?;
//!     version = latest.version;
//!     let observation = latest.observation;
//!     let image = observation.camera("wrist")?.image()?; // [H, W, 3], a view into what the network brought
//!     let joints = observation.proprio("joint_pos")?;
//!     let action: Vec<f32> = policy(image, joints); // yours
//!     robot.put_action(Action::from(action).computed_from(&observation))?;
//! #   break;
//! }
//! # Ok(()) }
//! ```
//!
//! # What can be relied on
//!
//! - A call gets its own reply or a typed [`Error`], within a time-out ([`Options`]). No call gets another's reply,
//!   whatever was stopped, given up, or answered late.
//! - [`PolicyClient::latest_obs`] tells version, age and staleness, so that a frozen stream is visible.
//! - A lost connection is an [`Event`] and a [`State`]; calls fail until it is back, actions that waited are dropped,
//!   stream and dispatch go on by themselves.
//! - Pictures are views into the received message ([`Camera::image`], [`Camera::depth`], [`Camera::image_bytes`]); its
//!   memory is used again for a later one when the last [`Observation`] and view of it is gone.
//! - An action is checked (finite, the robot's shape) and copied when it is put, and is told to the robot together with
//!   the stamps of the observation it was computed from.
//! - Whatever only servers with extensions have is negotiated: [`PolicyClient::extensions`].

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

/// Observations per second that are customary.
pub const DEFAULT_STREAM_HZ: f64 = 30.0;

/// Actions per second that are customary.
pub const DEFAULT_DISPATCH_HZ: f64 = 10.0;

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
