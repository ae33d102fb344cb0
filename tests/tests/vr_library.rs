//! The server as a library: with an arm consumer of the user's own, and with a robot that takes its time.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::{Context, Result};
use glam::DVec3;
use tempfile::TempDir;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::IceServer;
use waldo_server::config::Settings;
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::robot::{Applied, Command, Description, Robot, RobotError};
use waldo_server::sensors::SensorHub;
use waldo_server::serve::Waldo;
use waldo_server::tls;
use waldo_server::vr::VrServer;
use waldo_tests::client::{Client, Operator, trusting};
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
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
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
