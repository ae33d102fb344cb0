//! Sessions begin, are replaced, fall silent and end; what is in the store stays.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use waldo_broker::sfu::{EngineEvent, PeerId};

use crate::client::{ALICE, KEY, ROBOT_OFFER, ids, until, world, world_with};

#[tokio::test]
async fn a_silent_operator_loses_the_slot_and_the_robot_is_told() {
    silent_operator().await;
}

pub(crate) async fn silent_operator() {
    let world = world_with(|settings| {
        settings.timers.operator = Duration::from_millis(500);
        settings.timers.reap_every = Duration::from_millis(50);
    })
    .await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    let beat = format!("/sessions/{id}/op-heartbeat");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(900) {
        world.operator(&alice, "POST", &beat, Value::Null).await.ok();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.status(&alice, &id).await["state"], "active", "heartbeats keep the slot");
    let status = world.until_state(&alice, &id, "idle").await;
    assert_eq!(status["operator_id"], Value::Null);
    assert!(world.engine.called("inject")[0].contains("evicted"));
    assert!(world.engine.called("unbridge").len() == 1 && world.engine.called("close operator").len() == 1);
    assert!(ids(&world.beat(&id).await.ok()).iter().all(Value::is_null));
    let late = world.operator(&alice, "POST", &beat, Value::Null).await;
    assert_eq!((late.status, late.detail().as_str()), (403, "Not the bound operator"));
    let metrics = world.send(world.request("GET", "/metrics")).await.text;
    assert!(metrics.contains("teleop_operator_evictions_total 1"), "{metrics}");
}

#[tokio::test]
async fn a_silent_robot_ends_its_session_for_ever() {
    silent_robot().await;
}

pub(crate) async fn silent_robot() {
    let world = world_with(|settings| {
        settings.timers.robot = Duration::from_millis(500);
        settings.timers.reap_every = Duration::from_millis(50);
    })
    .await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    world.join(&alice, &id).await.ok();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(900) {
        world.beat(&id).await.ok();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.status(&alice, &id).await["state"], "active", "heartbeats keep the session");
    let status = world.until_state(&alice, &id, "disconnected").await;
    assert_eq!(status["operator_id"], Value::Null);
    until("the peers are gone", || world.engine.peers.lock().unwrap().is_empty()).await;
    let beat = world.beat(&id).await;
    assert_eq!((beat.status, beat.detail().as_str()), (404, "Session not found"));
    assert_eq!(world.join(&alice, &id).await.status, 404);
    assert!(world.send(world.request("GET", "/metrics")).await.text.contains("teleop_robot_evictions_total 1"));
}

#[tokio::test]
async fn a_robot_that_comes_again_replaces_itself_and_its_operator_is_cut_off() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let before = world.register().await;
    let joined = world.join(&alice, &before).await.ok();
    world.bridge(&alice, &before).await.ok();
    let after = world.register().await;
    let old = world.status(&alice, &before).await;
    assert_eq!((&old["state"], &old["operator_id"]), (&json!("disconnected"), &Value::Null));
    assert_eq!(old["superseded_by"], json!(after));
    assert!(world.engine.called("inject")[0].contains("operator_lost"));
    for name in ["cf_session_id", "robot_cf_session_id"] {
        assert!(!world.engine.has(joined[name].as_str().unwrap()), "{name}");
    }
    assert_eq!(world.beat(&before).await.status, 404);
    // Leaving the old one does not bring it back.
    assert_eq!(world.leave(&alice, &before).await.ok()["state"], "disconnected");
    assert_eq!(world.beat(&after).await.status, 200);
    // Robots without a name of their own stand beside each other.
    let unnamed = json!({"robot_name": "r", "sdp_offer": ROBOT_OFFER});
    for _ in 0..2 {
        world.robot(KEY, "POST", "/sessions", unnamed.clone()).await.ok();
    }
    assert_eq!(world.operator(&alice, "GET", "/sessions", Value::Null).await.ok().as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn ids_offers_tokens_and_leases_outlive_a_restart() {
    restart().await;
}

pub(crate) async fn restart() {
    let mut world = world().await;
    let alice = world.log_in(ALICE).await;
    world.engine.set(|script| {
        script.video_offer = Some("v=0 picture".to_owned());
        script.robot_offer = Some("v=0 voice".to_owned());
    });
    let id = world.register().await;
    let lease = world.join(&alice, &id).await.ok()["lease_id"].as_str().unwrap().to_owned();
    world.bridge(&alice, &id).await.ok();
    let mut before = Value::Null;
    while before["renegotiate_offer"].is_null() {
        before = world.beat(&id).await.ok();
    }
    world.restart().await;
    assert_eq!(world.beat(&id).await.ok(), before, "the robot notices nothing");
    let path = |call: &str| format!("/sessions/{id}/{call}");
    world.with_lease(&alice, &lease, &path("op-heartbeat"), Value::Null).await.ok();
    let answer = json!({"sdp_answer": "v=0"});
    world.with_lease(&alice, &lease, &path("renegotiate-answer"), answer.clone()).await.ok();
    world.robot(KEY, "POST", &path("renegotiate-robot"), answer).await.ok();
    world.bridge(&alice, &id).await.ok();
    assert!(world.engine.called("bridge 2")[0].ends_with("stale 24"), "{:?}", world.engine.called("bridge"));
    world.with_lease(&alice, &lease, &path("leave"), json!({})).await.ok();
}

#[tokio::test]
async fn what_happens_at_the_engine_is_taken_note_of() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    let joined = world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    let peer = |name: &str| PeerId::new(joined[name].as_str().unwrap());
    let tell = |event| world.engine.events.send(event).unwrap();
    let lost = || EngineEvent::PeerLost { peer: peer("cf_session_id"), reason: "ice".to_owned() };
    world.engine.set(|script| script.lost.extend([peer("cf_session_id").to_string()]));
    tell(lost());
    let mut ack = world.beat(&id).await.ok();
    while !ack["cmd_channel_subscriber_id"].is_null() {
        ack = world.beat(&id).await.ok();
    }
    assert_eq!(world.status(&alice, &id).await["state"], "active", "the slot stays for who may come back");
    world.engine.set(|script| script.lost.clear());
    world.bridge(&alice, &id).await.ok();
    // What is told late, of a peer that is back, ends no bridge that is newer.
    tell(lost());
    tell(EngineEvent::PeerClosed { peer: peer("robot_cf_session_id") });
    loop {
        let reply = world.bridge(&alice, &id).await;
        if reply.status == 409 {
            assert_eq!(reply.detail(), "CF sessions not ready");
            break;
        }
    }
    let audit = world.operator(&alice, "GET", &format!("/sessions/{id}/audit"), Value::Null).await.ok();
    let lost = audit.as_array().unwrap().iter().filter(|entry| entry["event"] == "operator lost");
    assert_eq!(lost.count(), 1, "{audit}");
}

#[tokio::test]
async fn what_the_engine_ended_while_no_broker_listened_is_found_out() {
    unnoticed().await;
}

pub(crate) async fn unnoticed() {
    let mut world = world().await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    let watch = json!({"role": "viewer", "sdp_offer": crate::client::OPERATOR_OFFER});
    let viewer = world.operator(&alice, "POST", &format!("/sessions/{id}/join"), watch).await.ok();
    assert!(ids(&world.beat(&id).await.ok()).iter().all(Value::is_u64));
    world.engine.set(|script| script.no_bridges = true);
    world.engine.peers.lock().unwrap().remove(viewer["cf_session_id"].as_str().unwrap());
    world.restart().await;
    for _ in 0..500 {
        let status = world.status(&alice, &id).await;
        if ids(&world.beat(&id).await.ok()).iter().all(Value::is_null) && status["viewers"] == 0 {
            assert_eq!(status["operator_id"], ALICE, "the slot is theirs, and so is their peer");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the broker believes in a bridge that is closed: {}", world.beat(&id).await.text);
}

#[tokio::test]
async fn who_could_not_be_cut_off_is_cut_off_later() {
    unclosed().await;
}

pub(crate) async fn unclosed() {
    let world = world_with(|settings| settings.timers.reap_every = Duration::from_millis(50)).await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    let peer = world.join(&alice, &id).await.ok()["cf_session_id"].as_str().unwrap().to_owned();
    world.bridge(&alice, &id).await.ok();
    world.engine.set(|script| script.no_close = true);
    assert_eq!(world.leave(&alice, &id).await.ok()["state"], "idle");
    let attempts = || world.engine.called(&format!("close {peer}")).len();
    until("it is tried again and again", || attempts() > 3).await;
    assert!(world.engine.has(&peer));
    world.engine.set(|script| script.no_close = false);
    until("the peer is gone", || !world.engine.has(&peer)).await;
}

#[tokio::test]
async fn who_cannot_be_cut_off_keeps_the_engine_from_nobody_else() {
    let world = world_with(|settings| settings.timers.reap_every = Duration::from_millis(50)).await;
    let alice = world.log_in(ALICE).await;
    let mut peers = Vec::new();
    world.engine.set(|script| script.no_close = true);
    for robot in ["a", "b"] {
        let id = world.register_as(robot).await;
        peers.push(world.join(&alice, &id).await.ok()["cf_session_id"].as_str().unwrap().to_owned());
        world.leave(&alice, &id).await.ok();
    }
    world.engine.set(|script| (script.no_close, script.stuck) = (false, [peers[0].clone()].into()));
    until("the other one is gone", || !world.engine.has(&peers[1])).await;
    assert!(world.engine.has(&peers[0]));
}

#[tokio::test]
async fn a_heartbeats_reply_waits_for_no_engine() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    // Longer than anybody here waits for a reply.
    world.engine.set(|script| script.told_delay = Duration::from_secs(600));
    for _ in 0..5 {
        world.beat(&id).await.ok();
    }
    until("the engine is told", || !world.engine.called("told").is_empty()).await;
    assert_eq!(world.engine.called("told").len(), 1, "once for each bridge");
    world.bridge(&alice, &id).await.ok();
    world.beat(&id).await.ok();
    until("the engine is told again", || world.engine.called("told").len() == 2).await;
}

#[tokio::test]
async fn of_two_registrations_of_a_robot_the_later_one_stays() {
    let world = std::sync::Arc::new(world().await);
    let alice = world.log_in(ALICE).await;
    world.engine.set(|script| script.delay = Duration::from_millis(500));
    let slow = {
        let world = std::sync::Arc::clone(&world);
        let body = json!({"robot_name": "Dog", "robot_id": "dog-1", "sdp_offer": ROBOT_OFFER});
        tokio::spawn(async move { world.robot(KEY, "POST", "/sessions", body).await })
    };
    until("the first one is under way", || world.engine.called("asked").len() == 1).await;
    world.engine.set(|script| script.delay = Duration::ZERO);
    let later = world.register().await;
    let slow = slow.await.unwrap();
    assert_eq!((slow.status, slow.detail().as_str()), (409, "The robot has registered again meanwhile"));
    world.beat(&later).await.ok();
    let list = world.operator(&alice, "GET", "/sessions", Value::Null).await.ok();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["session_id"]), (1, &json!(later)));
    assert_eq!(world.engine.peers.lock().unwrap().len(), 1, "the other peer is closed");
}

#[tokio::test]
async fn two_brokers_of_one_database_see_the_same() {
    two_brokers().await;
}

pub(crate) async fn two_brokers() {
    let world = world().await;
    let other = waldo_broker::Broker::start_with(world.settings.clone(), world.engine.clone(), false).await.unwrap();
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    let first = world.url.clone();
    let ask = async |url: &str, method: &str, call: &str, body: Value| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = world.client.request(method, format!("{url}/api/v1{call}")).bearer_auth(&alice);
        world.send(if body.is_null() { request } else { request.json(&body) }).await
    };
    let offer = json!({"sdp_offer": crate::client::OPERATOR_OFFER});
    ask(&other.url(), "POST", &format!("/sessions/{id}/join"), offer).await.ok();
    ask(&first, "POST", &format!("/sessions/{id}/bridge-datachannel"), Value::Null).await.ok();
    let ack = world.beat(&id).await.ok();
    assert!(ids(&ack).iter().all(Value::is_u64), "{ack}");
    ask(&other.url(), "POST", &format!("/sessions/{id}/leave"), json!({})).await.ok();
    assert!(ids(&world.beat(&id).await.ok()).iter().all(Value::is_null));
    assert_eq!(ask(&first, "GET", &format!("/sessions/{id}/status"), Value::Null).await.ok()["state"], "idle");
    other.stop().await;
}
