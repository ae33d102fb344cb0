//! The Virtual Field wire: controller samples up, a scene of soft arms down, one JSON envelope per message.
//!
//! A server reads [`Envelope::read`], asks [`Role::check`] whether that socket may say such a thing, and reads the rest
//! with [`Envelope::message`]; what it refuses, it refuses with the very words of the wire, [`Invalid`]. A client reads
//! with [`ServerMessage::decode`]. The other directions are [`ServerMessage::encode`] and [`ClientMessage::encode`].
//! What is not of the original wire is an [`Extension`], which a client must ask for.
//!
//! [`SessionArmControlMapper`] makes commands of samples, [`ArmHandling`] is what a command does to one arm.
//! [`SceneState`] is what everybody sees. It goes out whole ([`SceneState::encode`], with [`MeshMarks`] for each socket)
//! or, to clients that agreed, as what each of them lacks: [`SceneEncoder`], put together again by [`SceneDecoder`].
//!
//! World: +Y up, −Z forward, +X right, floor at y = 0. Metres, seconds, radians, quaternions x, y, z, w.
//!
//! ```
//! use waldo_protocol::field::{ClientMessage, Envelope, Extensions, Role, ServerMessage};
//!
//! let envelope = Envelope::read(r#"{"version": 1, "type": "heartbeat", "payload": {}}"#)?;
//! let refused = Role::check(None, envelope.kind(), Extensions::NONE).unwrap_err();
//! let answer = ServerMessage::Error((&refused).into()).encode()?;
//! assert_eq!(answer, r#"{"version":1,"type":"error","payload":{"reason":"hello required first"}}"#);
//!
//! assert_eq!(envelope.message()?, ClientMessage::Heartbeat);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod changes;
mod client;
mod command;
mod director;
mod envelope;
mod extension;
mod finite;
mod follow;
mod foraging;
mod gamepad;
mod handling;
mod hello;
mod hello_ack;
mod invalid;
mod latency;
mod limits;
mod mapper;
mod marks;
mod mode;
mod mode_input;
mod object;
mod people;
mod publisher;
mod read;
mod role;
mod sample;
mod scene;
mod scene_binary;
mod scene_decoder;
mod scene_delta;
mod scene_delta_read;
mod scene_encoder;
mod scene_message;
mod scene_read;
mod server;
mod transform;
mod waypoint;

pub use address::{FIELD_PORT, FieldHome, FieldParameters, InvalidParameter};
pub use client::{ClientMessage, XrInput};
pub use command::{ArmCommand, MAX_COMMANDS, MultiArmCommand};
pub use director::{Director, UNTURNED, director_rotation, rotation_director};
pub use envelope::{Envelope, VERSION};
pub use extension::{Extension, Extensions};
pub use finite::NotFinite;
pub use follow::{ArmCamera, Followed, View, auto_follow, is_head, is_renderable, view_from};
pub use foraging::{MIN_CRAWL, SELECT_WITHIN, SELECTED_FOR, Selection, crawl_direction, pointed_at};
pub use gamepad::{GamepadButton, Pulses};
pub use handling::{ArmHandling, ClutchMode, DEFAULT_OFFSET, Handled, HandlingConfig, TipPose};
pub use hello::{DEADMAN_S, Hello, Join, MAX_ID};
pub use hello_ack::{ArmLook, AssetManifest, Bounds, HelloAck, Joined, ResetAck};
pub use invalid::Invalid;
pub use latency::{InputLatency, REMEMBERED_INPUTS, SentInputs};
pub use limits::{InvalidSpeed, InvalidWorkspace, Limited, Limits, Workspace};
pub use mapper::{DualArmControlMapper, InvalidMapper, MapperConfig, SessionArmControlMapper, Smoothing};
pub use marks::{MeshData, MeshMarks};
pub use mode::{CharacterMode, Layout, arm_id, linear_bases, octo_bases};
pub use mode_input::{GrowingInput, ThrowingInput, newly_pressed};
pub use people::{Person, PersonHand};
pub use publisher::{AddMesh, MeshChange, UpdateOverlay};
pub use read::MAX_NAME;
pub use role::Role;
pub use sample::{
    Buttons, CRAWL, ControllerSample, GRIP_CLICK, LEFT, MAX_BUTTONS, MAX_CONTROLLERS, PRIMARY, RIGHT, SECONDARY,
    TRIGGER_CLICK, XrInputSample,
};
pub use scene::{ArmState, Haptic, MAX_POINTS, Mesh, Overlay, POINT_SIZE, SPHERE_COLOR, SceneState, Sphere};
pub use scene_binary::{BinaryArm, BinaryScene, InvalidBinary, MAGIC};
pub use scene_decoder::{LostTrack, SceneDecoder};
pub use scene_delta::{ArmChange, OverlayChange, Removed, SceneDelta};
pub use scene_encoder::{FULL_EVERY, SceneCursor, SceneEncoder, SceneForm, SceneFrames, SceneStep};
pub use scene_message::{InputAck, SceneExtras, SceneMessage};
pub use server::{ErrorMessage, MeshAck, OverlayAck, ServerMessage, Status};
pub use transform::{ROTATION_NORM, Transform, Twist};
pub use waypoint::{MAX_WAYPOINTS, REACHED_WITHIN, Waypoints, waypoint};
