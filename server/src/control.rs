//! What stands between operators and the robot: who drives, the clutch, inverse kinematics, limits, holds.
//!
//! [`Arbiter`] is the sans-I/O half that sees every pose frame. [`ControlLoop`] is the thread that owns the robot and
//! asks it at 120 Hz for what the arms shall do.
//!
//! When in doubt the arms hold still at what was commanded last, and the reason is told. Joint angles, their
//! velocities and accelerations, and the box of each gripper are guarded here; collisions are not.

mod arbiter;
mod check;
mod drive;
pub mod ik;
mod limits;
mod pilot;
pub mod rest;
mod run;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{Bench, TICK, Watch, frame, squeezed};

pub(crate) use arbiter::side;
pub use arbiter::{
    Admission, Arbiter, Event, FieldHand, FieldHands, FieldTarget, FieldTargets, HANDED_BACK_AFTER, HandTarget,
    JointAction, JointTargets, LeaseAnswer, LeaseView, MAX_FIELD_USERS, MAX_STREAMS, RAMP, Refused, ResetProgress,
    Resume, SourceId, SourceKind, StopGate, StopView, TAKEOVER_AFTER, Targets,
};
pub use pilot::ControlStatus;
pub use run::{ControlLoop, RATE_HZ};
