//! Our client over Zenoh: with our robots, and with a server as the original's are.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use waldo_policy_client::{Capabilities, Error, Options, PolicyClient};
use waldo_server::policy::{ZenohConfig, ZenohTls};
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
async fn long_frames_come_through_shared_memory_unless_the_client_wants_none() -> Result<()> {
    let hub = SensorHub::default();
    hub.declare_camera(CameraConfig::new("wrist", 720, 1280))?;
    let (robot, locator) = (Obedient::new(hub.clone()), free_locator()?);
    let server = robot.serve("arm-1", listening(&locator))?;
    for shared_memory in [true, false] {
        let options = Options { connect_timeout: Some(PATIENCE), shared_memory, ..Options::default() };
        let client = PolicyClient::connect(&locator, options).await?;
        let before = server.counts().shared;
        let mut held = Vec::new();
        for n in 0..20u8 {
            hub.update_image("wrist", &vec![n; 720 * 1280 * 3])?;
            held.push(client.observation().await?);
        }
        // What a policy keeps takes nothing from what comes later, nor is it written over.
        for (n, observation) in held.iter().enumerate() {
            let image = observation.camera("wrist")?.image()?;
            ensure!(image.shape() == [720, 1280, 3] && image.iter().all(|value| usize::from(*value) == n), "{n}");
        }
        let shared = server.counts().shared - before;
        ensure!(shared == if shared_memory { 20 } else { 0 }, "{shared}");
        client.close().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_our_client_speaks_to_a_robot_whose_certificate_it_trusts_and_to_no_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let made = || rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let (own, other) = (made()?, made()?);
    let (certfile, keyfile) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certfile, own.cert.pem())?;
    std::fs::write(&keyfile, own.signing_key.serialize_pem())?;
    let (robot, locator) = (Obedient::new(SensorHub::default()), free_locator()?.replace("tcp/", "tls/"));
    let _server =
        robot.serve("arm-1", ZenohConfig { tls: Some(ZenohTls { certfile, keyfile }), ..listening(&locator) })?;

    let trusting =
        |pem: String, limit| Options { zenoh_ca: Some(pem), connect_timeout: Some(limit), ..Options::default() };
    let client = PolicyClient::connect(&locator, trusting(own.cert.pem(), PATIENCE)).await?;
    client.reset().await?;
    client.send_action([0.25f32, 0.5]).await?;
    elsewhere(|| until("the action", || robot.actions() == [[0.25, 0.5]]))?;
    client.close().await;

    let refused = PolicyClient::connect(&locator, trusting(other.cert.pem(), Duration::from_secs(12))).await;
    let refused = refused.err().context("it trusts the wrong certificate")?.to_string();
    ensure!(refused.ends_with("with a certificate that is trusted"), "{refused}");
    let blind = PolicyClient::connect(&locator, Options::default()).await.err().context("it trusts anybody")?;
    ensure!(blind.to_string().contains("zenoh_ca"), "{blind}");
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

/// Passes bytes on to a robot until it is aborted. Then all connections break off, as when the robot's process is killed.
fn relay(listener: TcpListener, to: String) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let to = to.clone();
            connections.spawn(async move {
                let mut far = TcpStream::connect(to).await?;
                copy_bidirectional(&mut near, &mut far).await
            });
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_hangs_when_the_robot_breaks_off() -> Result<()> {
    let mut robot = Obedient::default();
    robot.reset_takes = Duration::from_secs(3);
    let behind = free_locator()?;
    let _server = robot.serve("arm-1", listening(&behind))?;
    let behind = behind.trim_start_matches("tcp/").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let front = listener.local_addr()?;
    let running = relay(listener, behind.clone());
    let client = connect(&format!("tcp/{front}")).await?;
    client.start_obs_stream(50.0)?;
    client.newer_obs(0, PATIENCE).await?;
    let reset = tokio::spawn({
        let client = client.clone();
        async move { client.reset().await }
    });
    // It is under way.
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.abort();
    let cut = Instant::now();
    let failed = timeout(PATIENCE, reset).await??.err().context("the reset went through")?;
    ensure!(matches!(failed, Error::Lost(_)) && cut.elapsed() < Duration::from_secs(2), "{failed}");
    ensure!(matches!(client.observation().await, Err(Error::NotConnected { .. })));
    while !client.latest_obs().context("there was one")?.stale {
        ensure!(cut.elapsed() < Duration::from_secs(2), "still called fresh");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = client.latest_obs().context("there was one")?.version;
    let running = relay(TcpListener::bind(front).await?, behind);
    let latest = client.newer_obs(before, PATIENCE).await?;
    ensure!(!latest.stale && client.is_connected());
    client.close().await;
    running.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_does_not_go_over_to_another_robot() -> Result<()> {
    let middle = free_locator()?;
    let router = elsewhere(|| router(&middle, &[]))?;
    let robots = [(); 2].map(|()| Obedient::default());
    let serve = |n: usize| {
        let zenoh = ZenohConfig { connect: vec![middle.clone()], ..listening(&free_locator()?) };
        robots[n].serve(["left", "right"][n], zenoh)
    };
    let left = serve(0)?;
    let client = connect(&middle).await?;
    client.send_action([1.0f32]).await?;
    elsewhere(|| until("the action", || robots[0].actions() == [[1.0]]))?;
    let _right = serve(1)?;
    let other = connect(&format!("{middle}?robot=right")).await?;
    left.stop();
    timeout(PATIENCE, left.stopped()).await?;
    elsewhere(|| until("the loss", || !client.is_connected()))?;
    // Time for several tries.
    for _ in 0..20 {
        ensure!(client.send_action([2.0f32]).await.is_err());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let _left = serve(0)?;
    timeout(PATIENCE, client.ready()).await??;
    client.send_action([3.0f32]).await?;
    elsewhere(|| until("the action", || robots[0].actions() == [[1.0], [3.0]]))?;
    ensure!(robots[1].is_still() && other.is_connected());
    client.close().await;
    other.close().await;
    elsewhere(|| router.close().wait().map_err(anyhow::Error::msg))
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
