//! The wire of hosted teleoperation: a robot and operators far away, a broker that introduces them, and an SFU between.

mod arm;
mod dead_man;
mod engage;
mod executor;
mod frames;
mod joy;
mod staleness;
mod statistics;
mod twist;

pub use arm::{ArmSettings, ArmTeleop, ArmTick, MAX_TELEOP_SCALE, MIN_TELEOP_SCALE, StampedDelta};
pub use dead_man::DeadMan;
pub use engage::{Engage, EngageBy};
pub use executor::{CommandExecutor, MAX_NONCES, MAX_PENDING, NONCE_LIFE, Refused, Submitted, Ticket};
pub use frames::{HANDS, HandDelta, TaskNames, controller_pose, frame_id_of, hand_of, webxr_to_robot};
pub use joy::{HandJoy, MIN_AXES, MIN_BUTTONS};
pub use staleness::{Dropped, Freshness, Now, StalenessGate};
pub use statistics::{Arrival, CommandKind, CommandStatistics, Counters, Figures, MAX_STREAMS, WINDOW, percentile};
pub use twist::{DriveSettings, DriveTeleop, Twist, TwistUnits};

pub use crate::vr::Hand;
