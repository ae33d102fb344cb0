//! What the operator is told about holds and clamps.

use std::borrow::Cow;
use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Hands, Hold, HoldReason, Severity};

/// A clamp shorter than this is part of any brisk motion and not worth a word.
pub(super) const CLAMP_TOLD_AFTER: Duration = Duration::from_millis(100);

/// A hold or clamp that is in force.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Standing {
    reason: HoldReason,
    hand: Hands,
    severity: Severity,
    since: MonoTime,
}

impl Standing {
    /// Both arms are held.
    pub(super) fn hold(reason: HoldReason, since: MonoTime) -> Self {
        Self { reason, hand: Hands::Both, severity: Severity::Hold, since }
    }

    /// Nothing is held, but the operator should know.
    pub(super) fn info(reason: HoldReason, since: MonoTime) -> Self {
        Self { reason, hand: Hands::Both, severity: Severity::Info, since }
    }

    /// The reason of one hand (left, right), or of both where they agree; the left one's if they differ.
    pub(super) fn clamp(hands: [Option<(HoldReason, MonoTime)>; 2]) -> Option<Self> {
        let (hand, (reason, since)) = match hands {
            [Some((left, since)), Some((right, other))] if left == right => (Hands::Both, (left, since.min(other))),
            [Some(left), _] => (Hands::Left, left),
            [None, Some(right)] => (Hands::Right, right),
            [None, None] => return None,
        };
        Some(Self { reason, hand, severity: Severity::Clamp, since })
    }

    pub(super) fn tell(&self, now: MonoTime) -> Hold {
        Hold {
            reason: self.reason,
            hand: self.hand,
            severity: self.severity,
            text: Cow::Borrowed(text(self.reason)),
            since_ms: now.since(self.since).as_secs_f64() * 1e3,
        }
    }
}

fn text(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::NotDriver => "Somebody else is driving; you can take over when they leave.",
        HoldReason::LinkStale => "No poses arrive from the headset, so the arms hold still; check its network.",
        HoldReason::TrackingLost => {
            "The headset does not see this controller; bring it into view and the arm follows again."
        }
        HoldReason::VideoStale => "The picture is old; wait until it moves again.",
        HoldReason::Limit => "A joint is at its limit; turn the hand back a little.",
        HoldReason::Workspace => "The arm cannot reach farther; move the hand back.",
        HoldReason::Velocity => "The hand is faster than the arm; wait for it to catch up.",
        HoldReason::Collision => "This motion would collide; try another way.",
        HoldReason::Contact => "The arm touched something; press X to move to rest.",
        HoldReason::Resetting => "The arms are moving to rest; release both grips and wait.",
        HoldReason::Saving => "The episode is being saved; please wait.",
        HoldReason::Solver => "The arm finds no way to this pose; move the hand back a little.",
        HoldReason::Clock => {
            "The headset's clock jumped or its poses came late; release both grips, then squeeze them."
        }
        HoldReason::ReleaseGrips => "Release both grips, then squeeze them again.",
        HoldReason::Stopped => "The robot is stopped; clear the stop on the page to go on.",
        HoldReason::Fault => {
            "The robot reported a fault; look at it, then press X to clear the fault and move to rest."
        }
        HoldReason::Interrupted => {
            "The recording is interrupted; go on with it in VR, then save or discard it. A new one ends it."
        }
        _ => "Motion is held.",
    }
}
