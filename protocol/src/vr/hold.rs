//! Reasons of holds and clamps, as told to the operator.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How serious a hold is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is limited; a word to the operator.
    Info,
    /// Motion is limited.
    Clamp,
    /// Motion is held.
    Hold,
}

/// Why motion is held or limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HoldReason {
    /// Somebody else drives.
    NotDriver,
    /// No poses arrive.
    LinkStale,
    /// A controller is not tracked.
    TrackingLost,
    /// The picture is old.
    VideoStale,
    /// A joint is at its limit.
    Limit,
    /// The target lies outside the workspace.
    Workspace,
    /// The target moves faster than the arm may.
    Velocity,
    /// The motion would collide.
    Collision,
    /// The arm touched something.
    Contact,
    /// The arms are moving to rest.
    Resetting,
    /// An episode is being written.
    Saving,
    /// No joint angles were found for the target.
    Solver,
    /// The headset's clock jumped.
    Clock,
    /// Both grips must be released first.
    ReleaseGrips,
    /// The stop latch is set.
    Stopped,
    /// The robot reported a fault.
    Fault,
    /// Nothing is held, but the recording stands: its headset left or its link was lost in the middle of an episode.
    Interrupted,
}

/// The hands a hold concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hands {
    /// The left hand only.
    Left,
    /// The right hand only.
    Right,
    /// Both hands.
    Both,
}

/// A hold or clamp as told to the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub reason: HoldReason,
    /// Which hands.
    pub hand: Hands,
    /// How serious.
    pub severity: Severity,
    /// One sentence for a person.
    pub text: Cow<'static, str>,
    /// How long it has lasted, milliseconds.
    pub since_ms: f64,
}

impl Hold {
    /// `None` for a hold that this version cannot read.
    pub(super) fn from_value(value: &Value) -> Option<Self> {
        Self::deserialize(value).ok()
    }
}
