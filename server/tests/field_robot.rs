//! Users of a field drive the simulated robot through the running control loop, beside people in VR and policies.
#![allow(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use glam::{DQuat, DVec3};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use waldo_protocol::field::{ArmCommand, CharacterMode, MultiArmCommand, TRIGGER_CLICK, Transform};
use waldo_protocol::geometry::Pose;
use waldo_protocol::vr::{Controller, HoldReason, Role, Stop, VrFrame};
use waldo_server::clock;
use waldo_server::control::{Arbiter, ControlLoop, JointAction, Refused, SourceId};
use waldo_server::field::{FieldBackend, FieldConfig, FieldServer, RobotField};
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

/// A headset in the field, over a socket.
struct Headset(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Headset {
    async fn put_on(server: &FieldServer, user: &str) -> Self {
        let (socket, _) = connect_async(format!("ws://{}/field", server.addr().unwrap())).await.unwrap();
        let mut headset = Self(socket);
        headset.send("hello", json!({"character_mode": "two-cr", "user_id": user, "ext": ["acks/1"]})).await;
        headset
    }

    async fn send(&mut self, kind: &str, payload: Value) {
        let text = json!({"version": 1, "type": kind, "payload": payload}).to_string();
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// Both hands so far from where they began.
    async fn hands(&mut self, by: [f64; 3], grip: f64) {
        let at = |x: f64| json!({"translation": [x + by[0], 1.2 + by[1], -0.3 + by[2]], "rotation_xyzw": [0, 0, 0, 1]});
        let hand = |x: f64| json!({"pose": at(x), "grip": grip});
        let controllers = json!({"left": hand(-0.2), "right": hand(0.2)});
        self.send("xr_input", json!({"timestamp": 1.0, "head_pose": at(0.0), "controllers": controllers})).await;
    }

    /// Sends the same 90 times a second until it is so; every reply that comes meanwhile is looked at.
    async fn until(&mut self, by: [f64; 3], grip: f64, mut so: impl FnMut(&Value) -> bool) {
        let (begin, frame) = (Instant::now(), Duration::from_millis(11));
        while begin.elapsed() < LIMIT {
            self.hands(by, grip).await;
            let next = Instant::now() + frame;
            let mut reply = Value::Null;
            while let Ok(Some(Ok(message))) =
                timeout(next.saturating_duration_since(Instant::now()), self.0.next()).await
            {
                let message: Value = serde_json::from_slice(&message.into_data()).unwrap_or_default();
                if message["type"] == "error" {
                    reply = message;
                    break;
                }
            }
            if so(&reply) {
                return;
            }
        }
        panic!("it did not come");
    }

    /// Waits until the user is told so.
    async fn told(&mut self, grip: f64, words: &str) {
        let says = |reply: &Value| reply["payload"]["reason"].as_str().is_some_and(|reason| reason.contains(words));
        self.until([0.0; 3], grip, says).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_headset_on_the_field_wire_drives_the_robot_until_it_is_stopped_or_lost() {
    let Stage { arbiter, field, control } = Stage::new(&[]);
    let config = FieldConfig {
        listen: Some(([127, 0, 0, 1], 0).into()),
        strict_deadman: true,
        stop: Some(arbiter.lock().unwrap().stop_view()),
        ..FieldConfig::default()
    };
    let server = FieldServer::new(config);
    server.start(Box::new(field)).unwrap();
    let engaged = || arbiter.lock().unwrap().engaged();
    let gripper = || control.status().grippers[0].position();

    let mut amy = Headset::put_on(&server, "amy").await;
    let mut frames = 0;
    amy.until([0.0; 3], 0.0, |_| {
        frames += 1;
        frames > 5
    })
    .await;
    amy.until([0.0; 3], 1.0, |_| engaged()).await;
    let rest = gripper();
    amy.until([0.0, 0.05, -0.1], 1.0, |_| gripper().distance(rest + DVec3::new(0.1, 0.0, 0.05)) < 2e-3).await;

    // Somebody else squeezes beside her, in the field and in VR.
    let mut bob = Headset::put_on(&server, "bob").await;
    let (mut drives, mut told) = (true, false);
    for round in 0..200 {
        amy.hands([0.0, 0.05, -0.1], 1.0).await;
        bob.hands([0.0; 3], if round > 5 { 1.0 } else { 0.0 }).await;
        let message = timeout(Duration::from_millis(10), bob.0.next()).await;
        if let Ok(Some(Ok(message))) = message {
            told |= message.to_text().is_ok_and(|text| text.contains("Somebody else drives the robot"));
        }
        drives &= engaged();
        if told && round > 20 {
            break;
        }
    }
    assert!(told && drives);
    drop(bob);

    let (watcher, now) = ((SourceId::person(9), Role::Viewer), clock::now());
    arbiter.lock().unwrap().on_stop(now, watcher, Stop { n: None, clear: false }, &mut Vec::new());
    assert!(!engaged());
    amy.told(1.0, "The robot is stopped").await;
    arbiter.lock().unwrap().on_stop(clock::now(), watcher, Stop { n: None, clear: true }, &mut Vec::new());
    amy.told(1.0, "Release the grip").await;
    assert!(!engaged());
    let mut frames = 0;
    amy.until([0.0; 3], 0.0, |_| {
        frames += 1;
        frames > 5
    })
    .await;
    amy.until([0.0; 3], 1.0, |_| engaged()).await;

    drop(amy);
    let begin = Instant::now();
    while engaged() || arbiter.lock().unwrap().lease().driver.is_some() {
        assert!(begin.elapsed() < LIMIT, "lost and not noticed");
        tokio::time::sleep(STEP).await;
    }
    let hold = arbiter.lock().unwrap().hold(clock::now()).map(|hold| hold.reason);
    assert_eq!(hold, Some(HoldReason::LinkStale), "lost, not let go");
    server.stop();
    server.stopped().await;
}
