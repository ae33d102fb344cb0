//! From pose frames to robot commands, in virtual time.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use glam::{DQuat, DVec3};
use waldo_protocol::geometry::{Base, LocalFloor, Pose};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Controller, Hands, HoldReason, VrFrame, VrState};

use super::pilot::Pilot;
use super::{Admission, Event, StreamId, Teleop};
use crate::robot::kinematics::forward;
use crate::robot::sim::{SimOptions, SimRobot, model};
use crate::robot::{Applied, ArmCommand, Command, Description, Robot, RobotError};
use crate::sensors::SensorHub;

const TICK: Duration = Duration::from_nanos(1_000_000_000 / 120);
const A: StreamId = StreamId(1);
const B: StreamId = StreamId(2);

/// What a test tells the fake robot to do, and what the robot was told.
#[derive(Default)]
pub(super) struct Script {
    failure: Option<Failure>,
    limited: Option<HoldReason>,
    commands: Vec<Command>,
    pub(super) holds: Vec<HoldReason>,
    resets: u32,
}

#[derive(Clone, Copy)]
enum Failure {
    Error,
    Panic,
}

/// A robot with the simulated one's arms that only takes notes.
pub(super) struct FakeRobot {
    description: Description,
    pub(super) start: Result<Command, String>,
    script: Arc<Mutex<Script>>,
    watcher: Option<SyncSender<Command>>,
}

impl FakeRobot {
    pub(super) fn new() -> (Self, Arc<Mutex<Script>>) {
        let script = Arc::default();
        let start = Ok(rest_command());
        (Self { description: model::description(), start, script: Arc::clone(&script), watcher: None }, script)
    }

    pub(super) fn watched_by(self, watcher: SyncSender<Command>) -> Self {
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
pub(super) fn rest_command() -> Command {
    let arm = |a: crate::robot::Arm| ArmCommand { joints: a.rest, gripper: 0.5 };
    Command { arms: model::description().arms.into_iter().map(arm).collect() }
}

pub(super) fn pose(position: [f64; 3], orientation: DQuat) -> Pose<LocalFloor> {
    Pose::new(DVec3::from(position), orientation).unwrap()
}

/// A frame with both controllers in front of the operator, nothing pressed.
pub(super) fn frame() -> VrFrame {
    let controller = |x: f64| Controller {
        pose: pose([x, 1.1, -0.4], DQuat::IDENTITY),
        elbow: DVec3::new(x, 1.0, -0.1),
        grip: 1.0,
        lock: false,
        tracked: true,
        stick_x: 0.0,
        stick_click: false,
    };
    VrFrame {
        left: controller(-0.2),
        right: controller(0.2),
        l_stick_y: 0.0,
        reset: false,
        state: VrState::Teleop,
        t: None,
        seq: None,
        elbow_est: false,
    }
}

pub(super) fn squeezed(frame: VrFrame) -> VrFrame {
    let held = |c: Controller| Controller { lock: true, ..c };
    VrFrame { left: held(frame.left), right: held(frame.right), ..frame }
}

/// Both controllers moved in their own frames, from where `frame` has them.
fn moved(by: DVec3, turned: DQuat) -> VrFrame {
    moved_from(frame(), by, turned)
}

fn moved_from(from: VrFrame, by: DVec3, turned: DQuat) -> VrFrame {
    let shift = |c: Controller| {
        let (p, q) = (c.pose.position(), c.pose.orientation());
        Controller { pose: Pose::new(p + q * by, q * turned).unwrap(), ..c }
    };
    VrFrame { left: shift(from.left), right: shift(from.right), ..from }
}

struct Bench {
    teleop: Arc<Mutex<Teleop>>,
    pilot: Pilot,
    script: Arc<Mutex<Script>>,
    now: MonoTime,
    events: Vec<Event>,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(prepare: impl FnOnce(&mut FakeRobot)) -> Self {
        let (mut robot, script) = FakeRobot::new();
        prepare(&mut robot);
        let teleop = Arc::new(Mutex::new(Teleop::default()));
        let now = MonoTime::from_nanos(3_600_000_000_000);
        let pilot = Pilot::start(Box::new(robot), &SensorHub::default(), Arc::clone(&teleop), now).unwrap();
        Self { teleop, pilot, script, now, events: Vec::new() }
    }

    fn send(&mut self, from: StreamId, frame: &VrFrame) -> Admission {
        self.teleop.lock().unwrap().on_frame(self.now, from, frame, &mut self.events)
    }

    fn tick(&mut self) {
        self.now = self.now + TICK;
        self.pilot.tick(self.now, &mut self.events);
    }

    fn ticks(&mut self, seconds: f64) {
        for _ in 0..(seconds * 120.0).round() as usize {
            self.tick();
        }
    }

    /// One frame per tick for so long.
    fn drive(&mut self, from: StreamId, frame: &VrFrame, seconds: f64) {
        for _ in 0..(seconds * 120.0).round() as usize {
            self.send(from, frame);
            self.tick();
        }
    }

    fn engage(&mut self, from: StreamId, at: &VrFrame) {
        self.drive(from, at, 0.02);
        self.drive(from, &squeezed(*at), 0.02);
        assert!(self.engaged());
        self.drive(from, at, 0.02);
        assert!(self.engaged());
    }

    fn engaged(&self) -> bool {
        self.teleop.lock().unwrap().engaged()
    }

    fn hold(&self) -> Option<HoldReason> {
        self.teleop.lock().unwrap().hold(self.now).map(|h| h.reason)
    }

    fn command(&self) -> Command {
        self.script.lock().unwrap().commands.last().unwrap().clone()
    }

    fn gripper(&self, arm: usize) -> Pose<Base> {
        forward(&model::description().arms[arm], &self.command().arms[arm].joints)
    }

    /// Engages, moves both controllers in half a second, waits, and gives what each gripper did in its own frame.
    fn response(at: VrFrame, by: DVec3, turned: DQuat) -> [(DVec3, DQuat); 2] {
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

#[track_caller]
fn assert_moves(at: VrFrame, by: [f64; 3], turned: DQuat, gripper_by: [f64; 3], gripper_turned: DQuat) {
    for (position, orientation) in Bench::response(at, DVec3::from(by), turned) {
        assert!(position.distance(DVec3::from(gripper_by)) < 1e-5, "moved {position}, not {gripper_by:?}");
        let off = orientation.angle_between(gripper_turned);
        assert!(off < 1e-4, "turned off by {off} rad");
    }
}

#[test]
fn pushing_along_the_ray_moves_the_gripper_along_its_approach() {
    assert_moves(frame(), [0.0, 0.0, -0.1], DQuat::IDENTITY, [0.0, 0.0, -0.1], DQuat::IDENTITY);
}

#[test]
fn sideways_motion_is_turned_about_the_ray() {
    assert_moves(frame(), [0.1, 0.0, 0.0], DQuat::IDENTITY, [-0.1, 0.0, 0.0], DQuat::IDENTITY);
    assert_moves(frame(), [0.0, 0.1, 0.0], DQuat::IDENTITY, [0.0, -0.1, 0.0], DQuat::IDENTITY);
}

#[test]
fn rotations_are_turned_about_the_ray() {
    let angle = 30f64.to_radians();
    let still = [0.0; 3];
    assert_moves(frame(), still, DQuat::from_rotation_z(angle), still, DQuat::from_rotation_z(angle));
    assert_moves(frame(), still, DQuat::from_rotation_x(angle), still, DQuat::from_rotation_x(-angle));
    assert_moves(frame(), still, DQuat::from_rotation_y(angle), still, DQuat::from_rotation_y(-angle));
}

#[test]
fn it_does_not_matter_where_the_operator_faces() {
    let turned = moved(DVec3::new(2.0, 0.3, -1.0), DQuat::from_rotation_y(2.4) * DQuat::from_rotation_x(-0.5));
    assert_moves(turned, [0.0, 0.0, -0.1], DQuat::IDENTITY, [0.0, 0.0, -0.1], DQuat::IDENTITY);
    assert_moves(turned, [0.05, 0.0, 0.0], DQuat::IDENTITY, [-0.05, 0.0, 0.0], DQuat::IDENTITY);
}

#[test]
fn nothing_moves_before_somebody_engages() {
    let mut start = rest_command();
    start.arms[0].joints[1] = -0.55; // outside of its limits, pushed there by hand
    let expected = start.clone();
    let mut bench = Bench::with(|robot| robot.start = Ok(start));
    bench.drive(A, &moved(DVec3::X, DQuat::IDENTITY), 0.5);
    bench.drive(A, &moved(DVec3::Y, DQuat::from_rotation_x(1.0)), 0.5);
    assert!(bench.script.lock().unwrap().commands.iter().all(|c| *c == expected));
}

#[test]
fn the_frame_that_engages_moves_nothing_and_a_still_hand_keeps_the_arm_still() {
    let mut bench = Bench::new();
    bench.drive(A, &frame(), 0.1);
    bench.send(A, &squeezed(frame()));
    bench.ticks(0.1);
    assert!(bench.engaged());
    assert_eq!(bench.command(), rest_command());
    bench.drive(A, &squeezed(frame()), 1.0);
    assert_eq!(bench.command().arms[0].joints, rest_command().arms[0].joints);
}

#[test]
fn grippers_follow_the_triggers_only_while_engaged() {
    let pulled = |grip: f64, frame: VrFrame| VrFrame { left: Controller { grip, ..frame.left }, ..frame };
    let mut bench = Bench::new();
    bench.drive(A, &pulled(0.1, frame()), 0.1);
    assert_eq!(bench.command().arms[0].gripper, 0.5);
    bench.engage(A, &frame());
    bench.drive(A, &pulled(0.2, frame()), 0.1);
    assert_eq!((bench.command().arms[0].gripper, bench.command().arms[1].gripper), (0.2, 1.0));
    bench.drive(A, &squeezed(pulled(0.2, frame())), 0.1);
    bench.drive(A, &pulled(0.9, frame()), 0.1);
    assert!(!bench.engaged());
    assert_eq!(bench.command().arms[0].gripper, 0.2);
}

#[test]
fn letting_go_holds_and_engaging_again_starts_from_there() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    let there = moved(DVec3::new(0.0, 0.05, -0.05), DQuat::IDENTITY);
    bench.drive(A, &there, 1.0);
    bench.drive(A, &squeezed(there), 0.02);
    let held = bench.command();
    assert_ne!(held, rest_command());
    bench.drive(A, &moved(DVec3::new(0.3, 0.2, 0.1), DQuat::from_rotation_z(1.0)), 0.5);
    assert_eq!(bench.command(), held);
    bench.engage(A, &moved(DVec3::new(-0.2, 0.2, 0.1), DQuat::from_rotation_z(1.0)));
    assert_eq!(bench.command(), held);
}

#[test]
fn silence_holds_and_held_grips_do_not_engage_again() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    bench.drive(A, &moved(DVec3::Z * -0.03, DQuat::IDENTITY), 0.5);
    bench.ticks(0.6);
    assert!(!bench.engaged());
    assert_eq!(bench.hold(), Some(HoldReason::LinkStale));
    assert_eq!(bench.script.lock().unwrap().holds, [HoldReason::LinkStale]);
    let held = bench.command();
    bench.drive(A, &squeezed(moved(DVec3::Y * 0.2, DQuat::IDENTITY)), 1.0);
    assert_eq!(bench.command(), held);
    assert_eq!(bench.hold(), Some(HoldReason::ReleaseGrips));
}

#[test]
fn a_closed_socket_holds_at_once() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    bench.drive(A, &moved(DVec3::Z * -0.3, DQuat::IDENTITY), 0.05);
    bench.teleop.lock().unwrap().on_closed(bench.now, A, &mut bench.events);
    let held = bench.command();
    bench.ticks(0.5);
    assert_eq!(bench.command(), held);
    assert_eq!(bench.hold(), Some(HoldReason::LinkStale));
}

#[test]
fn a_second_client_does_not_drive() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    let away = moved(DVec3::new(0.2, 0.2, -0.2), DQuat::from_rotation_z(0.5));
    for step in 0..120 {
        bench.send(A, &frame());
        let pressed = VrFrame { reset: step == 60, ..squeezed(away) };
        assert_eq!(bench.send(B, if step % 2 == 0 { &pressed } else { &away }), Admission::Watching);
        bench.tick();
    }
    assert!(bench.engaged());
    assert_eq!(bench.command().arms[0].joints, rest_command().arms[0].joints);
    assert_eq!(bench.script.lock().unwrap().resets, 0);
}

#[test]
fn a_reset_brings_the_arms_to_rest_and_blocks_engaging_until_then() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    bench.drive(A, &moved(DVec3::new(0.05, 0.05, -0.08), DQuat::IDENTITY), 1.0);
    let away = bench.command();
    bench.send(A, &VrFrame { reset: true, ..frame() });
    bench.tick();
    assert_eq!((bench.hold(), bench.engaged()), (Some(HoldReason::Resetting), false));
    assert_eq!(bench.command(), away);
    bench.drive(A, &frame(), 0.5);
    bench.drive(A, &squeezed(frame()), 1.5);
    assert_eq!((bench.hold(), bench.engaged()), (Some(HoldReason::ReleaseGrips), false));
    for (at, rest) in bench.command().arms.iter().zip(rest_command().arms) {
        assert_eq!((&at.joints, at.gripper), (&rest.joints, 1.0));
    }
    let script = bench.script.lock().unwrap();
    assert_eq!((script.resets, script.holds.as_slice()), (1, [HoldReason::ReleaseGrips].as_slice()));
    drop(script);
    bench.engage(A, &frame());
    assert_eq!(bench.events.iter().filter(|e| **e == Event::Reset).count(), 1);
}

#[test]
fn a_second_reset_during_the_move_changes_nothing() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    bench.drive(A, &moved(DVec3::new(0.05, 0.05, -0.08), DQuat::IDENTITY), 1.0);
    for _ in 0..2 {
        bench.drive(A, &VrFrame { reset: true, ..frame() }, 0.5);
        bench.drive(A, &frame(), 0.3);
    }
    assert_eq!(bench.hold(), None, "the first move is done after 1.5 s");
    assert_eq!(bench.script.lock().unwrap().resets, 1);
}

#[test]
fn a_lost_controller_holds_its_arm_and_does_not_jump_when_it_returns() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    bench.drive(A, &moved(DVec3::Z * -0.05, DQuat::IDENTITY), 1.0);
    let held = bench.command();
    let lost = |f: VrFrame| VrFrame { left: Controller { tracked: false, ..f.left }, ..f };
    let drifted = moved(DVec3::new(0.3, 0.1, -0.1), DQuat::from_rotation_y(0.4));
    bench.drive(A, &lost(VrFrame { right: moved(DVec3::Z * -0.05, DQuat::IDENTITY).right, ..drifted }), 0.3);
    assert_eq!(bench.command().arms[0].joints, held.arms[0].joints);
    let hold = bench.teleop.lock().unwrap().hold(bench.now).unwrap();
    assert_eq!((hold.reason, hold.hand), (HoldReason::TrackingLost, Hands::Left));
    bench.drive(A, &VrFrame { right: moved(DVec3::Z * -0.05, DQuat::IDENTITY).right, ..drifted }, 0.5);
    assert!(bench.engaged());
    assert_eq!(bench.command(), held);
}

#[test]
fn a_failing_robot_holds_until_a_reset() {
    for failure in [Failure::Error, Failure::Panic] {
        let mut bench = Bench::new();
        bench.engage(A, &frame());
        bench.script.lock().unwrap().failure = Some(failure);
        bench.drive(A, &moved(DVec3::Z * -0.05, DQuat::IDENTITY), 0.1);
        assert_eq!((bench.hold(), bench.engaged()), (Some(HoldReason::Fault), false));
        bench.script.lock().unwrap().failure = None;
        let held = bench.command();
        bench.drive(A, &frame(), 0.1);
        bench.drive(A, &squeezed(frame()), 1.0);
        assert_eq!((bench.hold(), bench.engaged()), (Some(HoldReason::Fault), false));
        assert_eq!(bench.command(), held);
        bench.drive(A, &VrFrame { reset: true, ..frame() }, 2.0);
        assert_eq!(bench.hold(), None);
        assert_eq!(bench.command().arms[0].joints, rest_command().arms[0].joints);
        bench.engage(A, &frame());
    }
}

#[test]
fn a_robot_that_panicked_is_left_alone_until_a_reset() {
    let mut bench = Bench::new();
    bench.script.lock().unwrap().failure = Some(Failure::Panic);
    bench.ticks(1.0);
    let script = bench.script.lock().unwrap();
    assert_eq!((script.commands.len(), script.holds.len()), (1, 0));
}

#[test]
fn what_limits_the_robot_is_told_once_it_lasts() {
    let mut bench = Bench::new();
    bench.script.lock().unwrap().limited = Some(HoldReason::Contact);
    bench.tick();
    assert_eq!(bench.hold(), None);
    bench.ticks(0.3);
    assert_eq!(bench.hold(), Some(HoldReason::Contact));
    let told =
        |e: &Event| matches!(e, Event::Hold(Some(h)) if h.reason == HoldReason::Contact && h.hand == Hands::Both);
    assert_eq!(bench.events.iter().filter(|e| told(e)).count(), 1);
    bench.script.lock().unwrap().limited = None;
    bench.ticks(0.3);
    assert_eq!(bench.events.last(), Some(&Event::Hold(None)));
}

/// The most that a joint may move in one tick, however long the pause before it.
#[track_caller]
fn assert_small_step(before: &Command, after: &Command) {
    for (arm, (before, after)) in model::description().arms.iter().zip(before.arms.iter().zip(&after.arms)) {
        for (joint, (before, after)) in arm.joints.iter().zip(before.joints.iter().zip(&after.joints)) {
            assert!((before - after).abs() <= joint.max_velocity * 0.016 + 1e-12, "{}", joint.name);
        }
    }
}

#[test]
fn a_pause_of_the_loop_does_not_become_a_leap() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    let before = bench.command();
    bench.now = bench.now + Duration::from_millis(400);
    bench.send(A, &moved(DVec3::Z * -0.3, DQuat::IDENTITY));
    bench.tick();
    assert_ne!(before, bench.command());
    assert_small_step(&before, &bench.command());
    bench.drive(A, &moved(DVec3::Z * -0.1, DQuat::IDENTITY), 1.0);
    bench.drive(A, &VrFrame { reset: true, ..frame() }, 0.5);
    let before = bench.command();
    bench.now = bench.now + Duration::from_millis(400);
    bench.tick();
    assert_ne!(before, bench.command());
    assert_small_step(&before, &bench.command());
}

#[test]
fn the_simulated_robot_follows_the_hands_and_returns_to_rest() {
    let hub = SensorHub::default();
    let teleop = Arc::new(Mutex::new(Teleop::default()));
    let mut now = MonoTime::from_nanos(1_000_000_000);
    let robot = SimRobot::new(SimOptions::default());
    let mut pilot = Pilot::start(Box::new(robot), &hub, Arc::clone(&teleop), now).unwrap();
    let mut drive = |frame: VrFrame, seconds: f64| {
        for _ in 0..(seconds * 120.0) as usize {
            teleop.lock().unwrap().on_frame(now, A, &frame, &mut Vec::new());
            now = now + TICK;
            pilot.tick(now, &mut Vec::new());
        }
        let measured = hub.proprio().unwrap();
        (pilot.status(), [0, 1].map(|i| forward(&model::description().arms[i], &measured.arms[i].joints)))
    };
    let (_, rest) = drive(frame(), 0.1);
    drive(squeezed(frame()), 0.1);
    drive(frame(), 0.1);
    let (status, away) = drive(moved(DVec3::Z * -0.1, DQuat::IDENTITY), 2.0);
    for (arm, (rest, away)) in rest.iter().zip(&away).enumerate() {
        let expected = rest.position() + rest.orientation() * (DVec3::Z * -0.1);
        assert!(away.position().distance(expected) < 1e-3, "{away:?}");
        assert!(status.grippers[arm].position().distance(expected) < 1e-5);
    }
    let (_, back) = drive(VrFrame { reset: true, ..frame() }, 4.0);
    for (rest, back) in rest.iter().zip(&back) {
        assert!(back.position().distance(rest.position()) < 1e-3, "{back:?}");
    }
}
