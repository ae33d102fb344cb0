//! The Virtual Field wire: controller samples up, a scene of soft arms down, one JSON envelope per message.
//!
//! World: +Y up, −Z forward, +X right, floor at y = 0. Metres, seconds, radians, quaternions x, y, z, w.

mod command;
mod director;
mod foraging;
mod handling;
mod invalid;
mod limits;
mod mapper;
mod mode;
mod mode_input;
mod sample;
mod scene;
mod transform;
mod waypoint;

pub use command::{ArmCommand, MultiArmCommand};
pub use director::{Director, UNTURNED, director_rotation, rotation_director};
pub use foraging::{MIN_CRAWL, SELECT_WITHIN, SELECTED_FOR, Selection, crawl_direction, pointed_at};
pub use handling::{ArmHandling, ClutchMode, DEFAULT_OFFSET, Handled, HandlingConfig, TipPose};
pub use invalid::Invalid;
pub use limits::{InvalidSpeed, InvalidWorkspace, Limited, Limits, Workspace};
pub use mapper::{DualArmControlMapper, InvalidMapper, MapperConfig, SessionArmControlMapper, Smoothing};
pub use mode::{CharacterMode, Layout, arm_id, linear_bases, octo_bases};
pub use mode_input::{GrowingInput, ThrowingInput, newly_pressed};
pub use sample::{
    Buttons, CRAWL, ControllerSample, GRIP_CLICK, LEFT, PRIMARY, RIGHT, SECONDARY, TRIGGER_CLICK, XrInputSample,
};
pub use scene::{ArmState, Haptic, Mesh, Overlay, POINT_SIZE, SPHERE_COLOR, SceneState, Sphere};
pub use transform::{ROTATION_NORM, Transform, Twist};
pub use waypoint::{MAX_WAYPOINTS, REACHED_WITHIN, Waypoints, waypoint};
