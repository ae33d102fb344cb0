//! The wire of hosted teleoperation: a robot and operators far away, a broker that introduces them, and an SFU between.
//!
//! Robot and operator speak JSON over HTTPS with the broker (types as [`RegisterRobot`], [`JoinedSession`]; paths begin
//! with [`API_PREFIX`]), then with each other over four data channels, see [`ChannelLabel`]: messages of
//! [`lcm`](crate::lcm) as commands, [`ToRobot`] and [`ToOperator`] as text, [`MapMessage`] for the map.
//!
//! Whoever decodes gets a value that can be acted on, or an error to count; what is unknown is a value too, and ignored.
//! Times are Unix seconds of the robot's clock unless a name says otherwise.

mod channel;
mod json;
mod map_message;
mod nonce;
mod rest;
mod telemetry;
mod to_operator;
mod to_robot;
mod video_stats;

pub use channel::{ChannelLabel, Direction};
pub use json::Unreadable;
pub use map_message::{MapMessage, MapPicture, Odom};
pub use nonce::{MAX_NONCE, Nonce};
pub use rest::*;
pub use telemetry::{CommandFigures, CommandLoss, Engaged, RobotState, RobotTelemetry, VideoState};
pub use to_operator::ToOperator;
pub use to_robot::{CameraSelect, ClockReport, Refused, SpeedMode, SportCommand, ToRobot};
pub use video_stats::VideoStats;
