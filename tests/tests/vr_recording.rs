//! Episodes of a headset whose socket breaks or whose operator leaves, over real sockets.

use anyhow::Result;
use serde_json::{Value, json};
use waldo_protocol::vr::{Episode, VrState};
use waldo_server::vr::EpisodeEvent;
use waldo_tests::client::{Client, Operator};
use waldo_tests::robot::Robotics;

const SAVED: EpisodeEvent = EpisodeEvent::Decided(Episode::Save { review: false });

/// A socket of the page with this id, for which the snapshot has come.
async fn page(robot: &Robotics, stream: &str) -> Result<(Client, Value)> {
    let mut client = robot.client().await?;
    let caps = ["snapshot", "hold", "counters"];
    let hello = json!({"type": "hello", "v": 1, "client": "test/1", "stream": stream, "role": "driver", "caps": caps});
    client.send(hello.to_string()).await?;
    let snapshot = client.receive_type("snapshot").await?["value"].clone();
    Ok((client, snapshot))
}

async fn send(client: &mut Client, operator: &mut Operator, state: VrState) -> Result<()> {
    operator.frame.state = state;
    client.send_frame(operator.capture()).await
}

/// Drives, and starts to record.
async fn record(client: &mut Client, operator: &mut Operator) -> Result<()> {
    operator.squeeze(false);
    send(client, operator, VrState::DataCollection).await?;
    operator.squeeze(true);
    send(client, operator, VrState::DataCollection).await?;
    while client.receive_type("tracking").await?["value"] != true {}
    operator.squeeze(false);
    send(client, operator, VrState::Recording).await
}

/// Waits for what happens to episodes next, and that it is this.
async fn told(robot: &Robotics, wanted: &[EpisodeEvent]) -> Result<()> {
    let mut events = Vec::new();
    robot
        .until("what happened to an episode", |robot| {
            events.extend(robot.waldo.server().take_episode_events());
            events.len() >= wanted.len()
        })
        .await?;
    assert_eq!(events, wanted);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_survives_a_socket_that_is_cut_while_driving() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let (mut client, _) = page(&robot, "page").await?;
    let mut operator = Operator::default();
    record(&mut client, &mut operator).await?;
    told(&robot, &[EpisodeEvent::Decided(Episode::Start)]).await?;
    drop(client);
    told(&robot, &[EpisodeEvent::Interrupted]).await?;
    let (mut client, _) = page(&robot, "page").await?;
    send(&mut client, &mut operator, VrState::Recording).await?;
    told(&robot, &[EpisodeEvent::Resumed]).await?;
    send(&mut client, &mut operator, VrState::DataCollection).await?;
    told(&robot, &[SAVED]).await?;
    robot.waldo.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_on_with_an_episode_after_another_one_was_started() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let (mut client, _) = page(&robot, "page").await?;
    let mut operator = Operator::default();
    record(&mut client, &mut operator).await?;
    drop(client);
    told(&robot, &[EpisodeEvent::Decided(Episode::Start), EpisodeEvent::Interrupted]).await?;
    let (mut other, _) = page(&robot, "other").await?;
    let mut second = Operator::default();
    send(&mut other, &mut second, VrState::DataCollection).await?;
    send(&mut other, &mut second, VrState::Recording).await?;
    told(&robot, &[EpisodeEvent::Decided(Episode::Start)]).await?;
    let (mut client, _) = page(&robot, "page").await?;
    send(&mut client, &mut operator, VrState::Recording).await?;
    send(&mut client, &mut operator, VrState::DataCollection).await?;
    client.receive_all().await?;
    send(&mut other, &mut second, VrState::DataCollection).await?;
    told(&robot, &[SAVED]).await?;
    robot.waldo.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_while_recording_is_told_that_the_episode_waits_also_after_a_reconnect() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let (mut client, _) = page(&robot, "page").await?;
    let mut operator = Operator::default();
    record(&mut client, &mut operator).await?;
    operator.frame.reset = true;
    send(&mut client, &mut operator, VrState::Recording).await?;
    told(&robot, &[EpisodeEvent::Decided(Episode::Start), EpisodeEvent::Interrupted]).await?;
    // While the arms go to rest, that matters more.
    while client.receive_type("hold").await?["value"]["reason"] != "resetting" {}
    let word = client.receive_type("hold").await?["value"].clone();
    assert_eq!(word["reason"], "interrupted", "{word}");
    assert_eq!(word["severity"], "info");
    assert!(word["text"].as_str().is_some_and(|text| text.contains("recording is interrupted")), "{word}");
    drop(client);
    robot.until("the socket to be closed", |robot| !robot.waldo.server().connected()).await?;
    let (mut client, snapshot) = page(&robot, "page").await?;
    assert_eq!(snapshot["hold"]["reason"], "interrupted", "{snapshot}");
    operator.frame.reset = false;
    send(&mut client, &mut operator, VrState::Recording).await?;
    told(&robot, &[EpisodeEvent::Resumed]).await?;
    while !client.receive_type("hold").await?["value"].is_null() {}
    robot.waldo.stop().await;
    Ok(())
}
