//! One tick of control: what the driver asks, what the arms may do, what the robot says. Time comes in as an argument.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{error, info};
use waldo_protocol::geometry::{Base, Pose};
use waldo_protocol::policy::Outcome;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{CartCommand, HoldReason, Lift, Severity};

use super::arbiter::side;
use super::drive::{ArmDrive, JointDrive};
use super::limits::Limits;
use super::rest::RestMove;
use super::{Arbiter, Event, FieldTargets, JointTargets, Targets, check};
use crate::robot::kinematics::forward;
use crate::robot::{ActionLayout, Applied, Arm, BaseCommand, Command, MobileBase, Robot, RobotError};
use crate::sensors::SensorHub;

/// The longest time one tick moves the arms for: after a pause they do not catch up in one leap.
pub(super) const LONGEST_STEP: Duration = Duration::from_millis(16);

/// A joint that is this many seconds behind a program's target, at its highest speed, is too slow for it.
const LAG: f64 = 0.1;

/// A robot that keeps failing is logged this often.
const FAULT_LOG_PAUSE: Duration = Duration::from_secs(10);

/// What the arms do at this moment, for pages and health checks.
#[derive(Clone, Debug, Default)]
pub struct ControlStatus {
    /// Commanded gripper-mount pose per arm.
    pub grippers: Vec<Pose<Base>>,
    /// Commanded joint angles per arm, rad.
    pub joints: Vec<Vec<f64>>,
    /// Commanded gripper openings per arm, 0 closed, 1 open.
    pub openings: Vec<f64>,
    /// Control ticks since the start.
    pub ticks: u64,
    /// What the robot says of the episode since its last reset.
    pub outcome: Outcome,
}

/// Locks the teleoperation state. A panic elsewhere leaves it usable: every update of it is complete in itself.
pub(super) fn lock(arbiter: &Mutex<Arbiter>) -> MutexGuard<'_, Arbiter> {
    arbiter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Owns the robot and decides, tick by tick, what it shall do.
pub(super) struct Pilot {
    robot: Guarded,
    arbiter: Arc<Mutex<Arbiter>>,
    arms: Vec<Arm>,
    drives: Vec<ArmDrive>,
    joints: JointDrive,
    base: Option<MobileBase>,
    /// What hands, a program or a rest move want; `command` follows within the limits of the joints.
    wanted: Command,
    /// What each arm followed in the last tick.
    followed: Vec<Option<Followed>>,
    limits: Limits,
    command: Command,
    rest: Option<RestMove>,
    /// The robot failed; motion is held until the next reset.
    fault: bool,
    clamps: [Option<HoldReason>; 2],
    /// The hold that the robot was told of last.
    told: Option<HoldReason>,
    fault_logged: Option<MonoTime>,
    last: MonoTime,
    /// A clock that stands still while the loop does, so that no motion leaps after a pause.
    motion: MonoTime,
    ticks: u64,
    outcome: Outcome,
}

impl Pilot {
    /// Starts the robot.
    ///
    /// # Errors
    /// What [`Robot::start`] returned, or which part of its description or posture makes no sense.
    pub(super) fn start(
        mut robot: Box<dyn Robot>,
        hub: &SensorHub,
        arbiter: Arc<Mutex<Arbiter>>,
        now: MonoTime,
    ) -> Result<Self, RobotError> {
        let description = robot.description().clone();
        check::description(&description)?;
        hub.name_arms(description.arms.iter().map(|arm| arm.name.as_str()));
        let mut command = robot.start(hub)?;
        check::posture(&description, &command)?;
        command.base = description.base.as_ref().map(|_| BaseCommand::default());
        // A reset pressed while the robot started was not meant for now.
        lock(&arbiter).take_reset();
        Ok(Self {
            robot: Guarded { robot, left_alone: false },
            arbiter,
            drives: description.arms.iter().map(ArmDrive::new).collect(),
            joints: JointDrive::default(),
            followed: vec![None; description.arms.len()],
            arms: description.arms,
            base: description.base,
            wanted: command.clone(),
            limits: Limits::new(&command),
            command,
            rest: None,
            fault: false,
            clamps: [None; 2],
            told: None,
            fault_logged: None,
            last: now,
            motion: now,
            ticks: 0,
            outcome: Outcome::default(),
        })
    }

    /// Runs the watchdogs, moves the arms by one step and gives the robot its command. Events are appended in order.
    pub(super) fn tick(&mut self, now: MonoTime, events: &mut Vec<Event>) {
        let dt = now.since(self.last).min(LONGEST_STEP);
        self.last = self.last.max(now);
        self.motion = self.motion + dt;
        self.ticks += 1;

        let orders = self.consult(dt, events);
        self.tell(orders.hold);
        if orders.reset {
            self.robot.left_alone = false;
            let reset = self.robot.call(|r| {
                r.reset();
                Ok(())
            });
            self.note(reset);
        }
        self.clamps = [None; 2];
        let cart = if self.fault { CartCommand::STOP } else { orders.cart };
        self.command.base = self.base.as_ref().map(|base| base_command(base, cart));
        if !self.fault {
            self.follow(orders.wish, dt);
        }
        // A robot that is left alone hears no commands, so it moves by none; one that reported a failure brakes.
        if !self.robot.left_alone {
            let guarded = self.rest.is_none();
            let wanted = self.followed_joints().then(|| self.wanted.clone());
            self.limits.step(&self.arms, &mut self.command, &mut self.wanted, guarded, dt);
            if let Some(wanted) = wanted {
                self.note_lag(&wanted);
            }
        }
        self.apply();
    }

    /// No tick follows: stops the base and tells the robot why.
    pub(super) fn end(&mut self, reason: HoldReason) {
        if let Some(base) = &mut self.command.base
            && *base != BaseCommand::default()
        {
            *base = BaseCommand::default();
            self.apply();
        }
        self.tell(Some(reason));
    }

    /// What the numbers of a policy's action mean.
    ///
    /// # Errors
    /// If the robot's program panics.
    pub(super) fn action_layout(&mut self) -> Result<ActionLayout, RobotError> {
        let layout = self.robot.call(|r| Ok(r.action_layout()));
        layout.unwrap_or_else(|| Err(RobotError("the robot is left alone".into())))
    }

    /// The robot's arms.
    pub(super) fn arms(&self) -> &[Arm] {
        &self.arms
    }

    /// What the arms do now.
    pub(super) fn status(&self) -> ControlStatus {
        let commands = || self.arms.iter().zip(&self.command.arms);
        ControlStatus {
            grippers: commands().map(|(arm, c)| forward(arm, &c.joints)).collect(),
            joints: commands().map(|(_, c)| c.joints.clone()).collect(),
            openings: commands().map(|(_, c)| c.gripper).collect(),
            ticks: self.ticks,
            outcome: self.outcome,
        }
    }

    /// Everything that needs the teleoperation state, under one lock.
    fn consult(&mut self, dt: Duration, events: &mut Vec<Event>) -> Orders {
        let now = self.last;
        let mut arbiter = lock(&self.arbiter);
        arbiter.on_tick(now, events);
        // A press while the arms already move to rest changes nothing.
        let reset = arbiter.take_reset() && self.rest.is_none() && !arbiter.stopped();
        if arbiter.stopped() {
            self.rest = None;
        }
        if reset {
            self.fault = false;
            if self.followed_joints() {
                // A program may have wanted the arms far from where they are.
                self.limits.brake(&self.arms, &mut self.wanted);
            }
            self.rest = Some(RestMove::new(&self.arms, &self.wanted, self.motion));
        }
        let hold = if self.fault { Some(HoldReason::Fault) } else { self.rest.as_ref().map(|_| HoldReason::Resetting) };
        arbiter.set_robot_hold(now, hold, events);
        arbiter.set_clamps(now, self.clamps);
        let hold = arbiter.hold(now).filter(|h| h.severity == Severity::Hold).map(|h| h.reason);
        let hands = arbiter.targets(now).map(Wish::Hands);
        let hands = hands.or_else(|| arbiter.field_targets().map(Wish::Field));
        let wish = hands.or_else(|| arbiter.joint_targets(now).map(Wish::Joints));
        Orders { reset, hold, wish, cart: arbiter.cart(now, dt) }
    }

    fn follow(&mut self, wish: Option<Wish>, dt: Duration) {
        for (i, (arm, followed)) in self.arms.iter().zip(&mut self.followed).enumerate() {
            let follows = match &wish {
                _ if self.rest.is_some() => Some(Followed::Rest),
                Some(Wish::Hands(_)) => Some(Followed::Hand),
                Some(Wish::Field(targets)) => targets.hands[side(arm.hand)].map(|_| Followed::Hand),
                Some(Wish::Joints(targets)) => Some(Followed::Joints(targets.stretch)),
                None => None,
            };
            let before = std::mem::replace(followed, follows);
            if before.is_some() && before != follows {
                // Not on to where it was wanted: the shortest way to stand still, and on from there.
                self.limits.brake_arm(i, &self.arms, &mut self.wanted);
            }
        }
        if let Some(rest) = &self.rest {
            self.wanted = rest.at(self.motion);
            if rest.done(self.motion) {
                info!("the arms are at rest");
                self.rest = None;
            }
            return;
        }
        let clamps = &mut self.clamps;
        let mut limited = |arm: &Arm, reason| {
            clamps[side(arm.hand)].get_or_insert(reason);
        };
        match wish {
            Some(Wish::Hands(targets)) => {
                for ((arm, drive), wanted) in self.arms.iter().zip(&mut self.drives).zip(&mut self.wanted.arms) {
                    if let Some(reason) = drive.follow(arm, &targets, wanted, dt) {
                        limited(arm, reason);
                    }
                }
            }
            Some(Wish::Field(targets)) => {
                for ((arm, drive), wanted) in self.arms.iter().zip(&mut self.drives).zip(&mut self.wanted.arms) {
                    let Some(hand) = &targets.hands[side(arm.hand)] else { continue };
                    if let Some(reason) = drive.follow_field(arm, (hand, targets.scale), wanted, dt) {
                        limited(arm, reason);
                    }
                }
            }
            Some(Wish::Joints(targets)) => self.joints.follow(&self.arms, &targets, &mut self.wanted, limited),
            None => {}
        }
    }

    fn followed_joints(&self) -> bool {
        self.followed.iter().any(|followed| matches!(followed, Some(Followed::Joints(_))))
    }

    /// Notes why the command is not what a program wants: the arm would leave its workspace, or is not there yet.
    fn note_lag(&mut self, wanted: &Command) {
        let now = self.wanted.arms.iter().zip(&self.command.arms);
        for ((arm, wanted), (stops, command)) in self.arms.iter().zip(&wanted.arms).zip(now) {
            let mut far = arm.joints.iter().zip(&wanted.joints).zip(&command.joints);
            let reason = if stops.joints != wanted.joints {
                HoldReason::Workspace
            } else if far.any(|((joint, wanted), at)| (wanted - at).abs() > LAG * joint.max_velocity) {
                HoldReason::Velocity
            } else {
                continue;
            };
            self.clamps[side(arm.hand)].get_or_insert(reason);
        }
    }

    fn apply(&mut self) {
        let (now, command) = (self.last, &self.command);
        let applied = self.robot.call(|r| r.apply(now, command));
        if let Some(Applied { limited: Some(reason) }) = self.note(applied) {
            self.clamps = self.clamps.map(|c| c.or(Some(reason)));
        }
        let outcome = self.robot.call(|r| Ok(r.outcome()));
        if let Some(outcome) = self.note(outcome) {
            self.outcome = outcome;
        }
    }

    /// Tells the robot when a hold starts. The move to rest is none to a robot: its commands go on changing.
    fn tell(&mut self, hold: Option<HoldReason>) {
        let hold = hold.filter(|h| *h != HoldReason::Resetting);
        if hold == std::mem::replace(&mut self.told, hold) {
            return;
        }
        if let Some(reason) = hold {
            let held = self.robot.call(|r| {
                r.hold(reason);
                Ok(())
            });
            self.note(held);
        }
    }

    /// Turns a failure of the robot into a hold.
    fn note<T>(&mut self, outcome: Option<Result<T, RobotError>>) -> Option<T> {
        match outcome? {
            Ok(value) => Some(value),
            Err(failure) => {
                let failed_before = std::mem::replace(&mut self.fault, true);
                self.rest = None;
                if self.robot.left_alone {
                    // It stands where it was sent last, and goes on from there when it is called again.
                    self.wanted.clone_from(&self.command);
                    self.limits = Limits::new(&self.command);
                } else if !failed_before {
                    self.limits.brake(&self.arms, &mut self.wanted);
                }
                if self.fault_logged.is_none_or(|t| self.last.since(t) >= FAULT_LOG_PAUSE) {
                    self.fault_logged = Some(self.last);
                    error!("the robot failed, motion is held until a reset: {failure}");
                }
                None
            }
        }
    }
}

/// What the driver wants in this tick.
struct Orders {
    reset: bool,
    hold: Option<HoldReason>,
    wish: Option<Wish>,
    cart: CartCommand,
}

/// What moves the arms, unless they move to rest.
enum Wish {
    Hands(Targets),
    Field(FieldTargets),
    Joints(JointTargets),
}

/// What moved an arm in a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Followed {
    Rest,
    Hand,
    /// A program, in the stretch of motion of this number.
    Joints(u64),
}

/// What the sticks ask, in the units of this base.
fn base_command(base: &MobileBase, cart: CartCommand) -> BaseCommand {
    let fastest = base.lift.as_ref().map_or(0.0, |lift| lift.max_speed);
    let lift = match cart.lift {
        Lift::Up => fastest,
        Lift::Down => -fastest,
        Lift::Stop => 0.0,
    };
    BaseCommand { vx: cart.vx * base.max_speed, vy: cart.vy * base.max_speed, wz: cart.wz * base.max_turn, lift }
}

/// The robot behind a wall: its panics become errors, and after one it is left alone until the next reset.
struct Guarded {
    robot: Box<dyn Robot>,
    left_alone: bool,
}

impl Guarded {
    /// Calls the robot; none if it is left alone.
    fn call<T>(&mut self, f: impl FnOnce(&mut dyn Robot) -> Result<T, RobotError>) -> Option<Result<T, RobotError>> {
        if self.left_alone {
            return None;
        }
        // What the robot's code left behind half-done is its own: nothing of it is used before its `reset`.
        Some(catch_unwind(AssertUnwindSafe(|| f(&mut *self.robot))).unwrap_or_else(|_| {
            self.left_alone = true;
            Err(RobotError("its program panicked".into()))
        }))
    }
}
