//! The back end in which users of a field drive the robot itself.
//!
//! The robot is one, so the arms are not each user's own: who holds a grip has them, if the [`Arbiter`] gives them the
//! lease, and everybody else is told why not. All that moves the robot otherwise (headsets, policies, the stop latch,
//! limits) counts here as there.
//!
//! An arm follows its hand for as long as the grip is held, from where both were when it was squeezed; a trigger's click
//! closes the gripper; the secondary button of either hand moves the whole robot to rest, which also ends a fault; while
//! the primary one is held, its arm is detached. Sticks drive nothing.

mod drawn;
#[cfg(test)]
mod tests;
mod world;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use waldo_protocol::field::{
    ArmCommand, CharacterMode, Haptic, MultiArmCommand, PRIMARY, SECONDARY, SceneState, Smoothing, TRIGGER_CLICK,
    arm_id,
};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Hand, Hands, Hold, HoldReason, Severity};

use self::drawn::DrawnArm;
use self::world::pose_to_base;
use super::{BackendError, FieldBackend, FieldHold};
use crate::clock;
use crate::control::{
    Arbiter, ControlLoop, ControlStatus, Event, FieldHand, FieldHands, MAX_FIELD_USERS, SourceId, side,
};
use crate::priority::{Urgent, while_urgent};
use crate::robot::Arm;

/// Whose arms they are while no user is there.
const NOBODY: &str = "robot";

/// How strongly a controller is shaken whose arm comes to a limit.
const LIMIT_FELT: f64 = 0.3;

/// Users whose hold is asked for in one step.
const LOOKS: usize = 4;

/// What the one who drives is told while somebody else asks to drive.
const LEASE_ASKED: FieldHold = FieldHold {
    code: "lease_asked",
    text: Cow::Borrowed(
        "Somebody asks to drive the robot: leave the field to let them, or they have it in ten seconds.",
    ),
};

/// What becomes of the arbiter's events.
type Report = Box<dyn Fn(Event) + Send>;

/// What time it is.
type Clock = Box<dyn Fn() -> MonoTime + Send>;

/// The scene of a field whose arms are those of the robot.
pub struct RobotField {
    arbiter: Arc<Mutex<Arbiter>>,
    status: Arc<ArcSwap<ControlStatus>>,
    /// With the place of each in the description. The first ones are the left and the right hand's.
    arms: Vec<(usize, DrawnArm)>,
    users: BTreeMap<String, User>,
    /// Users who came so far.
    came: u64,
    scene: SceneState,
    clamped: BTreeSet<String>,
    /// Whose the arms in the scene are, and the control tick that they show.
    shown: Option<(String, u64)>,
    /// Who had the robot in the last step.
    driver: Option<SourceId>,
    /// Somebody asked then to have it instead.
    asked: bool,
    /// Whose hold was looked at last.
    looked: usize,
    report: Report,
    clock: Clock,
}

struct User {
    /// Its number grows with each user who comes.
    source: SourceId,
    arm_ids: Vec<String>,
    /// There was a command of theirs in the last step.
    asks: bool,
    hold: Option<FieldHold>,
}

impl fmt::Debug for RobotField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RobotField").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

impl RobotField {
    /// The field of a running robot; `arbiter` is the one that its control loop follows. `report` is called on the thread
    /// that calls this back end, with what users cause, without any lock held; it must not block.
    pub fn new(control: &ControlLoop, arbiter: Arc<Mutex<Arbiter>>, report: impl Fn(Event) + Send + 'static) -> Self {
        Self::of(control.arms(), control.statuses(), arbiter, Box::new(report), Box::new(clock::now))
    }

    fn of(
        arms: &[Arm],
        status: Arc<ArcSwap<ControlStatus>>,
        arbiter: Arc<Mutex<Arbiter>>,
        report: Report,
        clock: Clock,
    ) -> Self {
        // One of each hand first: those are what a user's two controllers drive.
        let mut order: Vec<usize> = (0..arms.len()).collect();
        let before = |i: usize| arms[..i].iter().filter(|arm| arm.hand == arms[i].hand).count();
        order.sort_by_key(|i| (before(*i), side(arms[*i].hand)));
        let mut field = Self {
            arbiter,
            status,
            arms: order.into_iter().map(|i| (i, DrawnArm::new(&arms[i]))).collect(),
            users: BTreeMap::new(),
            came: 0,
            scene: SceneState::default(),
            clamped: BTreeSet::new(),
            shown: None,
            driver: None,
            asked: false,
            looked: 0,
            report,
            clock,
        };
        field.show();
        field
    }

    /// Does something to the arbiter, and tells what came of it when its lock is free again.
    fn arbitrate<T>(&mut self, act: impl FnOnce(&mut Arbiter, MonoTime, &mut Vec<Event>) -> T) -> T {
        let (mut events, now) = (Vec::new(), (self.clock)());
        // Who holds this lock holds up the control loop, and must not be held up by encoders meanwhile. All else that
        // this thread does, such as comparing the meshes of publishers, has no such hurry, and no bound that would let
        // it run before everybody.
        let (result, lease) = while_urgent(Urgent::Poses, || {
            let mut arbiter = self.arbiter.lock().unwrap_or_else(PoisonError::into_inner);
            let result = act(&mut arbiter, now, &mut events);
            (result, arbiter.lease())
        });
        (self.driver, self.asked) = (lease.driver, lease.request.is_some());
        events.into_iter().for_each(&self.report);
        result
    }

    /// What a user's command asks of each hand of the robot.
    fn hands(&self, user: &User, command: &MultiArmCommand) -> FieldHands {
        let mut hands = [None; 2];
        for ((_, drawn), id) in self.arms.iter().zip(&user.arm_ids) {
            if let Some(command) = command.commands.get(id) {
                let hand = &mut hands[side(drawn.arm.hand)];
                *hand = hand.or_else(|| asked(command));
            }
        }
        hands
    }

    /// Those whose hold is asked for in this step: who drives, and the others in turn, a few at a time, since the arbiter is
    /// not to be kept busy. Everybody's turn comes within 40 ms.
    fn whose_turn(&mut self) -> Vec<SourceId> {
        let sources: Vec<SourceId> = self.users.values().map(|user| user.source).collect();
        let mut looked: Vec<SourceId> = sources.iter().copied().filter(|source| Some(*source) == self.driver).collect();
        let others = sources.iter().cycle().skip(self.looked % sources.len().max(1));
        looked.extend(others.take(sources.len().min(LOOKS)).filter(|source| Some(**source) != self.driver));
        self.looked = self.looked.wrapping_add(LOOKS);
        looked
    }

    /// Brings the arms of the scene up to date.
    fn show(&mut self) {
        let drives = self.users.iter().find(|(_, user)| Some(user.source) == self.driver);
        let first = || self.users.iter().min_by_key(|(_, user)| user.source.number);
        let owner = drives.or_else(first).map(|(name, _)| name.as_str());
        let (name, status) = (owner.unwrap_or(NOBODY), self.status.load());
        if self.shown.as_ref().is_some_and(|(whose, ticks)| whose == name && *ticks == status.ticks) {
            return;
        }
        self.scene.arms.clear();
        for (i, (place, drawn)) in self.arms.iter().enumerate() {
            let angles = status.joints.get(*place).map_or(drawn.arm.rest.as_slice(), Vec::as_slice);
            let opening = status.openings.get(*place).copied().unwrap_or(1.0);
            let id = arm_id(name, i);
            self.scene.arms.insert(id.clone(), drawn.state(&id, owner, angles, opening));
        }
        self.shown = Some((name.to_owned(), status.ticks));
    }

    /// What a limit of the motion means for the one who drives.
    fn note_clamp(&mut self, user: &str, hold: &Hold) {
        let Some(user) = self.users.get(user) else { return };
        for ((_, drawn), id) in self.arms.iter().zip(&user.arm_ids) {
            let concerned = match hold.hand {
                Hands::Left => drawn.arm.hand == Hand::Left,
                Hands::Right => drawn.arm.hand == Hand::Right,
                Hands::Both => true,
            };
            if concerned {
                self.clamped.insert(id.clone());
                self.scene.haptics.push(Haptic { arm_id: id.clone(), active: true, intensity: LIMIT_FELT });
            }
        }
    }
}

impl FieldBackend for RobotField {
    fn register_user(&mut self, user: &str, _mode: CharacterMode) -> Result<Vec<String>, BackendError> {
        if let Some(there) = self.users.get(user) {
            return Ok(there.arm_ids.clone());
        }
        if self.users.len() >= MAX_FIELD_USERS {
            return Err(BackendError::Full { limit: MAX_FIELD_USERS, what: "users" });
        }
        self.came += 1;
        let source = SourceId::field_user(self.came);
        let arm_ids: Vec<String> = (0..self.arms.len()).map(|i| arm_id(user, i)).collect();
        self.scene.user_arms.insert(user.to_owned(), arm_ids.clone());
        self.users.insert(user.to_owned(), User { source, arm_ids: arm_ids.clone(), asks: false, hold: None });
        self.show();
        Ok(arm_ids)
    }

    fn remove_user(&mut self, user: &str) {
        let Some(gone) = self.users.remove(user) else { return };
        self.arbitrate(|arbiter, now, events| arbiter.on_closed(now, gone.source, events));
        self.scene.user_arms.remove(user);
        self.scene.haptics.retain(|haptic| !gone.arm_ids.contains(&haptic.arm_id));
        self.clamped.retain(|arm| !gone.arm_ids.contains(arm));
        self.remove_owner(user);
        self.show();
    }

    fn step(&mut self, dt: f64, commands: &[(&str, &MultiArmCommand)]) {
        self.scene.timestamp += if dt.is_finite() { dt.max(0.0) } else { 0.0 };
        self.scene.haptics.clear();
        self.clamped.clear();
        let mut said = Vec::with_capacity(self.users.len());
        for (name, user) in &self.users {
            let command = commands.iter().find(|(whose, _)| whose == name);
            let hands = command.map(|(_, command)| self.hands(user, command));
            if hands.is_some() || user.asks {
                said.push((user.source, hands));
            }
        }
        let looked = self.whose_turn();
        let holds: Vec<Option<Hold>> = self.arbitrate(|arbiter, now, events| {
            arbiter.on_field_step(now, &said, events);
            looked.iter().map(|source| arbiter.hold_for(now, *source)).collect()
        });
        for user in self.users.values_mut() {
            user.asks = said.iter().any(|(source, hands)| *source == user.source && hands.is_some());
        }
        let mut clamp = None;
        for (source, hold) in looked.into_iter().zip(holds) {
            let Some((name, user)) = self.users.iter_mut().find(|(_, user)| user.source == source) else { continue };
            user.hold = hold.as_ref().filter(|hold| hold.severity == Severity::Hold).map(told);
            let limited = |hold: &Hold| hold.severity == Severity::Clamp && self.driver == Some(user.source);
            if let Some(hold) = hold.filter(limited) {
                clamp = Some((name.clone(), hold));
            }
        }
        if let Some((user, hold)) = clamp {
            self.note_clamp(&user, &hold);
        }
        self.show();
    }

    fn scene(&self) -> &SceneState {
        &self.scene
    }

    fn scene_mut(&mut self) -> &mut SceneState {
        &mut self.scene
    }

    fn clamped(&self) -> &BTreeSet<String> {
        &self.clamped
    }

    fn wait(&mut self, _user: &str, _waits: bool) {}

    /// The arbiter is told that a user is gone, which is more than that they let go.
    fn let_go(&mut self, _user: &str, _command: &MultiArmCommand) {}

    fn heeds_stop(&self) -> bool {
        true
    }

    /// None: a filter would show the arbiter a leap as a run of small steps, and go on leading the arm for a while after
    /// a hand stands. Inverse kinematics and the limits of the joints smooth what the arms do.
    fn smoothing(&self) -> Smoothing {
        Smoothing::PerMessage(1.0)
    }

    fn hold(&self, user: &str) -> Option<FieldHold> {
        let user = self.users.get(user)?;
        let asked = || (self.asked && self.driver == Some(user.source)).then_some(LEASE_ASKED);
        user.hold.clone().or_else(asked)
    }
}

impl Drop for RobotField {
    fn drop(&mut self) {
        let users: Vec<String> = self.users.keys().cloned().collect();
        users.iter().for_each(|user| self.remove_user(user));
    }
}

/// What a command asks of the hand of its arm; none if it says no place for it.
fn asked(command: &ArmCommand) -> Option<FieldHand> {
    let rests = command.pressed(SECONDARY);
    Some(FieldHand {
        pose: pose_to_base(&command.target).ok()?,
        grips: command.active,
        follows: command.active && !rests && !command.pressed(PRIMARY),
        grip: Some(if command.pressed(TRIGGER_CLICK) { 0.0 } else { 1.0 }),
        rests,
    })
}

/// A hold in the words of the field, whose buttons are other ones than those of the VR wire.
fn told(hold: &Hold) -> FieldHold {
    let (code, text) = match hold.reason {
        HoldReason::NotDriver => {
            ("not_driver", "Somebody else drives the robot; you can squeeze a grip when they have left.")
        }
        HoldReason::Stopped => {
            ("stopped", "The robot is stopped; when the stop is cleared, release the grips and squeeze them again.")
        }
        HoldReason::ReleaseGrips => ("release_grips", "Release the grip, then squeeze it again."),
        HoldReason::Resetting => ("resetting", "The arms are moving to rest; release the grips and wait."),
        HoldReason::Fault => {
            ("fault", "The robot reported a fault; look at it, then press B or Y to clear the fault and move to rest.")
        }
        HoldReason::LinkStale => ("link_stale", "Nothing arrives from who drives the robot, so the arms hold still."),
        HoldReason::Velocity => ("velocity", "A hand was suddenly elsewhere; release the grips, then squeeze them."),
        HoldReason::Clock => ("clock", "The clock of who drives the robot jumped, so the arms hold still."),
        _ => return FieldHold { code: "held", text: hold.text.clone() },
    };
    FieldHold { code, text: Cow::Borrowed(text) }
}
