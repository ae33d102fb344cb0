//! A robot that dies without a word, and comes back.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Duration, sleep, timeout};
use waldo_tests::client::{Client, Operator, PATIENCE};
use waldo_tests::peer::Peer;
use waldo_tests::process::RobotProcess;

/// Connects, again and again if need be, as a page does.
async fn connected(robot: &RobotProcess) -> Result<Client> {
    let start = Instant::now();
    loop {
        match Client::connect(robot.addr, &robot.tls, "/ws").await {
            Ok(client) => return Ok(client),
            Err(error) if start.elapsed() > PATIENCE => return Err(error),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Squeezes until the robot follows, which it does not before it has started.
async fn engage(client: &mut Client, operator: &mut Operator) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        client.send_frame(operator.squeeze(false).capture()).await?;
        client.send_frame(operator.squeeze(true).capture()).await?;
        if let Ok(told) = timeout(Duration::from_millis(200), client.receive_type("tracking")).await
            && told?["value"] == true
        {
            return Ok(());
        }
    }
    anyhow::bail!("not engaged in time")
}

async fn sees_a_picture(client: &mut Client) -> Result<()> {
    let mut peer = Peer::video(client, IpAddr::V4(Ipv4Addr::LOCALHOST)).await?;
    let mut camera = peer.camera().await?;
    timeout(PATIENCE, camera.picture()).await??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_and_a_restart_a_client_comes_back_disengaged_and_sees_again() -> Result<()> {
    let data = TempDir::new()?;
    let program = Path::new(env!("CARGO_BIN_EXE_robot"));
    let mut robot = RobotProcess::start(program, data.path(), 0)?;
    let mut client = connected(&robot).await?;
    let mut operator = Operator::default();
    engage(&mut client, &mut operator).await?;
    sees_a_picture(&mut client).await?;

    robot.kill()?;
    assert!(client.receive_type("never").await.is_err(), "the system closes its sockets");
    let robot = RobotProcess::start(program, data.path(), robot.addr.port())?;
    let mut client = connected(&robot).await?;
    client
        .send(
            json!({"type": "hello", "v": 1, "client": "test/1", "stream": "s", "role": "driver", "caps": ["snapshot"]})
                .to_string(),
        )
        .await?;
    // Grips that are still held engage nothing.
    for _ in 0..5 {
        client.send_frame(operator.capture()).await?;
    }
    let snapshot = client.receive_type("snapshot").await?;
    assert_eq!(snapshot["value"]["tracking"], false);
    for message in client.receive_all().await? {
        assert!(message["type"] != "tracking" || message["value"] == false, "{message}");
    }
    engage(&mut client, &mut operator).await?;
    sees_a_picture(&mut client).await?;
    robot.stop()
}
