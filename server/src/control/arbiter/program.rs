//! What a program asks of the arms: joint targets, the newest ones only, and when they count.
//!
//! A program drives like anybody: it has the lease, the stop latch and the watchdogs hold for it. What differs is the way
//! back after somebody else moved or held the arms. What the program computed from older observations is worth nothing
//! then, so its motion begins again with the first action whose observation is newer, and gently: over [`RAMP`], from
//! where the arms are.
//!
//! A person takes over by driving: by engaging, or by a press that moves the arms to rest. The program gets the lease back
//! when that person has let go, which is: the arms are disengaged, nothing moves them to rest, and the grips have been
//! released for [`HANDED_BACK_AFTER`]. Long enough to let go, reach back and engage again without the program in between.
//! A person who asked for the lease in words keeps it until they release it in words, or are gone. Whoever is lost while
//! engaged has released nothing: the program must reset then, whatever the settings say.

use std::sync::Arc;
use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{HoldReason, LeaseReason};

use super::{Arbiter, Event, SourceId};
use crate::robot::ArmCommand;

/// How long a program takes to lead the arms from where they are to where it wants them, whenever it begins.
pub const RAMP: Duration = Duration::from_secs(1);

/// How long a person who took over must have let go of everything before the program goes on.
pub const HANDED_BACK_AFTER: Duration = Duration::from_secs(1);

/// Silence after which a program that waits for the robot between its steps holds the lease no longer.
const PATIENT_LOST_AFTER: Duration = Duration::from_secs(10);

/// One action of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct JointAction {
    /// Where each arm shall be, in the order of the description. Any numbers: the control loop keeps the limits, and
    /// ignores what is not finite.
    pub arms: Arc<[ArmCommand]>,
    /// When the newest observation it was computed from was taken; `None` if nobody knows, then its arrival counts.
    pub observed: Option<MonoTime>,
    /// The arms hold if no other action follows within this time; `None` for a program that waits for the robot between
    /// its steps.
    pub holds_after: Option<Duration>,
}

/// What a program wants of the arms at this moment.
#[derive(Clone, Debug, PartialEq)]
pub struct JointTargets {
    /// A new number, always a higher one, means: the motion begins again, from where the arms are.
    pub stretch: u64,
    /// The part of the way from there to `arms`, 0 to 1, that may be asked for now.
    pub part: f64,
    /// Where each arm shall be, in the order of the description.
    pub arms: Arc<[ArmCommand]>,
}

/// What lets a program go on after a person took over or stopped the robot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// An action that was computed from a newer observation.
    #[default]
    Newer,
    /// A reset by the program, and then such an action.
    Reset,
}

/// Why a program's action or reset does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A person drives.
    #[error("a person drives the robot; go on when they have let go")]
    Operator,
    /// Another program drives.
    #[error("another program drives the robot")]
    Program,
    /// It was computed from what was seen before the arms were free for it.
    #[error("computed from an observation that is older than the last hold, takeover or reset")]
    Old,
    /// [`Resume::Reset`] asks for it, or the person who took over was lost while they drove.
    #[error("a person took over, was lost or stopped the robot since the last reset: reset first")]
    ResetFirst,
    /// The arms are held, for this reason.
    #[error("{}", held(*.0))]
    Held(HoldReason),
}

fn held(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::Stopped => "the robot is stopped",
        HoldReason::Resetting => "the arms are moving to rest",
        HoldReason::Fault => "the robot reported a fault: reset it",
        HoldReason::NotDriver => "a person took over",
        _ => "the arms are held",
    }
}

/// What became of the last reset that a program asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetProgress {
    /// None was asked for.
    #[default]
    None,
    /// The arms will move to rest with the next tick.
    Asked,
    /// They are moving.
    Moving,
    /// They are at rest.
    Done,
    /// It ended before, for this reason.
    Failed(HoldReason),
}

impl ResetProgress {
    fn under_way(self) -> bool {
        matches!(self, Self::Asked | Self::Moving)
    }
}

/// What is known of the programs that want to drive.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) resume: Resume,
    following: Option<Following>,
    /// The number of the newest stretch of motion.
    stretch: u64,
    /// When a program spoke last, whatever became of it.
    heard: Option<(SourceId, MonoTime)>,
    /// Whatever was observed up to here counts for nothing.
    since: Option<MonoTime>,
    reset_first: bool,
    reset: ResetProgress,
    /// When the last reset was asked for.
    reset_asked: MonoTime,
    /// Since when it has been silent although it drives.
    pub(super) silent: Option<MonoTime>,
}

#[derive(Debug)]
struct Following {
    began: MonoTime,
    newest: MonoTime,
    action: JointAction,
}

impl Program {
    /// Somebody or something else moves or holds the arms, or did until now.
    pub(super) fn interrupt(&mut self, now: MonoTime, by: Option<HoldReason>) {
        self.pause();
        self.since = Some(now);
        if let Some(reason) = by {
            self.reset_first |= self.resume == Resume::Reset;
            if self.reset.under_way() {
                self.reset = ResetProgress::Failed(reason);
            }
        }
    }

    /// The arms follow it no longer.
    fn pause(&mut self) {
        self.following = None;
        self.silent = None;
    }

    /// The arm side's hold changed.
    pub(super) fn robot_holds(&mut self, now: MonoTime, reason: Option<HoldReason>) {
        self.interrupt(now, None);
        self.reset = match (self.reset, reason) {
            (ResetProgress::Asked, Some(HoldReason::Resetting)) => ResetProgress::Moving,
            (ResetProgress::Moving, None) => {
                // The arms are where the program wanted them, so whatever it saw of the way there is good.
                (self.since, self.reset_first) = (Some(self.reset_asked), false);
                ResetProgress::Done
            }
            (reset, Some(reason)) if reset.under_way() => ResetProgress::Failed(reason),
            (reset, _) => reset,
        };
    }

    fn follow(&mut self, now: MonoTime, action: JointAction) {
        self.silent = None;
        let began = match &self.following {
            Some(following) => following.began,
            None => {
                self.stretch += 1;
                now
            }
        };
        self.following = Some(Following { began, newest: now, action });
    }

    /// The arms hold if the program has been silent for too long.
    fn watch(&mut self, now: MonoTime) {
        let overdue = |f: &Following| f.action.holds_after.is_some_and(|limit| now.since(f.newest) >= limit);
        if self.following.as_ref().is_some_and(overdue) {
            self.pause();
            self.silent = Some(now);
        }
    }

    /// Silence after which it no longer holds the lease.
    fn lost_after(&self, kind: super::SourceKind) -> Duration {
        let limit = self.following.as_ref().map(|following| following.action.holds_after);
        match limit {
            Some(Some(limit)) => limit.max(kind.lost_after()),
            Some(None) => PATIENT_LOST_AFTER,
            None if self.silent.is_some() => kind.lost_after(),
            // It has just been reset, or may not move the arms yet.
            None => PATIENT_LOST_AFTER,
        }
    }
}

impl Arbiter {
    /// The same, but this lets a program go on after a person took over or stopped the robot.
    #[must_use]
    pub fn resuming(mut self, resume: Resume) -> Self {
        self.program.resume = resume;
        self
    }

    /// A program wants the arms there. Takes the lease if nobody else has it.
    ///
    /// # Errors
    /// Why nothing comes of it; it is forgotten then, not kept for later.
    pub fn on_action(
        &mut self,
        now: MonoTime,
        who: SourceId,
        action: JointAction,
        events: &mut Vec<Event>,
    ) -> Result<(), Refused> {
        self.on_tick(now, events);
        self.program.heard = Some((who, now));
        self.may_drive(who)?;
        let held = if self.reset { Some(HoldReason::Resetting) } else { self.robot_hold.map(|(reason, _)| reason) };
        if let Some(reason) = held {
            return Err(Refused::Held(reason));
        }
        if self.program.reset_first {
            return Err(Refused::ResetFirst);
        }
        if self.program.since.is_some_and(|since| action.observed.is_some_and(|observed| observed <= since)) {
            return Err(Refused::Old);
        }
        self.claim(now, who, events);
        // Whoever was lost is not who drives now.
        self.lapse = None;
        self.program.follow(now, action);
        Ok(())
    }

    /// Somebody who knows that a program is silent says so: the arms hold.
    pub fn on_program_silent(&mut self, now: MonoTime, who: SourceId, events: &mut Vec<Event>) {
        self.on_tick(now, events);
        if self.lease.holder() == Some(who) && self.program.following.is_some() {
            self.program.pause();
            self.program.silent = Some(now);
        }
    }

    /// A program wants the arms at rest and the scene as at the beginning; [`Arbiter::reset_progress`] tells how far that
    /// is. Takes the lease if nobody else has it.
    ///
    /// # Errors
    /// Why nothing comes of it. While the arms are already moving to rest it is [`Refused::Held`]: ask again when they are
    /// there.
    pub fn request_reset(&mut self, now: MonoTime, who: SourceId, events: &mut Vec<Event>) -> Result<(), Refused> {
        self.on_tick(now, events);
        self.program.heard = Some((who, now));
        self.may_drive(who)?;
        match self.robot_hold {
            _ if self.reset => return Err(Refused::Held(HoldReason::Resetting)),
            // A reset is what ends a fault.
            None | Some((HoldReason::Fault, _)) => {}
            Some((reason, _)) => return Err(Refused::Held(reason)),
        }
        self.claim(now, who, events);
        self.program.interrupt(now, None);
        (self.program.reset, self.program.reset_asked) = (ResetProgress::Asked, now);
        self.reset = true;
        Ok(())
    }

    /// What became of the last reset that a program asked for.
    pub fn reset_progress(&self) -> ResetProgress {
        self.program.reset
    }

    /// What the program that drives wants of the arms at `now`; none while it may not move them, or wants nothing.
    pub fn joint_targets(&self, now: MonoTime) -> Option<JointTargets> {
        let following = self.program.following.as_ref()?;
        let drives = self.lease.holder().is_some_and(|driver| !driver.kind.is_human());
        if !drives || self.reset || self.robot_standing().is_some() {
            return None;
        }
        let time = (now.since(following.began).as_secs_f64() / RAMP.as_secs_f64()).min(1.0);
        // Without a jump of speed at either end.
        let part = time * time * (3.0 - 2.0 * time);
        Some(JointTargets { stretch: self.program.stretch, part, arms: Arc::clone(&following.action.arms) })
    }

    fn may_drive(&self, who: SourceId) -> Result<(), Refused> {
        if self.stopped() {
            return Err(Refused::Held(HoldReason::Stopped));
        }
        match self.lease.holder() {
            Some(driver) if driver.kind.is_human() => Err(Refused::Operator),
            Some(_) if !self.lease.would_give(who) => Err(Refused::Program),
            _ => Ok(()),
        }
    }

    /// Takes the lease by driving. A program from which it is taken gets it back.
    pub(super) fn take_over(&mut self, now: MonoTime, who: SourceId, events: &mut Vec<Event>) {
        let program = self.lease.holder().filter(|driver| !driver.kind.is_human());
        if self.claim(now, who, events) && program.is_some() && who.kind.is_human() {
            self.lent_by = program;
        }
    }

    /// The watchdogs of a program that drives.
    pub(super) fn watch_program(&mut self, now: MonoTime, events: &mut Vec<Event>) {
        let Some(driver) = self.lease.holder().filter(|driver| !driver.kind.is_human()) else { return };
        self.program.watch(now);
        let heard = self.program.heard.map_or(self.leased, |(_, at)| at.max(self.leased));
        if now.since(heard) >= self.program.lost_after(driver.kind) && !self.program.reset.under_way() {
            self.change_lease(now, events, |lease| lease.release(driver, Some(LeaseReason::Link)));
        }
    }

    /// Ends the lease of a person who took it from a program and has let go.
    pub(super) fn hand_back(&mut self, now: MonoTime, events: &mut Vec<Event>) {
        let Some(driver) = self.lease.holder().filter(|_| self.lent_by.is_some()) else { return };
        // Nobody is seen to let go who is not seen: a link that is lost ends the lease later, and by itself.
        let there = self.silence(now, driver).is_some_and(|silence| silence < driver.kind.stale_after());
        let released = there && self.gripped_since(now, driver).is_none();
        let sticks = self.cart_of == Some(driver) && self.cart.moves();
        if self.engaged() || !released || sticks || self.reset || self.robot_standing().is_some() {
            self.let_go = None;
        } else if now.since(*self.let_go.get_or_insert(now)) >= HANDED_BACK_AFTER {
            self.change_lease(now, events, |lease| lease.release(driver, None));
        }
    }

    /// A person was lost in the middle of driving. They released nothing, so a program shall not go on by itself.
    pub(super) fn lost_while_engaged(&mut self, now: MonoTime) {
        self.lapse = Some((HoldReason::LinkStale, now));
        self.program.reset_first = true;
    }

    /// Another one drives now, or nobody.
    pub(super) fn note_driver(&mut self, now: MonoTime, before: Option<SourceId>, after: Option<SourceId>) {
        let human = |driver: Option<SourceId>| driver.is_some_and(|driver| driver.kind.is_human());
        (self.lent_by, self.let_go) = (None, None);
        if human(after) {
            self.program.interrupt(now, Some(HoldReason::NotDriver));
        } else if human(before) {
            self.program.interrupt(now, None);
        } else {
            self.program.pause();
        }
    }
}
