//! A simulated robot that dials the test's broker.

use std::time::{Duration, Instant};

use glam::{DQuat, DVec3};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use waldo_protocol::lcm::{Header, Joy, Pose, PoseStamped, Time, Twist, TwistStamped};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::HoldReason;
use waldo_server::clock;
use waldo_server::config::{FieldSettings, HostedKind, HostedSettings, PolicySettings, RobotKey, Settings};
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::robot::{Applied, Command, Description, Robot, RobotError};
use waldo_server::sensors::SensorHub;
use waldo_server::serve::Waldo;

use crate::broker::{Broker, KEY};
use crate::sfu::{Operator, Sfu};

/// Much longer than anything takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < LIMIT, "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) struct Stage {
    pub(crate) waldo: Waldo,
    pub(crate) broker: Broker,
    pub(crate) sfu: Sfu,
    _data: TempDir,
}

impl Stage {
    pub(crate) async fn new(kind: HostedKind) -> Self {
        Self::with(kind, |_| ()).await
    }

    /// A robot that has registered and is connected.
    pub(crate) async fn with(kind: HostedKind, change: impl FnOnce(&mut HostedSettings)) -> Self {
        Self::at(Broker::start().await, kind, change).await
    }

    pub(crate) async fn at(broker: Broker, kind: HostedKind, change: impl FnOnce(&mut HostedSettings)) -> Self {
        Self::of(robot(), broker, kind, change).await
    }

    pub(crate) async fn of(
        robot: Box<dyn Robot>,
        mut broker: Broker,
        kind: HostedKind,
        change: impl FnOnce(&mut HostedSettings),
    ) -> Self {
        let data = tempfile::tempdir().unwrap();
        let waldo = Waldo::start(settings(&broker, data.path(), kind, change), robot).await.unwrap();
        let mut sfu = broker.sfu().await;
        sfu.connected().await;
        Self { waldo, broker, sfu, _data: data }
    }

    /// An operator who has been heard.
    pub(crate) async fn operator(&self) -> Operator {
        self.operator_at(16).await
    }

    pub(crate) async fn operator_at(&self, first: u16) -> Operator {
        let operator = self.sfu.operator(first).await;
        self.broker.bridge(first);
        operator.meets().await;
        operator
    }

    /// Where the gripper of an arm is told to be, in the base.
    pub(crate) fn gripper(&self, arm: usize) -> DVec3 {
        self.waldo.control().status().grippers[arm].position()
    }

    /// How far the base is from where it began, forward.
    pub(crate) fn way(&self) -> f64 {
        self.waldo.hub().proprio().map_or(0.0, |reading| reading.base.as_ref().unwrap().pose.position().x)
    }
}

pub(crate) fn robot() -> Box<SimRobot> {
    Box::new(SimRobot::new(SimOptions { camera_size: (128, 96), latency_stamp: false }))
}

/// A simulated robot that tells the test what its program asks of it.
pub(crate) struct Around {
    pub(crate) robot: Box<SimRobot>,
    pub(crate) starts: Box<dyn Fn(&SensorHub) + Send>,
    pub(crate) holds: Box<dyn Fn(HoldReason) + Send>,
}

impl Default for Around {
    fn default() -> Self {
        Self { robot: robot(), starts: Box::new(|_| ()), holds: Box::new(|_| ()) }
    }
}

impl Robot for Around {
    fn description(&self) -> &Description {
        self.robot.description()
    }

    fn start(&mut self, hub: &SensorHub) -> Result<Command, RobotError> {
        (self.starts)(hub);
        self.robot.start(hub)
    }

    fn apply(&mut self, now: MonoTime, command: &Command) -> Result<Applied, RobotError> {
        self.robot.apply(now, command)
    }

    fn hold(&mut self, reason: HoldReason) {
        (self.holds)(reason);
    }
}

pub(crate) fn settings(
    broker: &Broker,
    data: &std::path::Path,
    kind: HostedKind,
    change: impl FnOnce(&mut HostedSettings),
) -> Settings {
    let mut hosted = HostedSettings::new(format!("http://{}", broker.addr), RobotKey::parse(KEY).unwrap(), kind);
    hosted.name = "tester".into();
    hosted.heartbeat_hz = 10.0;
    change(&mut hosted);
    Settings {
        data_dir: data.to_owned(),
        hosted: Some(hosted),
        local: false,
        mdns: false,
        policy: PolicySettings::off(),
        field: FieldSettings::off(),
        ..Settings::default()
    }
}

/// Unix time now.
pub(crate) fn unix() -> f64 {
    clock::unix_time(clock::now()).as_secs_f64()
}

fn header(frame_id: &str, stamp: f64) -> Header {
    Header { seq: 0, stamp: Time::from_unix_s(stamp), frame_id: frame_id.into() }
}

pub(crate) fn twist(linear: DVec3, angular: DVec3) -> Vec<u8> {
    twist_at("keyboard", linear, angular, unix())
}

pub(crate) fn twist_at(frame_id: &str, linear: DVec3, angular: DVec3, stamp: f64) -> Vec<u8> {
    TwistStamped { header: header(frame_id, stamp), twist: Twist { linear, angular } }.encode()
}

/// A controller, in the axes of WebXR.
pub(crate) fn pose(hand: &str, position: DVec3) -> Vec<u8> {
    let pose = Pose { position, orientation: DQuat::IDENTITY };
    PoseStamped { header: header(hand, unix()), pose }.encode()
}

pub(crate) fn joy(hand: &str, primary: bool, trigger: f32) -> Vec<u8> {
    let mut buttons = vec![0; 7];
    buttons[4] = i32::from(primary);
    Joy { header: header(hand, unix()), axes: vec![0.0, 0.0, trigger, 0.0], buttons }.encode()
}
