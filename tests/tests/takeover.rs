//! A policy drives the simulated robot over a real socket, a person takes over with a headset, and the policy goes on.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use glam::DVec3;
use tokio_tungstenite::tungstenite::Message;
use waldo_policy_client::Event;
use waldo_protocol::policy::{ActionHeader, Capabilities, Driver, ErrorCode, LeaseReason, SimpleRequest};
use waldo_server::config::{PolicySettings, Settings};
use waldo_server::control::Resume;
use waldo_tests::driving::{Headset, Policy, bent, elbow, off, reported, stands, told};
use waldo_tests::robot::{Robotics, with_policies};

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

/// A policy that has led the arms where it wants them, and a person who has taken over and moved them away.
async fn taken_over(resume: Resume, extensions: Capabilities, blind: bool) -> Result<(Robotics, Policy, Headset)> {
    let settings = |data: &_| {
        let all = with_policies(data);
        Settings { policy: PolicySettings { resume, ..all.policy }, ..all }
    };
    let robot = Robotics::start(settings).await?;
    let headset = Headset::put_on(&robot).await?;
    let client = Policy::connect(&robot, extensions).await?;
    let policy = Policy::start(client, -0.3, blind).await?;
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
    let policy = Policy::start(client, -0.3, false).await?;
    robot.until("the policy leads the arms", |robot| off(robot, -0.3) < 0.01).await?;
    assert_eq!(policy.driver().await?, Driver::Policy);

    headset.toggle(&robot, true).await?;
    let told = told(&mut events, |event| match event {
        Event::Lease(event) if event.reason == LeaseReason::Operator => Some(event),
        _ => None,
    });
    let told = told.await?;
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
    headset.toggle(&robot, false).await?;
    drop(headset);
    let told = told(&mut events, |event| reported(event).filter(|reply| reply.code == ErrorCode::Stale)).await?;
    assert!(told.message.contains("older than the last hold, takeover or reset"), "{}", told.message);
    stands(&robot).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_actions_of_an_old_client_count_by_their_arrival() -> Result<()> {
    let (robot, _policy, headset) = taken_over(Resume::Newer, Capabilities::NONE, true).await?;
    headset.toggle(&robot, false).await?;
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
    headset.toggle(&robot, false).await?;
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
    headset.toggle(&robot, false).await?;
    drop(headset);
    told(&mut events, |event| reported(event).filter(|reply| reply.message.contains("reset first"))).await?;
    stands(&robot).await?;
    policy.client.reset().await?;
    robot.until("the policy leads the arms again", |robot| off(robot, -0.3) < 0.01).await
}
