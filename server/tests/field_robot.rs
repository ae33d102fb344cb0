//! Users of a field drive the simulated robot through the running control loop, beside people in VR and policies.
#![allow(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use glam::{DQuat, DVec3};
use waldo_protocol::field::{ArmCommand, CharacterMode, MultiArmCommand, TRIGGER_CLICK, Transform};
use waldo_protocol::geometry::Pose;
use waldo_protocol::vr::{Controller, HoldReason, VrFrame};
use waldo_server::clock;
use waldo_server::control::{Arbiter, ControlLoop, JointAction, Refused, SourceId};
use waldo_server::field::{FieldBackend, RobotField};
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::robot::{Arm, ArmCommand as JointCommand};
use waldo_server::sensors::SensorHub;

/// Much longer than anything takes.
const LIMIT: Duration = Duration::from_secs(20);

const STEP: Duration = Duration::from_millis(5);

/// A running robot with its field.
struct Stage {
    arbiter: Arc<Mutex<Arbiter>>,
    field: RobotField,
    control: ControlLoop,
}

impl Stage {
    fn new(users: &[&str]) -> Self {
        let arbiter = Arc::<Mutex<Arbiter>>::default();
        let robot = Box::new(SimRobot::new(SimOptions::default()));
        let control = ControlLoop::start(robot, &SensorHub::default(), Arc::clone(&arbiter), Box::new(|_| ())).unwrap();
        let mut field = RobotField::new(&control, Arc::clone(&arbiter), |_| ());
        for user in users {
            field.register_user(user, CharacterMode::TwoCr).unwrap();
        }
        Self { arbiter, field, control }
    }

    fn driver(&self) -> Option<SourceId> {
        self.arbiter.lock().unwrap().lease().driver
    }

    /// Where the gripper of an arm is told to be, in the base.
    fn gripper(&self, arm: usize) -> DVec3 {
        self.control.status().grippers[arm].position()
    }

    /// Steps with these commands until it is so.
    #[track_caller]
    fn until(&mut self, commands: &[(&str, MultiArmCommand)], so: impl Fn(&mut Self) -> bool) {
        let commands: Vec<_> = commands.iter().map(|(user, command)| (*user, command)).collect();
        let begin = Instant::now();
        loop {
            self.field.step(STEP.as_secs_f64(), &commands);
            if so(self) {
                return;
            }
            assert!(begin.elapsed() < LIMIT, "it did not come");
            thread::sleep(STEP);
        }
    }

    /// Steps with these commands for a while, all of which it must be so.
    #[track_caller]
    fn all_the_while(&mut self, commands: &[(&str, MultiArmCommand)], so: impl Fn(&mut Self) -> bool) {
        for _ in 0..40 {
            let commands: Vec<_> = commands.iter().map(|(user, command)| (*user, command)).collect();
            self.field.step(STEP.as_secs_f64(), &commands);
            assert!(so(self));
            thread::sleep(STEP);
        }
    }

    /// A user squeezes both grips, seen released before, and has the robot.
    fn grip(&mut self, user: &'static str) {
        self.until(&[(user, hands(user, DVec3::ZERO, false))], |stage| stage.field.hold(user).is_none());
        self.until(&[(user, hands(user, DVec3::ZERO, true))], |stage| stage.arbiter.lock().unwrap().engaged());
    }

    fn act(&self, bent: f64) -> Result<(), Refused> {
        let bent = |arm: &Arm| {
            let mut joints = arm.rest.clone();
            joints[3] += bent;
            JointCommand { joints, gripper: 1.0 }
        };
        let arms: Vec<_> = self.control.arms().iter().map(bent).collect();
        let action = JointAction { arms: arms.into(), observed: None, holds_after: Some(Duration::from_millis(500)) };
        self.arbiter.lock().unwrap().on_action(clock::now(), SourceId::POLICY, action, &mut Vec::new())
    }

    fn vr(&self, grips: bool) {
        let controller = |x: f64| {
            let pose = Pose::new(DVec3::new(x, 1.1, -0.4), DQuat::IDENTITY).unwrap();
            Controller { lock: grips, ..Controller::new(pose, DVec3::new(x, 1.0, -0.1)) }
        };
        let frame = VrFrame::new(controller(-0.2), controller(0.2));
        self.arbiter.lock().unwrap().on_frame(clock::now(), SourceId::person(1), &frame, &mut Vec::new());
    }
}

/// Both hands so far from where they began, in the axes of the field: x right, y up, −z forward.
fn hands(user: &str, by: DVec3, grips: bool) -> MultiArmCommand {
    let target = Transform::at((DVec3::new(0.1, 1.3, -0.3) + by).to_array());
    let arm = |i: usize| ArmCommand { active: grips, ..ArmCommand::inactive(format!("{user}_arm_{i}"), target) };
    MultiArmCommand::new(0.0, [arm(0), arm(1)])
}

#[test]
fn the_arms_follow_a_field_user_and_the_scene_shows_them() {
    let mut stage = Stage::new(&["amy"]);
    stage.grip("amy");
    let rest = [0, 1].map(|arm| stage.gripper(arm));
    let shown = stage.field.scene().arms["amy_arm_1"].tip.translation;
    let mut there = hands("amy", DVec3::new(0.0, 0.05, -0.1), true);
    for command in there.commands.values_mut() {
        command.buttons.insert(TRIGGER_CLICK.into(), true);
    }
    // Ten centimetres forward and five up, which the base calls x and z.
    let goal = rest.map(|rest| rest + DVec3::new(0.1, 0.0, 0.05));
    let arrived = |stage: &mut Stage| (0..2).all(|arm| stage.gripper(arm).distance(goal[arm]) < 2e-3);
    stage.until(&[("amy", there.clone())], arrived);
    assert_eq!(stage.control.status().openings, [0.0, 0.0]);
    stage.until(&[("amy", there)], |stage| {
        let tip = stage.field.scene().arms["amy_arm_1"].tip.translation;
        (DVec3::from(tip) - DVec3::from(shown)).distance(DVec3::new(0.0, 0.05, -0.1)) < 5e-3
    });

    // Let go, the hands may go where they like.
    stage.until(&[("amy", hands("amy", DVec3::ZERO, false))], |stage| !stage.arbiter.lock().unwrap().engaged());
    thread::sleep(Duration::from_millis(300));
    let stands = stage.control.status().joints.clone();
    let away = hands("amy", DVec3::new(0.3, 0.2, 0.2), false);
    stage.all_the_while(&[("amy", away)], |stage| stage.control.status().joints == stands);
}

#[test]
fn a_person_in_vr_and_a_field_user_drive_one_after_the_other() {
    let mut stage = Stage::new(&["amy"]);
    stage.vr(false);
    stage.vr(true);
    assert_eq!(stage.driver(), Some(SourceId::person(1)));
    let keep_on = |stage: &mut Stage| {
        stage.vr(true);
        stage.driver() == Some(SourceId::person(1))
    };
    stage.all_the_while(&[("amy", hands("amy", DVec3::ZERO, false))], keep_on);
    stage.all_the_while(&[("amy", hands("amy", DVec3::Y, true))], keep_on);
    assert_eq!(stage.field.hold("amy").map(|hold| hold.code), Some("not_driver"));

    stage.arbiter.lock().unwrap().on_closed(clock::now(), SourceId::person(1), &mut Vec::new());
    let held = [("amy", hands("amy", DVec3::Y, true))];
    stage.all_the_while(&held, |stage| stage.driver().is_none());
    assert_eq!(stage.field.hold("amy").map(|hold| hold.code), Some("release_grips"));
    stage.grip("amy");
    stage.vr(false);
    stage.vr(true);
    assert_ne!(stage.driver(), Some(SourceId::person(1)));
    let hold = stage.arbiter.lock().unwrap().hold_for(clock::now(), SourceId::person(1));
    assert_eq!(hold.map(|hold| hold.reason), Some(HoldReason::NotDriver));
}

#[test]
fn a_field_user_takes_over_from_a_policy_which_goes_on_when_they_let_go() {
    let mut stage = Stage::new(&["amy"]);
    let looking = [("amy", hands("amy", DVec3::ZERO, false))];
    let elbow = stage.control.status().joints[0][3];
    stage.until(&looking, |stage| stage.act(-0.3).is_ok() && stage.control.status().joints[0][3] < elbow - 0.2);

    let gripping = [("amy", hands("amy", DVec3::ZERO, true))];
    stage.until(&gripping, |stage| stage.act(-0.3) == Err(Refused::Operator));
    thread::sleep(Duration::from_millis(200));
    stage.all_the_while(&gripping, |stage| stage.act(0.3) == Err(Refused::Operator));
    let held = stage.control.status().joints[0][3];
    stage.all_the_while(&gripping, |stage| (stage.control.status().joints[0][3] - held).abs() < 1e-3);

    stage.until(&looking, |stage| stage.act(-0.3).is_ok());
    assert_eq!(stage.driver(), Some(SourceId::POLICY));
}
