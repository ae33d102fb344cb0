//! The wire of hosted teleoperation: a robot and operators far away, a broker that introduces them, and an SFU between.

mod arm;
mod clock_sync;
mod dead_man;
mod engage;
mod executor;
mod frames;
mod joy;
mod keys;
mod latency_stamp;
mod quality;
mod staleness;
mod stall_gate;
mod statistics;
mod sticks;
mod twist;
mod video_report;

pub use arm::{ArmSettings, ArmTeleop, ArmTick, MAX_TELEOP_SCALE, MIN_TELEOP_SCALE, StampedDelta};
pub use clock_sync::{ClockEstimate, ClockSync};
pub use dead_man::DeadMan;
pub use engage::{Engage, EngageBy};
pub use executor::{CommandExecutor, MAX_NONCES, MAX_PENDING, NONCE_LIFE, Refused, Submitted, Ticket};
pub use frames::{HANDS, HandDelta, TaskNames, controller_pose, frame_id_of, hand_of, webxr_to_robot};
pub use joy::{HandJoy, MIN_AXES, MIN_BUTTONS};
pub use keys::{HeldKeys, JOG, KEYBOARD, STICKS, SpeedMode, Velocities};
pub use latency_stamp::{
    MIN_WIDTH_PX, OLD_TIME_BITS, SAMPLE_PX, STRIP_PX, SYNC, TIME_BITS, has_sync, is_bright, latency_of, stamp_cells,
};
pub use quality::{
    LinkFigures, LinkPath, Quality, battery_quality, codec_quality, command_quality, end_to_end_quality, fps_quality,
    freezes_quality, loss_quality, rtt_quality,
};
pub use staleness::{Dropped, Freshness, Now, StalenessGate};
pub use stall_gate::{STALL_MS, StallGate};
pub use statistics::{Arrival, CommandKind, CommandStatistics, Counters, Figures, MAX_STREAMS, WINDOW, percentile};
pub use sticks::{Pace, gamepad_to_joy, sticks_to_velocities};
pub use twist::{DriveSettings, DriveTeleop, Twist, TwistUnits};

pub use video_report::{VideoFigures, VideoReport};

pub use crate::vr::Hand;
