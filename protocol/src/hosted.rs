//! The wire of hosted teleoperation: a robot and operators far away, a broker that introduces them, and an SFU between.
//!
//! Robot and operator speak JSON over HTTPS with the broker (types as [`RegisterRobot`], [`JoinedSession`]; paths begin
//! with [`API_PREFIX`]), then with each other over four data channels, see [`ChannelLabel`]: messages of
//! [`lcm`](crate::lcm) as commands, [`ToRobot`] and [`ToOperator`] as text, [`MapMessage`] for the map.
//!
//! Whoever decodes gets a value that can be acted on, or an error to count; what is unknown is a value too, and ignored.
//! Times are Unix seconds of the robot's clock unless a name says otherwise.

mod arm;
mod channel;
mod dead_man;
mod engage;
mod executor;
mod frames;
mod joy;
mod json;
mod map_message;
mod nonce;
mod rest;
mod staleness;
mod statistics;
mod telemetry;
mod to_operator;
mod to_robot;
mod twist;
mod video_stats;

pub use arm::{ArmSettings, ArmTeleop, ArmTick, MAX_TELEOP_SCALE, MIN_TELEOP_SCALE, StampedDelta};
pub use channel::{ChannelLabel, Direction};
pub use dead_man::DeadMan;
pub use engage::{Engage, EngageBy};
pub use executor::{CommandExecutor, MAX_NONCES, MAX_PENDING, NONCE_LIFE, Refused, Submitted, Ticket};
pub use frames::{HANDS, HandDelta, TaskNames, controller_pose, frame_id_of, hand_of, webxr_to_robot};
pub use joy::{HandJoy, MIN_AXES, MIN_BUTTONS};
pub use json::Unreadable;
pub use map_message::{MapMessage, MapPicture, Odom};
pub use nonce::{MAX_NONCE, Nonce};
pub use rest::*;
pub use staleness::{Dropped, Freshness, Now, StalenessGate};
pub use statistics::{Arrival, CommandKind, CommandStatistics, Counters, Figures, MAX_STREAMS, WINDOW, percentile};
pub use telemetry::{CommandFigures, CommandLoss, Engaged, RobotState, RobotTelemetry, VideoState};
pub use to_operator::ToOperator;
pub use to_robot::{CameraSelect, ClockReport, RefusedCommand, SpeedMode, SportCommand, ToRobot};
pub use twist::{DriveSettings, DriveTeleop, TwistUnits};
pub use video_stats::VideoStats;

pub use crate::lcm::Twist;
pub use crate::vr::Hand;
