//! The policy client and the policy service, both Waldo's, over a real socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ndarray::array;
use tokio::time::sleep;
use waldo_policy_client::{
    Capabilities, Chunk, Due, Error, ErrorCode, Event, Generation, Options, PolicyClient, StreamOptions,
};
use waldo_server::policy::{PolicyAccess, PolicyConfig, PolicyServer};
use waldo_server::sensors::{CameraConfig, ProprioConfig, SensorHub};
use waldo_tests::plain_zenoh::{Obedient, PATIENCE};

const SIZE: [usize; 2] = [48, 64];

fn hub() -> Result<SensorHub> {
    let hub = SensorHub::default();
    let mut wrist = CameraConfig::new("wrist", 48, 64);
    wrist.has_depth = true;
    hub.declare_camera(wrist)?;
    hub.declare_proprio(ProprioConfig::new("joints", 3))?;
    show(&hub, 0)?;
    Ok(hub)
}

/// A picture whose every pixel is `n`, depth alike, joints too.
fn show(hub: &SensorHub, n: u8) -> Result<()> {
    let [height, width] = SIZE;
    hub.update_image("wrist", &vec![n; height * width * 3])?;
    hub.update_depth("wrist", &vec![f32::from(n); height * width])?;
    hub.update_proprio("joints", &[f32::from(n); 3])?;
    Ok(())
}

fn config() -> PolicyConfig {
    PolicyConfig { websocket: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))), ..PolicyConfig::default() }
}

fn serve(robot: &Obedient, hub: &SensorHub, config: PolicyConfig) -> Result<PolicyServer> {
    let server = PolicyServer::new(config, hub.clone(), robot.clone());
    server.start()?;
    Ok(server)
}

fn uri(server: &PolicyServer) -> Result<String> {
    Ok(format!("ws://{}", server.addr().context("over WebSockets")?))
}

fn options() -> Options {
    Options { connect_timeout: Some(PATIENCE), ..Options::default() }
}

async fn until(what: &str, mut is: impl FnMut() -> bool) -> Result<()> {
    let begin = Instant::now();
    while !is() {
        ensure!(begin.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sensors_see_is_what_the_policy_gets() -> Result<()> {
    let hub = hub()?;
    let robot = Obedient::new(hub.clone());
    let server = serve(&robot, &hub, config())?;
    for extensions in [Capabilities::all(), Capabilities::NONE] {
        let client = PolicyClient::connect(&uri(&server)?, Options { extensions, ..options() }).await?;
        for n in [7, 200] {
            show(&hub, n)?;
            let observation = client.observation().await?;
            let camera = observation.camera("wrist")?;
            ensure!(camera.image()?.dim() == (SIZE[0], SIZE[1], 3) && camera.image()?.iter().all(|p| *p == n));
            let depth = camera.depth()?.context("it has depth")?;
            ensure!(depth.dim() == (SIZE[0], SIZE[1]) && depth.iter().all(|d| *d == f32::from(n)));
            ensure!(observation.proprio("joints")?.to_vec() == [f32::from(n); 3]);
            ensure!(
                camera.timestamp() > 0.0 && camera.intrinsics()[[2, 2]] == 1.0 && camera.extrinsics()[[3, 3]] == 1.0
            );
        }
        let expected = if extensions == Capabilities::NONE { Generation::Decoupled } else { Generation::Extended };
        ensure!(client.generation().await? == expected);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_shows_each_new_picture_pushed_or_pulled() -> Result<()> {
    let hub = hub()?;
    let robot = Obedient::new(hub.clone());
    let server = serve(&robot, &hub, config())?;
    for push in [true, false] {
        let client = PolicyClient::connect(&uri(&server)?, options()).await?;
        let mut stream = StreamOptions::hz(100.0);
        stream.push = push;
        client.start_obs_stream_with(stream)?;
        for n in 1..20 {
            show(&hub, n)?;
            let mut version = 0;
            loop {
                let latest = client.newer_obs(version, PATIENCE).await?;
                version = latest.version;
                let image = latest.observation.camera("wrist")?;
                if image.image()?.iter().all(|p| *p == n) {
                    ensure!(!latest.stale && latest.age < PATIENCE);
                    break;
                }
            }
        }
        client.stop_obs_stream();
        client.metadata().await?;
        client.reset().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_steps_and_chunks_reach_the_robot_in_order() -> Result<()> {
    let hub = hub()?;
    let robot = Obedient::new(hub.clone());
    let server = serve(&robot, &hub, config())?;
    for extensions in [Capabilities::all(), Capabilities::NONE] {
        let before = robot.actions().len();
        let client = PolicyClient::connect(&uri(&server)?, Options { extensions, ..options() }).await?;
        client.reset().await?;
        client.start_action_dispatch(100.0)?;
        (0..10_u8).try_for_each(|n| client.put_action([f32::from(n)]))?;
        until("ten actions", || robot.actions().len() == before + 10).await?;
        client.send_action([10.0]).await?;
        let start = Instant::now() + Duration::from_millis(200);
        let rows = array![[11.0_f32], [12.0], [13.0]];
        let queued =
            client.put_chunk(Chunk::new(rows.view(), Due::Every { start, step: Duration::from_millis(20) })).await?;
        ensure!(queued.queued == 3 && queued.dropped_late == 0, "{queued:?}");
        until("the chunk", || robot.actions().len() == before + 14).await?;
        ensure!(Instant::now() + Duration::from_millis(50) > start, "rows were applied before they were due");
        if extensions != Capabilities::NONE {
            ensure!(client.step([14.0]).await?.outcome.reward == 0.0);
        } else {
            ensure!(matches!(client.step([14.0]).await, Err(Error::CannotStep)));
            client.send_action([14.0]).await?;
        }
        until("the last", || robot.actions().len() == before + 15).await?;
        let expected: Vec<Vec<f32>> = (0..15_u8).map(|n| vec![f32::from(n)]).collect();
        ensure!(robot.actions()[before..] == expected, "{:?}", &robot.actions()[before..]);
        client.close().await;
        until("the client's end", || server.clients().is_empty()).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_control_is_told_so() -> Result<()> {
    let hub = hub()?;
    let robot = Obedient::new(hub.clone());
    let server = serve(&robot, &hub, config())?;
    let holder = PolicyClient::connect(&uri(&server)?, options()).await?;
    let other = PolicyClient::connect(&uri(&server)?, options()).await?;
    let old = PolicyClient::connect(&uri(&server)?, Options { extensions: Capabilities::NONE, ..options() }).await?;
    let lease = holder.acquire_lease(Duration::from_secs(60)).await?;
    ensure!(lease.granted && lease.holder.is_some(), "{lease:?}");
    ensure!(!other.acquire_lease(Duration::from_secs(1)).await?.granted);
    let mut events = other.events();
    other.send_action([1.0]).await?;
    let refused = async {
        loop {
            if let Event::Server(reply) = events.recv().await? {
                return Ok::<_, anyhow::Error>(reply);
            }
        }
    };
    let reply = tokio::time::timeout(PATIENCE, refused).await??;
    ensure!(reply.code == ErrorCode::NotHolder, "{reply:?}");
    let error = other.reset().await.err().context("it does not control")?;
    ensure!(matches!(&error, Error::Server { reply, .. } if reply.code == ErrorCode::NotHolder), "{error}");
    // One of the original wire can only be told by the end of its connection.
    let error = old.reset().await.err().context("it does not control")?;
    ensure!(matches!(error, Error::Lost(_)), "{error}");
    for observer in [&other, &holder] {
        observer.observation().await?;
    }
    holder.send_action([2.0]).await?;
    until("the holder's", || robot.actions() == [[2.0]]).await?;
    holder.release_lease().await?;
    ensure!(other.acquire_lease(Duration::from_secs(1)).await?.granted);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_are_related_to_that_of_the_camera_stamps() -> Result<()> {
    let hub = hub()?;
    let server = serve(&Obedient::new(hub.clone()), &hub, config())?;
    let client = PolicyClient::connect(&uri(&server)?, options()).await?;
    until("the clock", || client.clock().is_some()).await?;
    let before = client.now();
    show(&hub, 1)?;
    let after = client.now();
    let stamp = client.observation().await?.camera("wrist")?.timestamp();
    let taken = client.clock().context("it was measured")?.to_client(stamp);
    // Both clocks are this computer's.
    let error = client.clock().context("it was measured")?.round_trip;
    ensure!(taken > before - error - 1e-3 && taken < after + error + 1e-3, "{before} {taken} {after}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_restarts_is_found_again() -> Result<()> {
    let hub = hub()?;
    let robot = Obedient::new(hub.clone());
    let server = serve(&robot, &hub, config())?;
    let address = server.addr().context("over WebSockets")?;
    let client = PolicyClient::connect(&uri(&server)?, options()).await?;
    client.start_obs_stream(50.0)?;
    client.newer_obs(3, PATIENCE).await?;
    server.stop();
    drop(server);
    until("staleness", || client.latest_obs().is_some_and(|latest| latest.stale)).await?;
    ensure!(matches!(client.reset().await, Err(Error::NotConnected { .. })));
    let again = PolicyConfig { websocket: Some(address), ..config() };
    let _server = serve(&robot, &hub, again)?;
    tokio::time::timeout(PATIENCE, client.ready()).await??;
    let version = client.latest_obs().context("it had one")?.version;
    ensure!(!client.newer_obs(version + 3, PATIENCE).await?.stale);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_the_socket() -> Result<()> {
    let hub = hub()?;
    let access = PolicyAccess::Token("secret".to_owned());
    let server = serve(&Obedient::new(hub.clone()), &hub, PolicyConfig { access, ..config() })?;
    let error = PolicyClient::connect(&uri(&server)?, options()).await.err().context("without a token")?;
    ensure!(matches!(error, Error::Refused { .. }), "{error}");
    let client = PolicyClient::connect(&format!("{}/?token=secret", uri(&server)?), options()).await?;
    client.observation().await?;
    Ok(())
}
