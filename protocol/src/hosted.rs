//! The wire of hosted teleoperation: a robot and operators far away, a broker that introduces them, and an SFU between.
//!
//! Robot and operator speak JSON over HTTPS with the broker (types as [`RegisterRobot`], [`JoinedSession`]; paths begin
//! with [`API_PREFIX`]), then with each other over four data channels, see [`ChannelLabel`]: messages of
//! [`lcm`](crate::lcm) as commands, [`ToRobot`] and [`ToOperator`] as text, [`MapMessage`] for the map.
//!
//! Whoever decodes gets a value that can be acted on, or an error to count; what is unknown is a value too, and ignored.
//! Times are Unix seconds of the robot's clock unless a name says otherwise.
//!
//! ```
//! use waldo_protocol::hosted::{ToOperator, ToRobot};
//!
//! let command = ToRobot::decode(br#"{"type": "sport_cmd", "name": "Backflip", "nonce": 9}"#)?;
//! let ToRobot::Refused(refused) = command else { unreachable!("there is no such motion") };
//! let answer = ToOperator::CmdAck { nonce: refused.nonce, ok: false };
//! assert_eq!(ToOperator::decode(br#"{"type": "cmd_ack", "nonce": 9, "ok": false}"#)?, answer);
//!
//! let stop = ToRobot::decode(br#"{"type": "estop", "nonce": [1, 2]}"#)?;
//! assert_eq!(stop, ToRobot::Estop { nonce: None });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arm;
mod buttons;
mod channel;
mod clock_sync;
mod dead_man;
mod engage;
mod executor;
mod frames;
mod joy;
mod json;
mod keys;
mod latency_stamp;
mod map;
mod map_message;
mod nonce;
mod quality;
mod rest;
mod sdp;
mod staleness;
mod stall_gate;
mod statistics;
mod sticks;
mod telemetry;
mod to_operator;
mod to_robot;
mod twist;
mod video_cap;
mod video_report;
mod video_stats;

pub use arm::{ArmSettings, ArmTeleop, ArmTick, MAX_TELEOP_SCALE, MIN_TELEOP_SCALE, StampedDelta};
pub use buttons::Buttons;
pub use channel::{CONTROL_ID, CONTROL_LABEL, ChannelLabel, Direction};
pub use clock_sync::{ClockEstimate, ClockSync};
pub use dead_man::DeadMan;
pub use engage::{Engage, EngageBy};
pub use executor::{CommandExecutor, MAX_NONCES, MAX_PENDING, NONCE_LIFE, Refused, Submitted, Ticket};
pub use frames::{HANDS, HandDelta, TaskNames, controller_pose, frame_id_of, hand_of, webxr_to_robot};
pub use joy::{HandJoy, MIN_AXES, MIN_BUTTONS};
pub use json::Unreadable;
pub use keys::{HeldKeys, JOG, KEYBOARD, STICKS, Velocities};
pub use latency_stamp::{
    MIN_WIDTH_PX, OLD_TIME_BITS, SAMPLE_PX, STRIP_PX, SYNC, TIME_BITS, has_sync, is_bright, latency_of, stamp_cells,
};
pub use map::{InvalidGrid, MAX_CELLS, MAX_MAP_MESSAGE, MIN_CELL, OccupancyGrid, cell_colour};
pub use map_message::{MapMessage, MapPicture, Odom};
pub use nonce::{MAX_NONCE, Nonce};
pub use quality::{
    LinkFigures, LinkPath, Quality, battery_quality, codec_quality, command_quality, end_to_end_quality, fps_quality,
    freezes_quality, loss_quality, rtt_quality,
};
pub use rest::{
    API_KEY_HEADER, API_PREFIX, Ack, AuditEntry, AuthConfig, AuthMode, BridgeUpdate, BridgedSession, BridgedViewer,
    BrokerHealth, CreateKey, CreatedKey, Credentials, Done, ErrorBody, ErrorDetail, Extension, Heartbeat, HeartbeatAck,
    IceServer, IceServers, JoinSession, JoinedSession, KeyInfo, KeyList, LEASE_HEADER, LeaveSession, LeftSession,
    LiveKitAccess, LiveKitAck, LoggedIn, Me, RegisterRobot, RegisteredRobot, RevokedKey, RobotChannelIds, Role,
    SafetyState, SdpAnswer, SessionInfo, SessionList, SessionState, TakeOver, Transport, Urls, UserRole, VideoStatus,
    detail,
};
pub use sdp::{MediaKind, PublishedTrack, published_track, repair_candidates};
pub use staleness::{Dropped, Freshness, Now, StalenessGate};
pub use stall_gate::{STALL_MS, StallGate};
pub use statistics::{Arrival, CommandKind, CommandStatistics, Counters, Figures, MAX_STREAMS, WINDOW, percentile};
pub use sticks::{Pace, gamepad_to_joy, sticks_to_velocities};
pub use telemetry::{CommandFigures, CommandLoss, Engaged, RobotState, RobotTelemetry, VideoState};
pub use to_operator::ToOperator;
pub use to_robot::{CameraSelect, ClockReport, RefusedCommand, SpeedMode, SportCommand, ToRobot, light_level};
pub use twist::{DriveSettings, DriveTeleop, TwistUnits};
pub use video_cap::{HIGHEST_CAP_KBPS, LOWEST_CAP_KBPS, VideoCap};
pub use video_report::VideoReport;
pub use video_stats::{VIDEO_FRAME, VideoStats};

pub use crate::lcm::Twist;
pub use crate::vr::Hand;
