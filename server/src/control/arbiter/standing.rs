//! What the operator is told about holds and clamps.

use std::borrow::Cow;
use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Hands, Hold, HoldReason, Severity};

use super::stream::Stream;
use super::{Arbiter, SourceId};

/// A clamp shorter than this is part of any brisk motion and not worth a word.
const CLAMP_TOLD_AFTER: Duration = Duration::from_millis(100);

/// A hold or clamp that is in force.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Standing {
    reason: HoldReason,
    hand: Hands,
    severity: Severity,
    since: MonoTime,
    /// In place of the usual words for this reason.
    text: Option<&'static str>,
}

/// What [`HoldReason::LinkStale`] means while a program drives.
const PROGRAM_SILENT: &str =
    "No actions arrive from the policy, so the arms hold still; squeeze both grips to take over.";

impl Standing {
    /// Both arms are held.
    fn hold(reason: HoldReason, since: MonoTime) -> Self {
        Self { reason, hand: Hands::Both, severity: Severity::Hold, since, text: None }
    }

    /// Nothing is held, but the operator should know.
    pub(super) fn info(reason: HoldReason, since: MonoTime) -> Self {
        Self { reason, hand: Hands::Both, severity: Severity::Info, since, text: None }
    }

    /// The reason of one hand (left, right), or of both where they agree; the left one's if they differ.
    fn clamp(hands: [Option<(HoldReason, MonoTime)>; 2]) -> Option<Self> {
        let (hand, (reason, since)) = match hands {
            [Some((left, since)), Some((right, other))] if left == right => (Hands::Both, (left, since.min(other))),
            [Some(left), _] => (Hands::Left, left),
            [None, Some(right)] => (Hands::Right, right),
            [None, None] => return None,
        };
        Some(Self { reason, hand, severity: Severity::Clamp, since, text: None })
    }

    fn tell(&self, now: MonoTime) -> Hold {
        Hold {
            reason: self.reason,
            hand: self.hand,
            severity: self.severity,
            text: Cow::Borrowed(self.text.unwrap_or_else(|| text(self.reason))),
            since_ms: now.since(self.since).as_secs_f64() * 1e3,
        }
    }
}

impl Arbiter {
    /// The reason why motion is held or limited now.
    pub fn hold(&self, now: MonoTime) -> Option<Hold> {
        self.standing(now, |_| true).map(|s| s.tell(now))
    }

    /// Why this stream's frames move nothing, for its own operator: as [`Arbiter::hold`], or that another one drives.
    pub fn hold_for(&self, now: MonoTime, stream: SourceId) -> Option<Hold> {
        let known = self.stream(stream).is_some() || self.field.newest(stream).is_some();
        let standing = if known && !self.lease.would_give(stream) {
            let since = self.gripped_since(now, stream);
            let watching = since.map(|since| Standing::hold(HoldReason::NotDriver, since));
            watching.or_else(|| self.robot_standing())
        } else {
            self.standing(now, |id| id == stream)
        };
        standing.map(|s| s.tell(now))
    }

    pub(super) fn robot_standing(&self) -> Option<Standing> {
        let stopped = self.stop.since().map(|since| (HoldReason::Stopped, since));
        stopped.or(self.robot_hold).map(|(reason, since)| Standing::hold(reason, since))
    }

    /// A program drives and says nothing.
    fn program_standing(&self) -> Option<Standing> {
        let since = self.program.silent?;
        Some(Standing { text: Some(PROGRAM_SILENT), ..Standing::hold(HoldReason::LinkStale, since) })
    }

    /// Since when the grips of this person have been held: both on the VR wire, any in a field.
    pub(super) fn gripped_since(&self, now: MonoTime, who: SourceId) -> Option<MonoTime> {
        self.grips(now).find(|(id, _)| *id == who)?.1
    }

    fn grips(&self, now: MonoTime) -> impl Iterator<Item = (SourceId, Option<MonoTime>)> {
        self.streams.iter().map(move |s| (s.id, s.squeezed_since(now))).chain(self.field.grips(now))
    }

    /// Grips of somebody who may drive are held and do not engage.
    fn refused_squeeze(&self, now: MonoTime, whose: impl Fn(SourceId) -> bool) -> Option<Standing> {
        let waits = |id| !self.engaged() && whose(id) && self.lease.would_give(id);
        let squeezed = self.streams.iter().map(|s| (s.id, s.squeezed_since(now)));
        let grips = squeezed.chain(self.field.refused_grips(now));
        let since = grips.filter(|(id, _)| waits(*id)).find_map(|(_, since)| since)?;
        Some(Standing::hold(HoldReason::ReleaseGrips, since))
    }

    /// The one reason that matters most now to those whose squeezes count.
    fn standing(&self, now: MonoTime, whose: impl Fn(SourceId) -> bool) -> Option<Standing> {
        self.robot_standing()
            .or_else(|| self.lapse.map(|(reason, since)| Standing::hold(reason, since)))
            .or_else(|| self.program_standing())
            .or_else(|| self.refused_squeeze(now, &whose))
            .or_else(|| {
                let lost = self.hands.map(|h| h.map(|h| h.lost_since.map(|t| (HoldReason::TrackingLost, t))));
                lost.and_then(Standing::clamp)
            })
            .or_else(|| Standing::clamp(self.clamps.map(|c| c.filter(|(_, t)| now.since(*t) >= CLAMP_TOLD_AFTER))))
            .or_else(|| self.streams.iter().filter(|s| whose(s.id)).find_map(Stream::interrupted_episode))
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
