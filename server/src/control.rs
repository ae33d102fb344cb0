//! What stands between operators and the robot: who drives, the clutch, inverse kinematics, limits, holds.
//!
//! [`Teleop`] is the sans-I/O half that sees every pose frame. [`ControlLoop`] is the thread that owns the robot and
//! asks it at 120 Hz for what the arms shall do.

pub mod ik;
pub mod rest;
mod run;
mod teleop;

pub use run::{ControlLoop, ControlStatus};
pub use teleop::{Admission, Event, StreamId, Targets, Teleop};
