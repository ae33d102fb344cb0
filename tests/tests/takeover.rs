//! A policy drives the simulated robot over a real socket, a person takes over with a headset, and the policy goes on.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use glam::DVec3;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use waldo_policy_client::{Action, Event, Observation, Options, PolicyClient};
use waldo_protocol::policy::{ActionHeader, Capabilities, Driver, ErrorCode, LeaseReason, SimpleRequest};
use waldo_server::config::{PolicySettings, Settings};
use waldo_server::control::Resume;
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::robot::{ActionLayout, Description, Robot};
use waldo_tests::client::{Client, FRAME, Operator, PATIENCE};
use waldo_tests::robot::{Robotics, with_policies};

/// Elbows of the simulated robot in an action, and how far they are bent at rest, rad.
const ELBOWS: [usize; 2] = [3, 11];

fn description() -> Description {
    SimRobot::new(SimOptions::default()).description().clone()
}

/// The rest posture with both elbows bent by so much more, rad.
fn bent(by: f32) -> Vec<f32> {
    let joints = |rest: &Vec<f64>| rest.iter().map(|q| *q as f32).chain([1.0]).collect::<Vec<_>>();
    let mut values: Vec<f32> = description().arms.iter().flat_map(|arm| joints(&arm.rest)).collect();
    ELBOWS.iter().for_each(|elbow| values[*elbow] += by);
    values
}

fn elbow(robot: &Robotics) -> f64 {
    robot.waldo.control().status().joints[0][3]
}

/// The arm brakes, and then nothing moves it.
async fn stands(robot: &Robotics) -> Result<()> {
    sleep(Duration::from_millis(300)).await;
    let then = elbow(robot);
    sleep(Duration::from_millis(700)).await;
    ensure!(elbow(robot) == then, "moved from {then} to {}", elbow(robot));
    Ok(())
}

/// How far the left elbow is from where [`bent`] wants it.
fn off(robot: &Robotics, by: f32) -> f64 {
    (elbow(robot) - f64::from(bent(by)[ELBOWS[0]])).abs()
}

/// A policy that looks and acts 50 times a second until it is dropped.
struct Policy {
    client: PolicyClient,
    acting: JoinHandle<()>,
}

impl Policy {
    async fn connect(robot: &Robotics, extensions: Capabilities) -> Result<PolicyClient> {
        let options = Options { connect_timeout: Some(PATIENCE), extensions, ..Options::default() };
        Ok(PolicyClient::connect(&robot.policy_uri()?, options).await?)
    }

    /// Resets the robot, and then wants the elbows bent by so much. `seen`: always says that it has seen only this.
    async fn start(client: PolicyClient, by: f32, seen: Option<Observation>) -> Result<Self> {
        client.reset().await?;
        let acting = tokio::spawn(act(client.clone(), by, seen));
        Ok(Self { client, acting })
    }

    async fn driver(&self) -> Result<Driver> {
        Ok(self.client.observation().await?.episode().context("it was agreed on")?.driver)
    }

    async fn until_driver(&self, driver: Driver) -> Result<()> {
        let start = Instant::now();
        while self.driver().await? != driver {
            ensure!(start.elapsed() < PATIENCE, "the driver is not {driver:?}");
            sleep(FRAME).await;
        }
        Ok(())
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        self.acting.abort();
    }
}

async fn act(client: PolicyClient, by: f32, seen: Option<Observation>) {
    loop {
        // Whatever goes wrong shows in what the robot does.
        if let Ok(now) = client.observation().await {
            let action = Action::from(bent(by)).computed_from(seen.as_ref().unwrap_or(&now));
            let _ = client.send_action(action).await;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// A client of the first generation, which acts when it has seen what its last action led to. Ends with its connection.
async fn step(uri: String) -> Result<()> {
    let (mut socket, _) = tokio_tungstenite::connect_async(uri).await?;
    let (mut reset, mut action) = (Vec::new(), Vec::new());
    SimpleRequest::default().encode_reset(&mut reset);
    ActionHeader { shape: &[1, 16], ..ActionHeader::default() }.encode_coupled(&bent(-0.3), &mut action)?;
    socket.send(Message::Binary(reset.into())).await?;
    loop {
        match socket.next().await.context("it hung up")?? {
            Message::Binary(_) => socket.send(Message::Binary(action.clone().into())).await?,
            other => bail!("{other:?}"),
        }
    }
}

/// A headset that sends frames at its usual rate until it is dropped.
struct Headset {
    operator: Arc<Mutex<Operator>>,
    wearing: JoinHandle<Result<()>>,
}

impl Headset {
    async fn put_on(robot: &Robotics) -> Result<Self> {
        let mut client = robot.client().await?;
        let operator = Arc::new(Mutex::new(Operator::default()));
        let hands = Arc::clone(&operator);
        let wearing = tokio::spawn(async move {
            loop {
                let frame = *hands.lock().expect("nobody panicked").capture();
                client.send_frame(&frame).await?;
                sleep(FRAME).await;
            }
        });
        Ok(Self { operator, wearing })
    }

    /// Does something with the hands, and waits until the robot has seen it.
    async fn hands(&self, act: impl FnOnce(&mut Operator)) {
        act(&mut self.operator.lock().expect("nobody panicked"));
        sleep(Duration::from_millis(200)).await;
    }

    /// Squeezes both grips and lets go of them: engages, or disengages.
    async fn toggle(&self, robot: &Robotics, engaged: bool) -> Result<()> {
        self.hands(|operator| {
            operator.squeeze(true);
        })
        .await;
        robot.until("the engage toggle", |robot| robot.waldo.server().tracking() == engaged).await?;
        self.hands(|operator| {
            operator.squeeze(false);
        })
        .await;
        Ok(())
    }
}

impl Drop for Headset {
    fn drop(&mut self) {
        self.wearing.abort();
    }
}

/// A page that watches and may stop the robot.
async fn viewer(robot: &Robotics) -> Result<Client> {
    let mut viewer = robot.client().await?;
    let caps = ["stop", "lease", "hold"];
    let hello = json!({"type": "hello", "v": 1, "client": "t/1", "stream": "v", "role": "viewer", "caps": caps});
    viewer.send(hello.to_string()).await?;
    viewer.receive_type("hello").await?;
    Ok(viewer)
}

/// A policy that has led the arms where it wants them, and a person who has taken over and moved them away.
async fn taken_over(resume: Resume, extensions: Capabilities, open_loop: bool) -> Result<(Robotics, Policy, Headset)> {
    let settings = |data: &_| {
        let all = with_policies(data);
        Settings { policy: PolicySettings { resume, ..all.policy }, ..all }
    };
    let robot = Robotics::start(settings).await?;
    let headset = Headset::put_on(&robot).await?;
    let client = Policy::connect(&robot, extensions).await?;
    let seen = if open_loop { Some(client.reset().await?.0) } else { None };
    let policy = Policy::start(client, -0.3, seen).await?;
    robot.until("the policy leads the arms", |robot| off(robot, -0.3) < 0.01).await?;

    headset.toggle(&robot, true).await?;
    headset
        .hands(|operator| {
            operator.move_by(DVec3::new(0.0, 0.0, 0.1));
        })
        .await;
    robot.until("the person leads the arms", |robot| off(robot, -0.3) > 0.05).await?;
    Ok((robot, policy, headset))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_takes_over_and_the_policy_goes_on_gently_with_what_it_saw_since() -> Result<()> {
    let robot = Robotics::start(with_policies).await?;
    let headset = Headset::put_on(&robot).await?;
    let client = Policy::connect(&robot, Capabilities::all()).await?;
    let mut events = client.events();
    let policy = Policy::start(client, -0.3, None).await?;
    robot.until("the policy leads the arms", |robot| off(robot, -0.3) < 0.01).await?;
    assert_eq!(policy.driver().await?, Driver::Policy);

    headset.toggle(&robot, true).await?;
    let told = async {
        loop {
            if let Event::Lease(event) = events.recv().await?
                && event.reason == LeaseReason::Operator
            {
                return anyhow::Ok(event);
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.context("nobody tells the policy")??;
    assert_eq!(told.holder.as_deref(), Some("operator"));
    policy.until_driver(Driver::Operator).await?;
    headset
        .hands(|operator| {
            operator.move_by(DVec3::new(0.0, 0.0, 0.1));
        })
        .await;
    robot.until("the person leads the arms", |robot| off(robot, -0.3) > 0.05).await?;
    let ignored = robot.waldo.policies().context("they are served")?.counts().dropped;
    assert!(ignored.get("not_holder").is_some_and(|n| *n > 0), "the policy's actions are counted: {ignored:?}");

    headset.toggle(&robot, false).await?;
    let left = elbow(&robot);
    let released = Instant::now();
    robot.until("the policy leads the arms again", |robot| (elbow(robot) - left).abs() > 0.001).await?;
    ensure!(released.elapsed() > Duration::from_millis(300), "the person may reach back first");
    let moved = Instant::now();
    robot.until("the arms are back", |robot| off(robot, -0.3) < 0.01).await?;
    // The limits of the joints alone would let them be back after a twentieth of that.
    ensure!(moved.elapsed() > Duration::from_millis(300), "back after {:?}", moved.elapsed());
    policy.until_driver(Driver::Policy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_computed_from_what_was_seen_before_the_release_moves_nothing() -> Result<()> {
    let (robot, policy, headset) = taken_over(Resume::Newer, Capabilities::all(), true).await?;
    let mut events = policy.client.events();
    drop(headset);
    let told = async {
        loop {
            if let Event::Server(reply) = events.recv().await?
                && reply.code == ErrorCode::Stale
            {
                return anyhow::Ok(reply);
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.context("nobody tells the policy")??;
    assert!(told.message.contains("older than the last hold or takeover"), "{}", told.message);
    stands(&robot).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_actions_of_an_old_client_count_by_their_arrival() -> Result<()> {
    let (robot, _policy, headset) = taken_over(Resume::Newer, Capabilities::NONE, true).await?;
    drop(headset);
    robot.until("the policy leads the arms again", |robot| off(robot, -0.3) < 0.01).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_steps_keeps_its_connection_through_a_takeover_and_goes_on_after_it() -> Result<()> {
    let robot = Robotics::start(with_policies).await?;
    let headset = Headset::put_on(&robot).await?;
    let stepping = tokio::spawn(step(robot.policy_uri()?));
    robot.until("the policy leads the arms", |robot| off(robot, -0.3) < 0.01).await?;
    headset.toggle(&robot, true).await?;
    headset
        .hands(|operator| {
            operator.move_by(DVec3::new(0.0, 0.0, 0.1));
        })
        .await;
    robot.until("the person leads the arms", |robot| off(robot, -0.3) > 0.05).await?;
    drop(headset);
    robot.until("the policy leads the arms again", |robot| off(robot, -0.3) < 0.01).await?;
    ensure!(!stepping.is_finished(), "a step failed");
    stepping.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_may_demand_a_reset_after_a_takeover() -> Result<()> {
    let (robot, policy, headset) = taken_over(Resume::Reset, Capabilities::all(), false).await?;
    let mut events = policy.client.events();
    drop(headset);
    let told = async {
        loop {
            if let Event::Server(reply) = events.recv().await?
                && reply.message.contains("reset first")
            {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.context("nobody tells the policy")??;
    stands(&robot).await?;
    policy.client.reset().await?;
    robot.until("the policy leads the arms again", |robot| off(robot, -0.3) < 0.01).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_holds_the_policy_and_refuses_its_resets_until_it_is_cleared() -> Result<()> {
    let robot = Robotics::start(with_policies).await?;
    let mut viewer = viewer(&robot).await?;
    let client = Policy::connect(&robot, Capabilities::all()).await?;
    let policy = Policy::start(client, -0.3, None).await?;
    robot.until("the policy leads the arms", |robot| off(robot, -0.3) < 0.01).await?;
    while viewer.receive_type("lease").await?["value"]["driver"] != "policy" {}

    viewer.send(json!({"type": "stop", "n": 1}).to_string()).await?;
    while viewer.receive_type("hold").await?["value"]["reason"] != "stopped" {}
    let error = policy.client.reset().await.err().context("a reset while stopped")?.to_string();
    assert!(error.contains("the robot is stopped"), "{error}");
    assert!(policy.client.is_connected(), "an action that does not count is no reason to hang up");
    viewer.send(json!({"type": "stop", "n": 2, "clear": true}).to_string()).await?;
    while viewer.receive_type("hold").await?["value"]["reason"] == "stopped" {}
    policy.client.reset().await?;
    robot.until("the policy leads the arms again", |robot| off(robot, -0.3) < 0.01).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_policy_is_held_with_the_reason_for_everybody() -> Result<()> {
    let robot = Robotics::start(with_policies).await?;
    let mut viewer = viewer(&robot).await?;
    let client = Policy::connect(&robot, Capabilities::all()).await?;
    let mut events = client.events();
    let policy = Policy::start(client.clone(), -0.3, None).await?;
    robot.until("the policy leads the arms", |robot| off(robot, -0.3) < 0.01).await?;
    drop(policy);
    let hold = loop {
        let hold = viewer.receive_type("hold").await?;
        if hold["value"]["reason"] == "link_stale" {
            break hold;
        }
    };
    assert!(hold["value"]["text"].as_str().is_some_and(|text| text.contains("policy")), "{hold}");
    let told = async {
        loop {
            if let Event::Server(reply) = events.recv().await?
                && reply.code == ErrorCode::Stale
            {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.context("nobody tells the policy")??;
    while !viewer.receive_type("lease").await?["value"]["driver"].is_null() {}
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_robot_tells_policies_what_it_is_and_refuses_what_does_not_fit() -> Result<()> {
    let robot = Robotics::start(with_policies).await?;
    let client = Policy::connect(&robot, Capabilities::all()).await?;
    let data = client.metadata().await?.data;
    let layout = ActionLayout::joint_targets(&description());
    assert_eq!(data.get("action_shape").map(ToString::to_string), Some("[16]".into()));
    assert_eq!(data.get("action_layout").and_then(|words| words.as_str()), Some(layout.words()));
    assert_eq!(data.get("action_type").and_then(|kind| kind.as_str()), Some("joint_position"));
    let cameras = data.get("cameras").and_then(|names| names.as_array()).context("a list")?;
    assert_eq!(cameras.iter().filter_map(|name| name.as_str()).collect::<Vec<_>>(), description().cameras);
    let streams = data.get("proprio_names").and_then(|names| names.as_array()).context("a list")?;
    assert!(streams.iter().any(|name| name.as_str() == Some("left")), "{streams:?}");

    let options = Options { check_action_shape: false, connect_timeout: Some(PATIENCE), ..Options::default() };
    let careless = PolicyClient::connect(&robot.policy_uri()?, options).await?;
    let mut events = careless.events();
    careless.send_action(Action::new([3, 16], vec![0.0; 48])?).await?;
    careless.send_action(Action::from([0.5_f32; 7])).await?;
    let mut told = Vec::new();
    while told.len() < 2 {
        match tokio::time::timeout(PATIENCE, events.recv()).await.context("nobody tells the policy")?? {
            Event::Server(reply) => told.push(reply.message),
            Event::State(state) => bail!("{state:?}"),
            _ => {}
        }
    }
    assert!(told[0].contains("3 actions") && told[0].contains("chunk"), "{told:?}");
    assert!(told[1].contains("7 values") && told[1].contains("takes 16"), "{told:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_program_ends_the_policy_service_too() -> Result<()> {
    let robot = Robotics::start(with_policies).await?;
    let uri = robot.policy_uri()?;
    let addr = robot.waldo.policies().and_then(|policies| policies.addr()).context("it listens")?;
    let client = Policy::connect(&robot, Capabilities::all()).await?;
    let resetting = tokio::spawn({
        let client = client.clone();
        async move { client.reset().await }
    });
    sleep(Duration::from_millis(200)).await;
    tokio::time::timeout(PATIENCE, robot.waldo.stop()).await.context("it does not end")?;
    assert!(resetting.await?.is_err(), "whoever waits is told");
    assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "{uri}");
    Ok(())
}
