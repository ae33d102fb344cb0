//! Robot, operator and viewer with real WebRTC through the engine inside of the broker.

use serde_json::{Value, json};
use waldo_broker::sfu::embedded;
use waldo_broker::{Broker, SfuSettings};

use crate::client::{ALICE, KEY, World, ids, settings, world_on};
use crate::peer::Peer;

/// A broker with its own engine on loopback.
async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    let bind = "127.0.0.1:0".parse().unwrap();
    settings.sfu = SfuSettings::Embedded(embedded::Settings { bind, ..embedded::Settings::default() });
    let broker = Broker::start(settings.clone()).await.unwrap();
    world_on(broker, settings, dir).await
}

fn id(json: &Value, name: &str) -> u16 {
    json[name].as_u64().and_then(|id| u16::try_from(id).ok()).unwrap_or_else(|| panic!("no {name} in {json}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_and_telemetry_flow_between_who_the_broker_introduced() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let (mut robot, offer) = Peer::robot();
    let registered = world
        .robot(KEY, "POST", "/sessions", json!({"robot_name": "Dog", "robot_id": "dog", "sdp_offer": offer}))
        .await
        .ok();
    assert!(registered["ext"].as_array().unwrap().contains(&json!("sfu/embedded")), "{registered}");
    robot.accept(registered["sdp_answer"].as_str().unwrap()).await;
    robot.connected().await;
    let session = registered["session_id"].as_str().unwrap();

    let (mut operator, offer) = Peer::operator();
    let path = format!("/sessions/{session}/join");
    let joined = world.operator(&alice, "POST", &path, json!({"sdp_offer": offer})).await.ok();
    assert_eq!(joined["robot_cf_session_id"], registered["cf_session_id"]);
    operator.accept(joined["sdp_answer"].as_str().unwrap()).await;
    operator.connected().await;
    let bridged = world.bridge(&alice, session).await.ok();
    assert_eq!((&bridged["video_status"], &bridged["video_offer"]), (&json!("ok"), &Value::Null));
    let ack = world.beat(session).await.ok();

    // The ids that both were told are the ids on which the engine serves them.
    operator.open("cmd_unreliable", id(&bridged, "cmd_channel_id"), true).await;
    operator.open("state_reliable", id(&bridged, "state_channel_id"), false).await;
    operator.open("state_reliable_back", id(&bridged, "state_back_channel_id"), false).await;
    robot.open("cmd_unreliable", id(&ack, "cmd_channel_subscriber_id"), true).await;
    robot.open("state_reliable", id(&ack, "state_channel_subscriber_id"), false).await;
    robot.open("state_reliable_back", id(&ack, "state_back_channel_publisher_id"), false).await;
    operator.send("state_reliable", false, r#"{"type":"ping","client_ts":1}"#).await;
    assert_eq!(robot.message().await.2, br#"{"type":"ping","client_ts":1}"#);
    robot.send("state_reliable_back", false, r#"{"type":"pong"}"#).await;
    assert_eq!(operator.message().await.2, br#"{"type":"pong"}"#);

    // A stop through the broker reaches the robot, whoever asks.
    let stopped = world.operator(&alice, "POST", &format!("/sessions/{session}/estop"), Value::Null).await;
    assert_eq!(stopped.status, 202, "{stopped:?}");
    let (label, binary, text) = robot.message().await;
    let text: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((label.as_str(), binary, &text["type"]), ("state_reliable", false, &json!("estop")));
    assert!(text["nonce"].as_str().unwrap().starts_with("broker-"), "{text}");

    // After leaving, the robot is told at once, and its ids are null.
    world.leave(&alice, session).await.ok();
    let text: Value = serde_json::from_slice(&robot.message().await.2).unwrap();
    assert_eq!(text["type"], "operator_lost");
    assert_eq!(ids(&world.beat(session).await.ok()), [Value::Null, Value::Null, Value::Null, Value::Null]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_who_vanishes_is_noticed_within_a_second_or_so() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let (mut robot, offer) = Peer::robot();
    let body = json!({"robot_name": "Dog", "sdp_offer": offer});
    let registered = world.robot(KEY, "POST", "/sessions", body).await.ok();
    robot.accept(registered["sdp_answer"].as_str().unwrap()).await;
    robot.connected().await;
    let session = registered["session_id"].as_str().unwrap();
    let (mut operator, offer) = Peer::operator();
    let joined =
        world.operator(&alice, "POST", &format!("/sessions/{session}/join"), json!({"sdp_offer": offer})).await.ok();
    operator.accept(joined["sdp_answer"].as_str().unwrap()).await;
    operator.connected().await;
    world.bridge(&alice, session).await.ok();
    assert!(ids(&world.beat(session).await.ok())[0].is_u64());
    drop(operator);
    let mut ack = Value::Null;
    for _ in 0..500 {
        ack = world.beat(session).await.ok();
        if ids(&ack)[0].is_null() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(ids(&ack)[0].is_null(), "{ack}");
    // The slot stays theirs until the heartbeats end.
    assert_eq!(world.status(&alice, session).await["operator_id"], ALICE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_outlive_a_restart_and_their_peers_do_not() {
    let mut world = world().await;
    let alice = world.log_in(ALICE).await;
    let (mut robot, offer) = Peer::robot();
    let body = json!({"robot_name": "Dog", "robot_id": "dog", "sdp_offer": offer});
    let registered = world.robot(KEY, "POST", "/sessions", body).await.ok();
    robot.accept(registered["sdp_answer"].as_str().unwrap()).await;
    robot.connected().await;
    let before = registered["session_id"].as_str().unwrap().to_owned();
    let address = world.broker().address();
    world.broker.take().unwrap().stop().await;
    world.settings.listen = address;
    world.broker = Some(Broker::start(world.settings.clone()).await.unwrap());

    // The same token and key hold; the robot may say that it is there; nobody can be connected with it before it redials.
    world.beat(&before).await.ok();
    let (_, offer) = Peer::operator();
    let join = world.operator(&alice, "POST", &format!("/sessions/{before}/join"), json!({"sdp_offer": offer})).await;
    assert_eq!((join.status, join.detail().as_str()), (409, "Robot CF session not established"));
    let (_robot, offer) = Peer::robot();
    let again = json!({"robot_name": "Dog", "robot_id": "dog", "sdp_offer": offer, "resume_of": before});
    let after = world.robot(KEY, "POST", "/sessions", again).await.ok()["session_id"].as_str().unwrap().to_owned();
    let status = world.status(&alice, &before).await;
    assert_eq!((&status["state"], &status["superseded_by"]), (&json!("disconnected"), &json!(after)));
}
