//! What stands between operators and the robot: who drives, the clutch, inverse kinematics, limits, holds.
//!
//! [`Teleop`] is the sans-I/O half that sees every pose frame. [`ControlLoop`] is the thread that owns the robot and
//! asks it at 120 Hz for what the arms shall do.
//!
//! When in doubt the arms hold still at what was commanded last, and the reason is told. Joint angles, joint velocities
//! and the box of each gripper are guarded here; collisions and accelerations are not.

mod check;
pub mod ik;
mod pilot;
pub mod rest;
mod run;
mod teleop;
#[cfg(test)]
mod tests;

pub use pilot::ControlStatus;
pub use run::{ControlLoop, RATE_HZ};
pub use teleop::{
    Admission, DRIVER_LOST_AFTER, Event, HandTarget, MAX_STREAMS, STALE_AFTER, StreamId, Targets, Teleop,
};
