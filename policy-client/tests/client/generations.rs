//! Servers of every generation.

use std::time::Duration;

use waldo_policy_client::{Capabilities, Error, Generation};
use waldo_protocol::policy::ClientMessage;

use crate::server::{Kind, eventually};
use crate::{connect, connect_with, plain};

#[tokio::test]
async fn the_decoupled_generation_is_asked_for_observations_and_sent_actions() {
    let (server, client) = connect(Kind::Decoupled).await;
    assert_eq!(client.extensions(), Capabilities::NONE);
    client.reset().await.unwrap();
    assert_eq!(client.generation().await.unwrap(), Generation::Decoupled);
    client.start_obs_stream(100.0).unwrap();
    client.start_action_dispatch(100.0).unwrap();
    client.put_action([0.0; 7]).unwrap();
    eventually("the action", || server.count("apply_action") == 1).await;
    eventually("the stream", || client.latest_obs().unwrap().version > 10).await;
    assert!(matches!(client.step([0.0; 7]).await, Err(Error::CannotStep)));
    assert!(matches!(client.server_stats().await, Err(Error::NotNegotiated(_))));
    let kinds = server.kinds();
    assert!(!kinds.contains(&"action") && !kinds.contains(&"unknown"), "{kinds:?}");
    // Nothing of ours but the offer in the first message.
    let with_ids = server.get(|state| state.seen.iter().filter(|(message, ..)| message.id().is_some()).count());
    assert_eq!(with_ids, 0);
}

#[tokio::test]
async fn a_server_in_cpp_is_known_by_its_reset_and_driven_by_steps() {
    let (server, client) = connect(Kind::Cpp).await;
    let (first, info) = client.reset().await.unwrap();
    assert_eq!((first.timestamp(), info.len()), (0.05, 0));
    assert_eq!(first.camera("wrist_cam").unwrap().intrinsics()[[0, 0]], 600.0);
    let before = server.kinds().len();
    assert_eq!(client.generation().await.unwrap(), Generation::Coupled);
    let step = client.step([0.0; 7]).await.unwrap();
    assert_eq!((step.outcome.reward, step.outcome.truncated), (0.5, true));
    assert_eq!(step.info.get("k").and_then(|v| v.as_str()), Some("v"));
    assert_eq!(server.kinds()[before..], ["action"], "nothing was asked to find it out");
    let ClientMessage::Action(action) = server.get(|state| state.seen.last().unwrap().0.clone()) else { panic!() };
    assert_eq!(action.array.shape(), [1, 7], "rows and columns");
    let stamps = [("wrist_cam".to_owned(), 1.25), ("head_cam".to_owned(), 0.0)];
    assert_eq!(action.obs_timestamps, stamps);
    // An observation is the newest of those that came.
    assert_eq!(client.observation().await.unwrap().outcome().unwrap().reward, 0.5);
}

#[tokio::test]
async fn a_first_generation_server_is_known_by_its_silence_and_loses_no_action() {
    let (server, client) = connect(Kind::First).await;
    client.reset().await.unwrap();
    client.start_action_dispatch(200.0).unwrap();
    for i in 0..5_u8 {
        client.put_action([f32::from(i)]).unwrap();
    }
    eventually("five steps", || server.count("action") == 5).await;
    assert_eq!(client.generation().await.unwrap(), Generation::Coupled);
    assert_eq!((server.count("obs_request"), server.count("apply_action")), (1, 0));
    // Stream and observation are fed by the steps; nothing is asked that would never be answered.
    client.start_obs_stream(50.0).unwrap();
    let version = client.latest_obs().unwrap().version;
    let step = client.step([9.0]).await.unwrap();
    assert!(step.outcome.terminated);
    let latest = client.newer_obs(version, Duration::from_secs(20)).await.unwrap();
    assert_eq!(latest.observation.outcome().unwrap().reward, 1.5);
    assert_eq!(client.observation().await.unwrap().timestamp(), latest.observation.timestamp());
    assert_eq!(server.count("obs_request"), 1);
    assert!(!client.latest_obs().unwrap().stale);
}

#[tokio::test]
async fn calls_while_the_generation_is_asked_for_get_their_replies() {
    for kind in [Kind::First, Kind::Cpp] {
        let (server, client) = connect_with(kind, plain()).await;
        let (generation, metadata, reset) = tokio::join!(client.generation(), client.metadata(), client.reset());
        assert_eq!(generation.unwrap(), Generation::Coupled);
        assert_eq!(metadata.unwrap().data.len(), 1);
        reset.unwrap();
        client.step([0.0]).await.unwrap();
        assert_eq!(server.get(|state| state.upgrades.len()), 1, "one connection did");
    }
}

#[tokio::test]
async fn a_coupled_server_has_no_observation_before_its_first_reset() {
    let (_server, client) = connect(Kind::First).await;
    assert!(matches!(client.observation().await, Err(Error::NoObservation)));
    client.reset().await.unwrap();
    client.observation().await.unwrap();
}

#[tokio::test]
async fn a_slow_server_is_known_for_what_it_is_as_soon_as_it_answers() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    server.set(|state| state.obs_takes = Duration::from_millis(1500));
    client.start_obs_stream(100.0).unwrap();
    assert_eq!(client.generation().await.unwrap(), Generation::Coupled, "so it seems");
    server.set(|state| state.obs_takes = Duration::ZERO);
    client.newer_obs(0, Duration::from_secs(20)).await.unwrap();
    assert_eq!(client.generation().await.unwrap(), Generation::Decoupled);
    // The stream goes on by itself.
    client.newer_obs(5, Duration::from_secs(20)).await.unwrap();
    client.send_action([0.0]).await.unwrap();
    eventually("the action", || server.count("apply_action") == 1).await;
}

#[tokio::test]
async fn what_was_asked_before_the_probe_does_not_count_as_its_silence() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    server.set(|state| state.reset_takes = Duration::from_millis(1500));
    let (reset, generation) = tokio::join!(client.reset(), client.generation());
    reset.unwrap();
    assert_eq!(generation.unwrap(), Generation::Decoupled);
}

#[tokio::test]
async fn a_probe_that_nobody_waits_for_gives_its_answer_to_nobody() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    server.set(|state| state.obs_takes = Duration::from_millis(200));
    for _ in 0..3 {
        assert!(tokio::time::timeout(Duration::from_millis(10), client.generation()).await.is_err());
    }
    // The first answer is the probe's, the second this call's.
    assert_eq!(client.observation().await.unwrap().timestamp(), 2.0);
    assert_eq!((server.count("obs_request"), client.stats().stray), (2, 0));
}

#[tokio::test]
async fn ours_steps_streams_and_acts() {
    let (server, client) = connect(Kind::Extended).await;
    assert_eq!(client.extensions(), Capabilities::all());
    assert_eq!(client.generation().await.unwrap(), Generation::Extended);
    assert_eq!(client.step([0.0]).await.unwrap().outcome.reward, 1.5);
    client.observation().await.unwrap();
    client.send_action([0.0]).await.unwrap();
    eventually("the action", || server.count("apply_action") == 1).await;
    assert_eq!(server.count("obs_request"), 1, "nothing was asked to find out what it is");
}
