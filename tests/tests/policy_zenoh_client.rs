//! Our client over Zenoh: with our robots, and with a server as the original's are.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::time::timeout;
use waldo_policy_client::{Capabilities, Error, Options, PolicyClient};
use waldo_server::policy::ZenohConfig;
use waldo_server::sensors::{CameraConfig, SensorHub};
use waldo_tests::plain_zenoh::{Obedient, OriginalServer, PATIENCE, free_locator, open, router, until};
use zenoh::Wait;

/// What blocks runs on a thread of its own.
fn elsewhere<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join().expect("no panic"))
}

async fn connect(uri: &str) -> Result<PolicyClient> {
    let options = Options { connect_timeout: Some(PATIENCE), ..Options::default() };
    let client = PolicyClient::connect(uri, options).await?;
    timeout(PATIENCE, client.ready()).await??;
    Ok(client)
}

fn listening(locator: &str) -> ZenohConfig {
    ZenohConfig { listen: vec![locator.to_owned()], ..ZenohConfig::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_runs_with_our_robot_with_extensions() -> Result<()> {
    let hub = SensorHub::default();
    hub.declare_camera(CameraConfig::new("wrist", 480, 640))?;
    hub.update_image("wrist", &vec![9u8; 480 * 640 * 3])?;
    let (robot, locator) = (Obedient::new(hub), free_locator()?);
    let _server = robot.serve("arm-1", listening(&locator))?;
    let client = connect(&locator).await?;
    ensure!(client.extensions() != Capabilities::NONE, "it speaks on its own keys");
    let (first, _) = client.reset().await?;
    for observation in [first, client.observation().await?] {
        let image = observation.camera("wrist")?.image()?;
        ensure!(image.shape() == [480, 640, 3] && image.iter().all(|value| *value == 9));
    }
    client.send_action([0.25f32, 0.5]).await?;
    elsewhere(|| until("the action", || robot.actions() == [[0.25, 0.5]]))?;
    client.start_obs_stream(100.0)?;
    let mut version = 0;
    for _ in 0..20 {
        version = client.newer_obs(version, PATIENCE).await?.version;
    }
    client.close().await;
    ensure!(robot.resets() == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_runs_with_a_server_of_the_original() -> Result<()> {
    let locator = free_locator()?;
    let server = elsewhere(|| OriginalServer::serve(open(&[&locator], &[], false)?))?;
    let client = connect(&locator).await?;
    ensure!(client.extensions() == Capabilities::NONE);
    let (first, _) = client.reset().await?;
    ensure!(first.proprio("joint")?.to_vec() == [0.5]);
    for n in 0..20u8 {
        ensure!(client.observation().await?.proprio("joint")?.to_vec() == [0.5]);
        client.send_action([f32::from(n)]).await?;
    }
    let all: Vec<_> = (0..20u8).map(|n| vec![f32::from(n)]).collect();
    elsewhere(|| until("all actions", || server.actions() == all))
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_finds_a_restarted_robot_by_itself() -> Result<()> {
    let (robot, locator) = (Obedient::default(), free_locator()?);
    let server = robot.serve("arm-1", listening(&locator))?;
    let client = connect(&locator).await?;
    client.start_obs_stream(50.0)?;
    client.newer_obs(0, PATIENCE).await?;
    server.stop();
    let stopped = Instant::now();
    timeout(PATIENCE, server.stopped()).await?;
    while !client.latest_obs().context("there was one")?.stale {
        // Ten times what it may take.
        ensure!(stopped.elapsed() < Duration::from_secs(2), "still called fresh");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = client.latest_obs().context("there was one")?.version;
    let _again = robot.serve("arm-1", listening(&locator))?;
    let latest = client.newer_obs(before, PATIENCE).await?;
    ensure!(!latest.stale && client.is_connected());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_robots_are_told_apart_by_their_ids() -> Result<()> {
    let robots = [(); 2].map(|()| Obedient::default());
    let locators = [free_locator()?, free_locator()?];
    let servers = [0, 1].map(|n| robots[n].serve(["left", "right"][n], listening(&locators[n])).unwrap());
    // A router knows both.
    let middle = free_locator()?;
    let router = elsewhere(|| router(&middle, &[&locators[0], &locators[1]]))?;
    let options = Options { connect_timeout: Some(PATIENCE), ..Options::default() };
    let refused = PolicyClient::connect(&middle, options).await.err().context("it chose one")?;
    let Error::Refused { reason, .. } = &refused else { anyhow::bail!("{refused}") };
    ensure!(reason.contains("left, right"), "{reason}");
    let client = connect(&format!("{middle}?robot=right")).await?;
    client.send_action([1.0f32]).await?;
    elsewhere(|| until("the action", || robots[1].actions() == [[1.0]]))?;
    ensure!(robots[0].is_still());
    client.close().await;
    // They do not see each other; whoever is the router's client sees both.
    for server in &servers {
        elsewhere(|| until("told", || server.zenoh_conflict().is_some_and(|why| why.contains("a router"))))?;
    }
    elsewhere(|| router.close().wait().map_err(anyhow::Error::msg))
}
