//! The Virtual Field wire: controller samples up, a scene of soft arms down, one JSON envelope per message.
//!
//! World: +Y up, −Z forward, +X right, floor at y = 0. Metres, seconds, radians, quaternions x, y, z, w.

mod address;
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
mod people;
mod publisher;
mod read;
mod role;
mod sample;
mod scene;
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
pub use scene_message::{InputAck, SceneExtras, SceneMessage};
pub use server::{ErrorMessage, MeshAck, OverlayAck, ServerMessage, Status};
pub use transform::{ROTATION_NORM, Transform, Twist};
pub use waypoint::{MAX_WAYPOINTS, REACHED_WITHIN, Waypoints, waypoint};
