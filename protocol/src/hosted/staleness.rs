//! Which commands count: not too old, not from the future, in order.

use crate::geometry::InvalidPose;
use crate::time::MonoTime;

/// One moment on both clocks of the robot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    /// The clock of timeouts.
    pub mono: MonoTime,
    /// Unix seconds, the clock of stamps.
    pub unix: f64,
}

/// Why a command was left out. The texts are what counters and logs show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Dropped {
    /// The emergency stop is latched.
    #[error("estopped")]
    Latched,
    /// Older than [`Freshness::stale_after`].
    #[error("stale")]
    Stale,
    /// Farther ahead than [`Freshness::future_tolerance`].
    #[error("future")]
    Future,
    /// Not newer than the newest of its stream.
    #[error("order")]
    OutOfOrder,
    /// A number, or the stamp, is not finite.
    #[error("not_finite")]
    NotFinite,
    /// No pose of a hand: a quaternion without direction or a position out of range.
    #[error("invalid_pose")]
    InvalidPose,
    /// A Joy with fewer than 4 axes or 7 buttons.
    #[error("joy_contract")]
    JoyContract,
    /// A motion asked for by a key or stick that was held already when the robot was made to stand.
    #[error("not_released")]
    NotReleased,
    /// A twist of zeros that follows one of zeros.
    #[error("idle_zero")]
    IdleZero,
    /// A Joy on a robot whose base is driven by twists.
    #[error("not_for_this_robot")]
    NotForThisRobot,
}

impl From<InvalidPose> for Dropped {
    fn from(invalid: InvalidPose) -> Self {
        match invalid {
            InvalidPose::NotFinite => Self::NotFinite,
            InvalidPose::OutOfRange | InvalidPose::ZeroQuaternion => Self::InvalidPose,
        }
    }
}

/// How old and how far ahead a stamp may be, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Freshness {
    /// Beyond it a command is stale.
    pub stale_after: f64,
    /// How far ahead of the robot's clock a stamp still counts as of this moment, so that a small error of the clocks
    /// cannot stop control.
    pub future_tolerance: f64,
}

impl Default for Freshness {
    fn default() -> Self {
        Self { stale_after: 0.5, future_tolerance: 0.05 }
    }
}

/// The watermark of one stream: a drive, a jog, the poses of a hand, its Joys.
#[derive(Clone, Copy, Debug, Default)]
pub struct StalenessGate {
    last: f64,
}

impl StalenessGate {
    /// Whether a command stamped `stamp` counts at `unix`, both Unix seconds. If it does, it is the newest one.
    ///
    /// # Errors
    /// [`Dropped::NotFinite`], [`Dropped::Stale`], [`Dropped::Future`] or [`Dropped::OutOfOrder`]; the watermark stays.
    pub fn check(&mut self, stamp: f64, unix: f64, rules: &Freshness) -> Result<(), Dropped> {
        let age = unix - stamp;
        if !age.is_finite() {
            return Err(Dropped::NotFinite);
        }
        if age > rules.stale_after {
            return Err(Dropped::Stale);
        }
        if age < -rules.future_tolerance {
            return Err(Dropped::Future);
        }
        if stamp <= self.last {
            return Err(Dropped::OutOfOrder);
        }
        self.last = stamp;
        Ok(())
    }
}
