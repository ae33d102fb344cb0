//! A policy and a person with a headset who both drive the simulated robot, over real sockets.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use waldo_policy_client::{Action, Event, Observation, Options, PolicyClient};
use waldo_protocol::policy::{Capabilities, Driver, ErrorReply};
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::robot::{Description, Robot};

use crate::client::{Client, FRAME, Operator, PATIENCE};
use crate::robot::Robotics;

/// Elbows of the simulated robot in an action, and how far they are bent at rest, rad.
const ELBOWS: [usize; 2] = [3, 11];

/// What the simulated robot is made of.
pub fn description() -> Description {
    SimRobot::new(SimOptions::default()).description().clone()
}

/// The rest posture with both elbows bent by so much more, rad.
pub fn bent(by: f32) -> Vec<f32> {
    let joints = |rest: &Vec<f64>| rest.iter().map(|q| *q as f32).chain([1.0]).collect::<Vec<_>>();
    let mut values: Vec<f32> = description().arms.iter().flat_map(|arm| joints(&arm.rest)).collect();
    ELBOWS.iter().for_each(|elbow| values[*elbow] += by);
    values
}

/// How far the left elbow is bent, rad.
pub fn elbow(robot: &Robotics) -> f64 {
    robot.waldo.control().status().joints[0][3]
}

/// The arm brakes, and then nothing moves it.
pub async fn stands(robot: &Robotics) -> Result<()> {
    sleep(Duration::from_millis(300)).await;
    let then = elbow(robot);
    sleep(Duration::from_millis(700)).await;
    ensure!(elbow(robot) == then, "moved from {then} to {}", elbow(robot));
    Ok(())
}

/// How far the left elbow is from where [`bent`] wants it.
pub fn off(robot: &Robotics, by: f32) -> f64 {
    (elbow(robot) - f64::from(bent(by)[ELBOWS[0]])).abs()
}

/// Waits until a policy client is told what is looked for.
///
/// # Errors
/// It is not told in time.
pub async fn told<T>(events: &mut Receiver<Event>, mut wanted: impl FnMut(Event) -> Option<T>) -> Result<T> {
    let told = async {
        loop {
            match events.recv().await {
                Ok(event) => {
                    if let Some(found) = wanted(event) {
                        return Ok(found);
                    }
                }
                // More was told than is kept.
                Err(RecvError::Lagged(_)) => {}
                Err(ended @ RecvError::Closed) => return Err(ended.into()),
            }
        }
    };
    timeout(PATIENCE, told).await.context("nobody tells the policy")?
}

/// The error that the server reports, if the event is one.
pub fn reported(event: Event) -> Option<ErrorReply> {
    if let Event::Server(reply) = event { Some(reply) } else { None }
}

/// A policy that looks and acts 50 times a second until it is dropped.
pub struct Policy {
    /// Its end of the wire.
    pub client: PolicyClient,
    acting: JoinHandle<()>,
}

impl Policy {
    /// A client that knows these extensions.
    ///
    /// # Errors
    /// If there is no robot.
    pub async fn connect(robot: &Robotics, extensions: Capabilities) -> Result<PolicyClient> {
        let options = Options { connect_timeout: Some(PATIENCE), extensions, ..Options::default() };
        Ok(PolicyClient::connect(&robot.policy_uri()?, options).await?)
    }

    /// Resets the robot, and then wants the elbows bent by so much. `blind`: it looks at nothing but what the reset showed,
    /// and says so.
    ///
    /// # Errors
    /// The robot does not reset.
    pub async fn start(client: PolicyClient, by: f32, blind: bool) -> Result<Self> {
        let (begin, _) = client.reset().await?;
        let acting = tokio::spawn(act(client.clone(), by, blind.then_some(begin)));
        Ok(Self { client, acting })
    }

    /// Who drives, as its observations tell.
    ///
    /// # Errors
    /// If they do not.
    pub async fn driver(&self) -> Result<Driver> {
        Ok(self.client.observation().await?.episode().context("it was agreed on")?.driver)
    }

    /// Waits until that one drives.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn until_driver(&self, driver: Driver) -> Result<()> {
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

/// A headset that sends frames at its usual rate until it is dropped.
pub struct Headset {
    operator: Arc<Mutex<Operator>>,
    wearing: JoinHandle<Result<()>>,
}

impl Headset {
    /// Connects one.
    ///
    /// # Errors
    /// If there is no robot.
    pub async fn put_on(robot: &Robotics) -> Result<Self> {
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
    pub async fn hands(&self, act: impl FnOnce(&mut Operator)) {
        act(&mut self.operator.lock().expect("nobody panicked"));
        sleep(Duration::from_millis(200)).await;
    }

    /// Squeezes both grips and lets go of them: engages, or disengages.
    pub async fn toggle(&self, robot: &Robotics, engaged: bool) -> Result<()> {
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
pub async fn viewer(robot: &Robotics) -> Result<Client> {
    let mut viewer = robot.client().await?;
    let caps = ["stop", "lease", "hold"];
    let hello = json!({"type": "hello", "v": 1, "client": "t/1", "stream": "v", "role": "viewer", "caps": caps});
    viewer.send(hello.to_string()).await?;
    viewer.receive_type("hello").await?;
    Ok(viewer)
}
