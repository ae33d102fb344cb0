//! What `waldo serve` makes of policies: what they are told, what holds them, and how it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::time::sleep;
use waldo_policy_client::{Action, Chunk, Due, Event, Options, PolicyClient};
use waldo_protocol::policy::{Capabilities, ErrorCode};
use waldo_server::config::{PolicySettings, Settings};
use waldo_server::robot::ActionLayout;
use waldo_tests::client::{Client, PATIENCE};
use waldo_tests::driving::{Policy, bent, description, off, reported, told, viewer};
use waldo_tests::robot::{Robotics, with_policies};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_holds_the_policy_and_refuses_its_resets_until_it_is_cleared() -> Result<()> {
    let robot = Robotics::start(with_policies).await?;
    let mut viewer = viewer(&robot).await?;
    let client = Policy::connect(&robot, Capabilities::all()).await?;
    let policy = Policy::start(client, -0.3, false).await?;
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
    let policy = Policy::start(client.clone(), -0.3, false).await?;
    robot.until("the policy leads the arms", |robot| off(robot, -0.3) < 0.01).await?;
    drop(policy);
    let hold = loop {
        let hold = viewer.receive_type("hold").await?;
        if hold["value"]["reason"] == "link_stale" {
            break hold;
        }
    };
    assert!(hold["value"]["text"].as_str().is_some_and(|text| text.contains("policy")), "{hold}");
    told(&mut events, |event| reported(event).filter(|reply| reply.code == ErrorCode::Stale)).await?;
    while !viewer.receive_type("lease").await?["value"]["driver"].is_null() {}
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_sends_while_it_is_reset_belongs_to_the_episode_before() -> Result<()> {
    let robot = Robotics::start(with_policies).await?;
    let client = Policy::connect(&robot, Capabilities::all()).await?;
    let policy = Policy::start(client.clone(), -0.3, false).await?;
    robot.until("the policy leads the arms", |robot| off(robot, -0.3) < 0.01).await?;
    drop(policy);
    let mut events = client.events();
    let resetting = tokio::spawn({
        let client = client.clone();
        async move { client.reset().await }
    });
    // As a policy does that acts at its own rate, whatever becomes of its reset.
    while !resetting.is_finished() {
        let seen = client.observation().await?;
        client.send_action(Action::from(bent(-0.3)).computed_from(&seen)).await?;
        sleep(Duration::from_millis(20)).await;
    }
    resetting.await??;
    let told = told(&mut events, |event| reported(event).filter(|reply| reply.message.contains("reset"))).await?;
    assert_eq!(told.code, ErrorCode::Stale);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_whose_next_action_waits_to_be_due_is_not_silent() -> Result<()> {
    let robot = Robotics::start(with_policies).await?;
    let mut viewer = viewer(&robot).await?;
    let client = Policy::connect(&robot, Capabilities::all()).await?;
    client.reset().await?;
    let rows = [-0.1, -0.2, -0.3].map(bent).concat();
    let rows = ndarray::Array2::from_shape_vec((3, 16), rows)?;
    // Longer than a policy may be silent.
    let due = Due::Every { start: Instant::now() + Duration::from_millis(100), step: Duration::from_millis(900) };
    client.put_chunk(Chunk::new(rows.view(), due)).await?;
    robot.until("all rows were executed", |robot| off(robot, -0.3) < 0.01).await?;
    let told = viewer.receive_all().await?;
    let silent = |message: &Value| message["value"]["reason"] == "link_stale";
    let holds: Vec<_> = told.iter().filter(|message| message["type"] == "hold" && silent(message)).collect();
    assert!(holds.is_empty(), "{holds:?}");
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
async fn encryption_the_largest_message_and_the_lease_are_settings_of_the_program() -> Result<()> {
    let lease = Duration::from_millis(200);
    let robot = Robotics::start(|data| {
        let settings = with_policies(data);
        let policy = PolicySettings { tls: true, max_message: 1 << 20, lease, ..settings.policy };
        Settings { policy, ..settings }
    })
    .await?;
    let policies = robot.waldo.policies().context("policies are served")?.clone();
    let addr = policies.addr().context("it listens")?;
    // With the certificate of the page, which is all that this client trusts.
    let mut socket = Client::connect(addr, &robot.tls, "/").await?;
    socket.send_binary(vec![0; (1 << 20) + 1]).await?;
    let close = socket.closed().await?.context("no reason")?;
    assert_eq!(u16::from(close.code), 1009);

    let trusted = Some(Arc::clone(robot.tls.config()));
    let options = Options { tls: trusted, connect_timeout: Some(PATIENCE), ..Options::default() };
    let client = PolicyClient::connect(&format!("wss://localhost:{}", addr.port()), options).await?;
    client.send_action(Action::from(bent(0.0))).await?;
    robot.until("it controls", |_| policies.holder().is_some()).await?;
    let begin = Instant::now();
    robot.until("it is silent for too long", |_| policies.holder().is_none()).await?;
    assert!(begin.elapsed() < 10 * lease, "{:?}", begin.elapsed());
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
