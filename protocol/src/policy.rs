//! The policy wire: observations down from a robot, actions up from a policy, one frame per message.
//!
//! A frame is the header's length (u32, little endian), a msgpack map, and a payload of arrays. Over a WebSocket it is
//! one binary message, over Zenoh the payload of one sample.
//!
//! Reading: [`ClientMessage::decode`] and [`ServerMessage::decode`]. Arrays are never copied; [`ArrayRef`] says where in
//! the frame they lie, already checked. Writing: every message appends itself to a `Vec<u8>`; an observation
//! ([`ObservationHeader`]) only its header, so that pictures can be sent from where they are.
//!
//! Two generations speak this wire: the coupled one steps (`action` → `step_response`), the decoupled one streams
//! (`obs_request`, `apply_action`); [`GenerationProbe`] tells them apart. Extensions are negotiated with the metadata
//! ([`ClientExt`], [`ServerExt`]): the decoders take the [`Capabilities`] both sides have, and what is not among them
//! does not exist for them.
//!
//! ```
//! use waldo_protocol::policy::{ActionHeader, AppMap, Capabilities, ClientMessage, MetadataResponse};
//!
//! let mut frame = Vec::new();
//! ActionHeader { shape: &[2], ..Default::default() }.encode(&[0.5, -1.0], &mut frame)?;
//! let Ok(ClientMessage::ApplyAction(action)) = ClientMessage::decode(&frame, Capabilities::NONE) else { panic!() };
//! let values: Vec<f32> = action.array.view(&frame).unwrap().f32s().collect();
//! assert_eq!(values, [0.5, -1.0]);
//!
//! frame.pop();
//! let refused = ClientMessage::decode(&frame, Capabilities::NONE).unwrap_err();
//! assert_eq!(refused.to_string(), "payload: 7 bytes, but shape and element type need 8");
//! # Ok::<(), waldo_protocol::policy::WireError>(())
//! ```

mod action;
mod action_gate;
mod app_map;
mod array;
mod camera;
mod capability;
mod chunk;
mod chunk_queue;
mod client;
mod clock;
mod configure;
mod dtype;
mod episode;
mod error;
mod error_reply;
mod ext;
mod fields;
mod frame;
mod generation;
mod ids;
mod intrinsics;
mod lease;
mod observation;
mod observation_header;
mod reader;
mod server;
pub mod shared_memory;
mod stats;
mod stream;
mod writer;
mod zenoh_keys;

pub use action::{Action, ActionHeader, ActionMarks};
pub use action_gate::{ActionDropped, ActionGate};
pub use app_map::{AppMap, NotForTheWire};
pub use array::{ArrayRef, ArrayView, MAX_DIMENSIONS};
pub use camera::{Camera, Image};
pub use capability::{Capabilities, Capability};
pub use chunk::{ActionChunk, ChunkHeader, ChunkMode, ChunkResponse, ChunkTiming};
pub use chunk_queue::{ChunkQueue, ChunkRefused, Queued};
pub use client::{ClientMessage, Freshness, ObsRequest, SimpleRequest, encode_stats};
pub use clock::{CLOCK_EVERY, CLOCK_REMEMBERED, ClockMap, ClockMapping, ClockRequest, ClockResponse};
pub use configure::{Align, CameraSettings, Configure, Encoding};
pub use dtype::{Dtype, Element};
pub use episode::{Driver, Episode, Outcome};
pub use error::{MsgpackProblem, Owner, Problem, WireError};
pub use error_reply::{ErrorCode, ErrorReply};
pub use ext::{ClientExt, EXT_VERSION, Limits, MetadataRequest, MetadataResponse, ServerExt};
pub use frame::request_id;
pub use generation::{Generation, GenerationProbe, PROBE_TIMEOUT};
pub use ids::{ClientId, InvalidRobotId, RequestId, RobotId};
pub use intrinsics::{Region, adapt_intrinsics};
pub use lease::{LeaseEvent, LeaseOp, LeaseReason, LeaseRequest, LeaseResponse};
pub use observation::{Observation, Proprio, UnknownName};
pub use observation_header::{
    ArrayHeader, CameraHeader, CameraMarks, ImageHeader, ObservationHeader, ObservationKind, ProprioHeader, PushMark,
};
pub use reader::{MAX_DEPTH, MAX_VALUES};
pub use rmpv::Value;
pub use server::{ObsPush, ObsResponse, ResetResponse, ServerMessage, StepResponse};
pub use stats::StatsResponse;
pub use stream::{Credit, StreamRef, Subscribe};
pub use zenoh_keys::{
    EVERY_LIVE, LEGACY_C2S, LEGACY_S2C, ZenohKeys, client_of, every_client, every_reply, live_key, robot_of,
};

use frame::Frame;

/// Most entries of a list of names: cameras, proprioception streams, stamps.
pub const MAX_NAMES: usize = 4096;
