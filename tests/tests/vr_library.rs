//! The server as a library: with an arm consumer of the user's own, and with a robot that takes its time.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result};
use glam::DVec3;
use serde_json::json;
use tempfile::TempDir;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{IceServer, Mode, MotionScale, PlayoutConfig, VrFrame, VrState};
use waldo_server::config::Settings;
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::robot::{Applied, Command, Description, Robot, RobotError};
use waldo_server::sensors::SensorHub;
use waldo_server::serve::Waldo;
use waldo_server::tls;
use waldo_server::vr::{StartError, VrServer};
use waldo_tests::client::{Client, Operator, PATIENCE, trusting};
use waldo_tests::robot::local;

async fn squeeze(client: &mut Client, operator: &mut Operator) -> Result<()> {
    client.send_frame(operator.squeeze(false).capture()).await?;
    client.send_frame(operator.squeeze(true).capture()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_control_loop_one_headset_drives_even_after_a_reset() -> Result<()> {
    let data = TempDir::new()?;
    let server = VrServer::new(local(data.path()));
    server.start().await?;
    let tls = trusting(server.certificate().context("a running server")?)?;
    let addr = server.addr().context("a running server")?;
    let mut first = Client::connect(addr, &tls, "/ws").await?;
    let mut second = Client::connect(addr, &tls, "/ws").await?;
    let (mut driver, mut other) = (Operator::default(), Operator::default());

    driver.frame.reset = true;
    first.send_frame(driver.capture()).await?;
    driver.frame.reset = false;
    squeeze(&mut first, &mut driver).await?;
    assert!(first.receive_all().await?.is_empty(), "the user's consumer has said nothing about tracking");
    other.move_by(DVec3::X);
    squeeze(&mut second, &mut other).await?;
    second.receive_all().await?;
    let left = server.frame().context("a frame")?.left.pose;
    assert_eq!(left, driver.frame.left.pose, "frame() is the driver's alone");

    server.set_tracking(true);
    assert_eq!(first.receive_type("tracking").await?["value"], true);
    drop(first);
    assert!(second.receive_type("tracking").await?["value"] == true);
    second.receive_all().await?;
    assert!(server.tracking(), "only the user's consumer tells what is engaged");
    server.stop().await;
    Ok(())
}

/// The simulated robot, but it starts only when told.
struct Homing {
    robot: SimRobot,
    done: Receiver<()>,
}

impl Robot for Homing {
    fn description(&self) -> &Description {
        self.robot.description()
    }

    fn start(&mut self, hub: &SensorHub) -> Result<Command, RobotError> {
        self.done.recv().map_err(|e| RobotError(e.to_string()))?;
        self.robot.start(hub)
    }

    fn apply(&mut self, now: MonoTime, command: &Command) -> Result<Applied, RobotError> {
        self.robot.apply(now, command)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grips_and_resets_before_the_robot_has_started_move_nothing() -> Result<()> {
    let data = TempDir::new()?;
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let settings = Settings { port, ..local(data.path()) };
    let (identity, _) = tls::certificate(&settings)?;
    let tls = trusting(identity.certificate().clone())?;
    let (homed, done) = sync_channel(1);
    let robot = SimRobot::new(SimOptions { camera_size: (320, 240), ..SimOptions::default() });
    let starting = tokio::spawn(Waldo::start(settings, Box::new(Homing { robot, done })));

    let addr = (Ipv4Addr::LOCALHOST, port).into();
    let mut client = loop {
        match Client::connect(addr, &tls, "/ws").await {
            Ok(client) => break client,
            Err(error) if starting.is_finished() => return Err(error),
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(client.receive_type("tracking").await?["value"], false);
    let mut operator = Operator::default();
    operator.frame.reset = true;
    client.send_frame(operator.capture()).await?;
    operator.frame.reset = false;
    squeeze(&mut client, &mut operator).await?;
    client.send_frame(operator.move_by(DVec3::new(0.0, 0.0, -0.3)).capture()).await?;
    client.receive_all().await?;
    homed.send(())?;
    let waldo = starting.await??;

    let start = waldo.control().status().grippers.clone();
    while waldo.control().status().ticks < 60 {
        client.send_frame(operator.capture()).await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(waldo.control().status().grippers, start);
    assert!(!waldo.server().tracking());
    waldo.stop().await;
    Ok(())
}

#[test]
fn a_program_that_prints_its_server_prints_no_password() {
    let relay = IceServer {
        urls: vec!["turn:192.0.2.1".to_owned()],
        username: Some("user".to_owned()),
        credential: Some("of the relay".to_owned()),
    };
    let settings = Settings {
        ice_servers: vec![relay],
        ice_secret: Some("known to the relay".to_owned()),
        ..local(Path::new("/nowhere"))
    };
    let text = format!("{:?}", VrServer::new(settings));
    assert!(text.contains("127.0.0.1") && !text.contains("the relay"), "{text}");
}

/// A running server without a robot.
async fn running() -> Result<(VrServer, TempDir)> {
    let data = TempDir::new()?;
    let server = VrServer::new(local(data.path()));
    server.start().await?;
    Ok((server, data))
}

async fn connect(server: &VrServer) -> Result<Client> {
    let tls = trusting(server.certificate().context("a running server")?)?;
    Client::connect(server.addr().context("a running server")?, &tls, "/ws").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_program_announces_reaches_everybody_at_once_and_newcomers_later() -> Result<()> {
    let (server, _data) = running().await?;
    assert!(!server.connected());
    let mut clients = [connect(&server).await?, connect(&server).await?];
    for client in &mut clients {
        assert!(client.receive_all().await?.is_empty());
    }
    assert!(server.connected());
    server.set_mode(Some(Mode::DataCollection));
    server.set_episode(Some(3));
    server.broadcast_text(r#"{"type":"of the program's own"}"#);
    server.send_feedback_state(VrState::DataCollection);
    server.set_episode(None);
    server.send_feedback_state(VrState::Saving);
    for client in &mut clients {
        let told = [
            json!({"type": "mode", "value": "data_collection"}),
            json!({"type": "episode", "value": 3}),
            json!({"type": "of the program's own"}),
            json!({"type": "state", "value": "data_collection"}),
            json!({"type": "episode", "value": null}),
            json!({"type": "state", "value": "saving"}),
        ];
        assert_eq!(client.receive_all().await?, told);
    }
    let greeting = connect(&server).await?.receive_all().await?;
    let told = [json!({"type": "mode", "value": "data_collection"}), json!({"type": "state", "value": "saving"})];
    assert_eq!(greeting, told);
    drop(clients);
    while server.connected() {
        tokio::task::yield_now().await;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_error_is_out_before_the_server_stops_and_waits_for_nobody_longer_than_it_may() -> Result<()> {
    let (server, _data) = running().await?;
    let mut client = connect(&server).await?;
    client.receive_all().await?;
    server.send_feedback_error(PATIENCE).await;
    server.stop().await;
    assert_eq!(client.receive().await?, json!({"type": "state", "value": "error"}));

    let (server, _data) = running().await?;
    let mut deaf = connect(&server).await?;
    deaf.receive_all().await?;
    // More than the sockets' own buffers take.
    let text = format!(r#"{{"type":"{}"}}"#, "x".repeat(900_000));
    for _ in 0..30 {
        server.broadcast_text(&text);
    }
    tokio::time::timeout(PATIENCE, server.send_feedback_error(Duration::from_millis(50))).await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rendered_frame_has_smoothed_hands_and_the_buttons_of_the_newest() -> Result<()> {
    let data = TempDir::new()?;
    // Sixty milliseconds late, in the compatible profile.
    let playout = PlayoutConfig::default();
    let server = VrServer::new(Settings { playout, ..local(data.path()) });
    server.start().await?;
    let mut client = connect(&server).await?;
    assert_eq!(server.render_frame(), None, "before the first frame");
    let mut operator = Operator::default();
    for _ in 0..20 {
        client.send_frame(operator.move_by(DVec3::new(0.01, 0.0, 0.0)).capture()).await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    operator.frame.left.lock = true;
    client.send_frame(operator.capture()).await?;
    client.receive_all().await?;
    let (rendered, newest) = (server.render_frame().context("a frame")?, server.frame().context("a frame")?);
    assert!(newest.left.lock && rendered.left.lock, "buttons are never late");
    assert!(rendered.t < newest.t, "poses are");
    let x = |frame: &VrFrame| frame.left.pose.position().x;
    assert!(x(&rendered) < x(&newest), "{} {}", x(&rendered), x(&newest));
    client.receive_all().await?;
    drop(client);
    let forgotten = async {
        while server.connected() || server.render_frame().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let forgotten = tokio::time::timeout(Duration::from_secs(10), forgotten).await;
    forgotten.context("the stream is not forgotten with its last socket")?;
    server.stop().await;
    Ok(())
}

/// A robot that does not start.
struct Broken(SimRobot);

impl Robot for Broken {
    fn description(&self) -> &Description {
        self.0.description()
    }

    fn start(&mut self, _hub: &SensorHub) -> Result<Command, RobotError> {
        Err(RobotError("no power".into()))
    }

    fn apply(&mut self, now: MonoTime, command: &Command) -> Result<Applied, RobotError> {
        self.0.apply(now, command)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_does_not_start_leaves_the_port_to_the_next_try() -> Result<()> {
    let data = TempDir::new()?;
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let settings = Settings { port, ..local(data.path()) };
    let robot = || SimRobot::new(SimOptions { camera_size: (320, 240), ..SimOptions::default() });
    let refused = Waldo::start(settings.clone(), Box::new(Broken(robot()))).await.err().context("an error")?;
    assert_eq!(refused.to_string(), "the robot does not start: no power");
    let waldo = Waldo::start(settings, Box::new(robot())).await?;
    assert_eq!(waldo.server().addr().map(|addr| addr.port()), Some(port));
    waldo.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_start_failed_starts_once_the_reason_is_gone() -> Result<()> {
    let data = TempDir::new()?;
    let holder = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let server = VrServer::new(Settings { port: holder.local_addr()?.port(), ..local(data.path()) });
    assert!(matches!(server.start().await, Err(StartError::Bind(_))));
    assert_eq!((server.addr(), server.connected()), (None, false));
    drop(holder);
    server.start().await?;
    let mut client = connect(&server).await?;
    client.receive_all().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_of_motion_out_of_range_is_an_error_that_says_so() -> Result<()> {
    let data = TempDir::new()?;
    for pos in [0.0, 2.1, f64::NAN] {
        let motion = MotionScale { pos, rot: 1.0 };
        let error = VrServer::new(Settings { motion, ..local(data.path()) }).start().await.err().context("an error")?;
        assert!(error.to_string().contains("from 0.1 to 2"), "{error}");
    }
    Ok(())
}
