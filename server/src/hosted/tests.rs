//! From what arrives on the channels to what the robot is told, in virtual time, beside people in VR and stops.

use glam::{DQuat, DVec3};
use proptest::prelude::*;
use waldo_protocol::hosted::Now;
use waldo_protocol::lcm::{Header, Joy, Message, Pose, PoseStamped, Time, Twist, TwistStamped};
use waldo_protocol::vr::{CartCommand, HoldReason, Role, Stop};

use super::operator::Operator;
use super::outputs::Outputs;
use crate::config::{HostedKind, HostedSettings, RobotKey};
use crate::control::{Bench, SourceId, TICK, Watch, frame, squeezed};
use crate::robot::MobileBase;
use crate::robot::sim::model;

/// Unix time at the beginning of a test, seconds.
const EPOCH: f64 = 1_700_000_000.0;

/// An operator far away, and the robot.
struct Way {
    bench: Bench,
    operator: Operator,
    outputs: tokio::sync::broadcast::Receiver<std::sync::Arc<super::Output>>,
    base: MobileBase,
    source: u64,
    ticks: u64,
}

impl Way {
    fn new(kind: HostedKind) -> Self {
        let mut settings = HostedSettings::new("http://localhost", RobotKey::parse("key").unwrap(), kind);
        settings.arm.ui_scaling = true;
        let outputs = Outputs::default();
        let heard = outputs.subscribe();
        let operator = Operator::new(&settings, outputs);
        let base = model::description().base.unwrap();
        Self { bench: Bench::new(), operator, outputs: heard, base, source: 1, ticks: 0 }
    }

    fn now(&self) -> Now {
        Now { mono: self.bench.now, unix: EPOCH + self.ticks as f64 * TICK.as_secs_f64() }
    }

    fn who(&self) -> SourceId {
        SourceId::remote(self.source)
    }

    fn send(&mut self, message: &[u8]) {
        let now = self.now();
        let _ = self.operator.command(message, now);
    }

    /// One tick of the robot; with every second one a step of the operator's loop.
    fn tick(&mut self) -> CartCommand {
        if self.ticks.is_multiple_of(2) {
            let (now, who) = (self.now(), self.who());
            let stopped = self.bench.arbiter.lock().unwrap().stopped();
            self.operator.latch(stopped);
            let status = [0, 1].map(|arm| Some(self.bench.gripper_now(arm)));
            let wish = self.operator.step(TICK.as_secs_f64() * 2.0, now, status, Some(&self.base));
            let mut arbiter = self.bench.arbiter.lock().unwrap();
            match wish.silent {
                true => arbiter.on_field_silent(self.bench.now, who, &mut self.bench.events),
                false => arbiter.on_remote(self.bench.now, who, (&wish.hands, wish.base), &mut self.bench.events),
            }
        }
        self.ticks += 1;
        self.bench.tick();
        self.bench.events.clear();
        // What has been put out by name is not looked at.
        while self.outputs.try_recv().is_ok() {}
        self.bench.base_now()
    }

    fn lost(&mut self) {
        let who = self.who();
        self.operator.lost();
        self.bench.arbiter.lock().unwrap().on_remote_lost(self.bench.now, who, &mut self.bench.events);
        self.source += 1;
    }

    fn stop(&mut self, clear: bool) {
        let from = (self.who(), Role::Driver);
        let mut arbiter = self.bench.arbiter.lock().unwrap();
        arbiter.on_stop(self.bench.now, from, Stop { n: None, clear }, &mut self.bench.events);
        drop(arbiter);
        let stopped = self.bench.arbiter.lock().unwrap().stopped();
        self.operator.latch(stopped);
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Pose { left: bool, at: [f64; 3], turn: [f64; 3], late: f64 },
    Joy { left: bool, held: bool, trigger: f32, late: f64 },
    Both { at: [f64; 3], held: bool },
    Twist { linear: [f64; 3], angular: [f64; 3], late: f64 },
    Bytes(Vec<u8>),
    Gripper(bool),
    Scale(f64),
    Stop { clear: bool },
    Lost,
    Person { squeezed: bool },
    Nothing,
}

fn number() -> impl Strategy<Value = f64> {
    let wild = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 0.0]);
    prop_oneof![12 => -1.5f64..1.5, 1 => wild]
}

fn three() -> impl Strategy<Value = [f64; 3]> {
    [number(), number(), number()]
}

fn deed() -> impl Strategy<Value = Deed> {
    let late = || prop_oneof![8 => Just(0.0), 1 => -1.0f64..2.0, 1 => number()];
    let trigger = prop_oneof![8 => 0.0f32..1.0, 1 => prop::sample::select(vec![f32::NAN, -9.0, 1e30])];
    prop_oneof![
        3 => (any::<bool>(), three(), three(), late())
            .prop_map(|(left, at, turn, late)| Deed::Pose { left, at, turn, late }),
        3 => (any::<bool>(), any::<bool>(), trigger, late())
            .prop_map(|(left, held, trigger, late)| Deed::Joy { left, held, trigger, late }),
        8 => (prop::array::uniform3(-0.6f64..0.6), prop::bool::weighted(0.7))
            .prop_map(|(at, held)| Deed::Both { at, held }),
        6 => (three(), three(), late()).prop_map(|(linear, angular, late)| Deed::Twist { linear, angular, late }),
        1 => prop::collection::vec(any::<u8>(), 0..120).prop_map(Deed::Bytes),
        1 => any::<bool>().prop_map(Deed::Gripper),
        1 => number().prop_map(Deed::Scale),
        2 => prop::bool::weighted(0.7).prop_map(|clear| Deed::Stop { clear }),
        1 => Just(Deed::Lost),
        2 => any::<bool>().prop_map(|squeezed| Deed::Person { squeezed }),
        2 => Just(Deed::Nothing),
    ]
}

fn header(left: bool, stamp: f64) -> Header {
    let frame_id = if left { "left" } else { "right" };
    Header { seq: 0, stamp: Time::from_unix_s(stamp), frame_id: frame_id.into() }
}

fn pose(left: bool, at: DVec3, orientation: DQuat, stamp: f64) -> Vec<u8> {
    PoseStamped { header: header(left, stamp), pose: Pose { position: at, orientation } }.encode()
}

fn joy(left: bool, held: bool, trigger: f32, stamp: f64) -> Vec<u8> {
    let mut buttons = vec![0; 7];
    buttons[4] = i32::from(held);
    Joy { header: header(left, stamp), axes: vec![0.0, 0.0, trigger, 0.0], buttons }.encode()
}

impl Way {
    fn act(&mut self, deed: &Deed, tick: usize) {
        let stamp = self.now().unix;
        // Hands that drift a little, so that they are seen to move.
        let drift = DVec3::new(0.002, -0.001, 0.001) * tick as f64;
        match deed {
            Deed::Pose { left, at, turn, late } => {
                let [x, y, z] = *turn;
                let orientation = DQuat::from_xyzw(x, y, z, 1.0);
                self.send(&pose(*left, DVec3::from(*at) + drift, orientation, stamp - late));
            }
            Deed::Joy { left, held, trigger, late } => self.send(&joy(*left, *held, *trigger, stamp - late)),
            Deed::Both { at, held } => {
                for left in [true, false] {
                    self.send(&pose(left, DVec3::from(*at) + drift, DQuat::IDENTITY, stamp));
                    self.send(&joy(left, *held && tick > 3, 0.3, stamp));
                }
            }
            Deed::Twist { linear, angular, late } => {
                let twist = Twist { linear: DVec3::from(*linear), angular: DVec3::from(*angular) };
                self.send(&TwistStamped { header: header(true, stamp - late), twist }.encode());
            }
            Deed::Bytes(bytes) => self.send(bytes),
            Deed::Gripper(closed) => drop(self.operator.gripper(*closed, self.now())),
            Deed::Scale(scale) => drop(self.operator.set_scale(*scale)),
            Deed::Stop { clear } if tick == 0 => self.stop(*clear),
            Deed::Lost if tick == 0 => self.lost(),
            Deed::Person { squeezed: held } => {
                let hands = if *held && tick > 2 { squeezed(frame()) } else { frame() };
                self.bench.send(SourceId::person(1), &hands);
            }
            Deed::Stop { .. } | Deed::Lost | Deed::Nothing => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_arrives_from_afar_the_robot_keeps_its_limits_and_nothing_moves_while_it_is_stopped(
        arm in any::<bool>(), deeds in prop::collection::vec((deed(), 1u8..40), 1..40),
    ) {
        let mut way = Way::new(if arm { HostedKind::Arm } else { HostedKind::Twist });
        let mut watch = Watch::new(&way.bench);
        for (deed, ticks) in deeds {
            for tick in 0..usize::from(ticks) {
                way.act(&deed, tick);
                let base = way.tick();
                watch.look(&way.bench)?;
                let arbiter = way.bench.arbiter.lock().unwrap();
                let remote = arbiter.lease().driver.is_none_or(|driver| driver == SourceId::remote(way.source));
                prop_assert!(base.vx.hypot(base.vy) <= 1.0 + 1e-9 && base.wz.abs() <= 1.0 + 1e-9, "{base:?}");
                let moves = base != CartCommand::STOP;
                prop_assert!(!(arbiter.stopped() && moves), "a stopped base stands");
                prop_assert!(!(arm && moves), "who moves arms drives no base");
                prop_assert!(remote || !moves, "another one has the robot");
            }
        }
        // Nobody says anything any more.
        for _ in 0..240 {
            way.tick();
            watch.look(&way.bench)?;
        }
        let before = way.bench.command();
        way.tick();
        prop_assert_eq!(before, way.bench.command(), "a robot that hears nothing stands");
    }
}

/// The right hand, for so many ticks.
fn right(way: &mut Way, at: DVec3, held: bool, ticks: usize) {
    for _ in 0..ticks {
        let stamp = way.now().unix;
        way.send(&pose(false, at, DQuat::IDENTITY, stamp));
        way.send(&joy(false, held, 0.0, stamp));
        way.tick();
    }
}

#[test]
fn the_whole_loop_engages_and_follows() {
    let mut way = Way::new(HostedKind::Arm);
    let hand = DVec3::new(0.2, 1.2, -0.3);
    right(&mut way, hand, false, 20);
    let began = way.bench.gripper(1).position();
    right(&mut way, hand, true, 10);
    for step in 0..120 {
        right(&mut way, hand + DVec3::Z * -0.08 * f64::from(step) / 120.0, true, 1);
    }
    right(&mut way, hand + DVec3::Z * -0.08, true, 60);
    // Away from the operator is forward.
    let moved = way.bench.gripper(1).position() - began;
    assert!(moved.distance(DVec3::X * 0.08) < 1e-3, "{moved}");
    // With no word for a second the arm is let go.
    for _ in 0..150 {
        way.tick();
    }
    assert!(!way.bench.engaged());
    assert_eq!(way.bench.hold(), Some(HoldReason::LinkStale));
}

#[test]
fn an_operator_gets_the_robot_from_a_person_only_when_they_leave() {
    let mut way = Way::new(HostedKind::Arm);
    let hand = DVec3::new(0.2, 1.2, -0.3);
    way.bench.engage(SourceId::person(1), &frame());
    let keep = |way: &mut Way| {
        way.bench.send(SourceId::person(1), &frame());
    };
    let stands = way.bench.gripper(1).position();
    for held in [false, true] {
        for step in 0..40 {
            keep(&mut way);
            right(&mut way, hand + DVec3::Y * 0.002 * f64::from(step), held, 1);
        }
    }
    assert!(way.bench.gripper(1).position().distance(stands) < 1e-6);
    let who = way.who();
    let told = |way: &Way| way.bench.arbiter.lock().unwrap().hold_for(way.bench.now, who).map(|hold| hold.reason);
    assert_eq!(told(&way), Some(HoldReason::NotDriver));
    let (now, mut events) = (way.bench.now, Vec::new());
    way.bench.arbiter.lock().unwrap().on_closed(now, SourceId::person(1), &mut events);
    right(&mut way, hand, true, 10);
    assert!(!way.bench.engaged(), "held all along is no fresh press");
    right(&mut way, hand, false, 10);
    right(&mut way, hand, true, 10);
    assert!(way.bench.engaged());
}

#[test]
fn a_key_that_is_held_through_a_stop_or_a_loss_moves_nothing_until_it_was_let_go() {
    let ends: [fn(&mut Way); 2] = [
        |way| {
            way.stop(false);
            way.tick();
            way.stop(true);
        },
        Way::lost,
    ];
    for end in ends {
        let mut way = Way::new(HostedKind::Twist);
        let drive = |way: &mut Way, x: f64, ticks: usize| -> Vec<CartCommand> {
            let tick = |_| {
                way.act(&Deed::Twist { linear: [x, 0.0, 0.0], angular: [0.0; 3], late: 0.0 }, 1);
                way.tick()
            };
            (0..ticks).map(tick).collect()
        };
        drive(&mut way, 0.0, 12);
        let before = drive(&mut way, 0.3, 120);
        assert!(before.last().unwrap().vx > 0.2, "{before:?}");
        end(&mut way);
        // A moment for the base to come to rest.
        drive(&mut way, 0.3, 60);
        let held = drive(&mut way, 0.3, 240);
        assert!(held.iter().all(|base| *base == CartCommand::STOP), "{held:?}");
        drive(&mut way, 0.0, 12);
        let after = drive(&mut way, 0.3, 120);
        assert!(after.last().unwrap().vx > 0.2, "{after:?}");
    }
}

#[test]
fn others_in_the_robot_hear_of_velocities_only_while_the_robot_itself_heeds_them() {
    let mut settings = HostedSettings::new("http://localhost", RobotKey::parse("key").unwrap(), HostedKind::Twist);
    settings.drive.manual_for = std::time::Duration::ZERO;
    let outputs = Outputs::default();
    let mut heard = outputs.subscribe();
    let mut operator = Operator::new(&settings, outputs);
    let base = model::description().base.unwrap();
    let mut tick = 0;
    let mut drive = |operator: &mut Operator, x: f64, base: Option<&MobileBase>| {
        tick += 1;
        let seconds = 0.02 * f64::from(tick);
        let mono = waldo_protocol::time::MonoTime::from_nanos(1_000_000_000 + tick as u64 * 20_000_000);
        let now = Now { mono, unix: EPOCH + seconds };
        let twist = Twist { linear: DVec3::X * x, angular: DVec3::ZERO };
        let _ = operator.command(&TwistStamped { header: header(true, now.unix), twist }.encode(), now);
        operator.step(0.02, now, [None; 2], base);
        now
    };
    let mut velocities = || {
        let mut velocities = Vec::new();
        while let Ok(output) = heard.try_recv() {
            if let (super::Stream::CmdVel, Ok(Message::Twist(twist))) = (output.stream, Message::decode(&output.data)) {
                velocities.push(twist.linear.x);
            }
        }
        velocities
    };
    let now = drive(&mut operator, 0.3, Some(&base));
    assert_eq!(velocities(), [0.3]);
    operator.heed(false, now);
    drive(&mut operator, 0.3, Some(&base));
    assert_eq!(velocities(), [0.0], "that it stands, once");
    operator.heed(true, now);
    for _ in 0..5 {
        drive(&mut operator, 0.3, Some(&base));
    }
    assert!(velocities().is_empty(), "held all along");
    assert!(operator.awaits_release());
    drive(&mut operator, 0.0, Some(&base));
    assert!(!operator.awaits_release());
    drive(&mut operator, 0.3, Some(&base));
    assert_eq!(velocities(), [0.0, 0.3]);
    // It sits, or lies.
    drive(&mut operator, 0.3, None);
    drive(&mut operator, 0.3, None);
    assert_eq!(velocities(), [0.3, 0.0]);
}
