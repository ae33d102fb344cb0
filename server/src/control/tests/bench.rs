//! What the tests of control share: a robot that takes notes, frames of an operator, and a pilot in virtual time.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use glam::{DQuat, DVec3};
use waldo_protocol::geometry::{Base, LocalFloor, Pose};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{CartCommand, Controller, HoldReason, PlayoutConfig, VrFrame};

use crate::control::pilot::Pilot;
use crate::control::{Admission, Arbiter, Event, SourceId};
use crate::robot::kinematics::forward;
use crate::robot::sim::model;
use crate::robot::{Applied, ArmCommand, BaseCommand, Command, Description, Robot, RobotError};
use crate::sensors::SensorHub;

pub(crate) const TICK: Duration = Duration::from_nanos(1_000_000_000 / 120);
pub(crate) const A: SourceId = SourceId::person(1);
pub(crate) const B: SourceId = SourceId::person(2);

/// What a test tells the fake robot to do, and what the robot was told.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) failure: Option<Failure>,
    pub(crate) limited: Option<HoldReason>,
    pub(crate) commands: Vec<Command>,
    pub(crate) holds: Vec<HoldReason>,
    pub(crate) resets: u32,
}

#[derive(Clone, Copy)]
pub(crate) enum Failure {
    Error,
    Panic,
}

/// A robot with the simulated one's arms that only takes notes.
pub(crate) struct FakeRobot {
    pub(crate) description: Description,
    pub(crate) start: Result<Command, String>,
    script: Arc<Mutex<Script>>,
    watcher: Option<SyncSender<Command>>,
}

impl FakeRobot {
    pub(crate) fn new() -> (Self, Arc<Mutex<Script>>) {
        let script = Arc::default();
        let start = Ok(rest_command());
        (Self { description: model::description(), start, script: Arc::clone(&script), watcher: None }, script)
    }

    pub(crate) fn watched_by(self, watcher: SyncSender<Command>) -> Self {
        Self { watcher: Some(watcher), ..self }
    }
}

impl Robot for FakeRobot {
    fn description(&self) -> &Description {
        &self.description
    }

    fn start(&mut self, _hub: &SensorHub) -> Result<Command, RobotError> {
        self.start.clone().map_err(RobotError)
    }

    fn apply(&mut self, _now: MonoTime, command: &Command) -> Result<Applied, RobotError> {
        let mut script = self.script.lock().unwrap();
        script.commands.push(command.clone());
        if let Some(watcher) = &self.watcher {
            let _ = watcher.try_send(command.clone());
        }
        let (failure, limited) = (script.failure, script.limited);
        drop(script);
        match failure {
            None => Ok(Applied { limited }),
            Some(Failure::Error) => Err(RobotError("a motor is hot".into())),
            Some(Failure::Panic) => panic!("a defect of the robot's program"),
        }
    }

    fn reset(&mut self) {
        self.script.lock().unwrap().resets += 1;
    }

    fn hold(&mut self, reason: HoldReason) {
        self.script.lock().unwrap().holds.push(reason);
    }
}

/// The posture of the fake robot at its start: at rest, but for gripper openings that no rest move leaves behind.
pub(crate) fn rest_command() -> Command {
    let arm = |a: crate::robot::Arm| ArmCommand { joints: a.rest, gripper: 0.5 };
    Command { arms: model::description().arms.into_iter().map(arm).collect(), base: Some(BaseCommand::default()) }
}

pub(crate) fn pose(position: [f64; 3], orientation: DQuat) -> Pose<LocalFloor> {
    Pose::new(DVec3::from(position), orientation).unwrap()
}

/// A frame with both controllers in front of the operator, nothing pressed.
pub(crate) fn frame() -> VrFrame {
    let controller = |x: f64| Controller::new(pose([x, 1.1, -0.4], DQuat::IDENTITY), DVec3::new(x, 1.0, -0.1));
    VrFrame::new(controller(-0.2), controller(0.2))
}

pub(crate) fn squeezed(frame: VrFrame) -> VrFrame {
    let held = |c: Controller| Controller { lock: true, ..c };
    VrFrame { left: held(frame.left), right: held(frame.right), ..frame }
}

/// Both controllers moved in their own frames, from where `frame` has them.
pub(crate) fn moved(by: DVec3, turned: DQuat) -> VrFrame {
    moved_from(frame(), by, turned)
}

pub(crate) fn moved_from(from: VrFrame, by: DVec3, turned: DQuat) -> VrFrame {
    let shift = |c: Controller| {
        let (p, q) = (c.pose.position(), c.pose.orientation());
        Controller { pose: Pose::new(p + q * by, q * turned).unwrap(), ..c }
    };
    VrFrame { left: shift(from.left), right: shift(from.right), ..from }
}

pub(crate) struct Bench {
    pub(crate) arbiter: Arc<Mutex<Arbiter>>,
    pub(in crate::control) pilot: Pilot,
    pub(crate) script: Arc<Mutex<Script>>,
    pub(crate) now: MonoTime,
    pub(crate) events: Vec<Event>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(prepare: impl FnOnce(&mut FakeRobot)) -> Self {
        Self::of(PlayoutConfig::default(), prepare)
    }

    pub(crate) fn with_playout(playout: PlayoutConfig) -> Self {
        Self::of(playout, |_| ())
    }

    fn of(playout: PlayoutConfig, prepare: impl FnOnce(&mut FakeRobot)) -> Self {
        let (mut robot, script) = FakeRobot::new();
        prepare(&mut robot);
        let arbiter = Arc::new(Mutex::new(Arbiter::new(playout)));
        let now = MonoTime::from_nanos(3_600_000_000_000);
        let pilot = Pilot::start(Box::new(robot), &SensorHub::default(), Arc::clone(&arbiter), now).unwrap();
        Self { arbiter, pilot, script, now, events: Vec::new() }
    }

    pub(crate) fn send(&mut self, from: SourceId, frame: &VrFrame) -> Admission {
        self.arbiter.lock().unwrap().on_frame(self.now, from, frame, &mut self.events)
    }

    /// From now on the robot fails like this, or no longer.
    pub(crate) fn fail(&self, failure: Option<Failure>) {
        self.script.lock().unwrap().failure = failure;
    }

    pub(crate) fn tick(&mut self) {
        self.now = self.now + TICK;
        self.pilot.tick(self.now, &mut self.events);
    }

    pub(crate) fn ticks(&mut self, seconds: f64) {
        for _ in 0..(seconds * 120.0).round() as usize {
            self.tick();
        }
    }

    /// One frame per tick for so long.
    pub(crate) fn drive(&mut self, from: SourceId, frame: &VrFrame, seconds: f64) {
        for _ in 0..(seconds * 120.0).round() as usize {
            self.send(from, frame);
            self.tick();
        }
    }

    pub(crate) fn engage(&mut self, from: SourceId, at: &VrFrame) {
        self.drive(from, at, 0.02);
        self.drive(from, &squeezed(*at), 0.02);
        assert!(self.engaged());
        self.drive(from, at, 0.02);
        assert!(self.engaged());
    }

    pub(crate) fn engaged(&self) -> bool {
        self.arbiter.lock().unwrap().engaged()
    }

    pub(crate) fn hold(&self) -> Option<HoldReason> {
        self.arbiter.lock().unwrap().hold(self.now).map(|h| h.reason)
    }

    pub(crate) fn command(&self) -> Command {
        self.script.lock().unwrap().commands.last().unwrap().clone()
    }

    /// Where a gripper is commanded to be, also before the first command.
    pub(crate) fn gripper_now(&self, arm: usize) -> Pose<Base> {
        self.pilot.status().grippers[arm]
    }

    /// What the base was told last, as parts of its fastest velocities.
    pub(crate) fn base_now(&self) -> CartCommand {
        let base = model::description().base.unwrap();
        let BaseCommand { vx, vy, wz, .. } = self.command().base.unwrap();
        let parts = (vx / base.max_speed, vy / base.max_speed, wz / base.max_turn);
        CartCommand { vx: parts.0, vy: parts.1, wz: parts.2, ..CartCommand::STOP }
    }

    pub(crate) fn gripper(&self, arm: usize) -> Pose<Base> {
        forward(&model::description().arms[arm], &self.command().arms[arm].joints)
    }

    /// Engages, moves both controllers in half a second, waits, and gives what each gripper did in its own frame.
    pub(crate) fn response(at: VrFrame, by: DVec3, turned: DQuat) -> [(DVec3, DQuat); 2] {
        let mut bench = Self::new();
        bench.engage(A, &at);
        let before = [0, 1].map(|arm| bench.gripper(arm));
        for step in 1..=60 {
            let part = f64::from(step) / 60.0;
            bench.drive(A, &moved_from(at, by * part, DQuat::IDENTITY.slerp(turned, part)), 1.0 / 120.0);
        }
        bench.drive(A, &moved_from(at, by, turned), 1.0);
        assert_eq!(bench.hold(), None);
        [0, 1].map(|arm| {
            let (from, to) = (before[arm], bench.gripper(arm));
            let own = from.orientation().conjugate();
            (own * (to.position() - from.position()), own * to.orientation())
        })
    }
}
