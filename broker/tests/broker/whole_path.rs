//! Robot, operator and viewer with real WebRTC through the engine inside of the broker.

use serde_json::{Value, json};
use waldo_broker::sfu::embedded;
use waldo_broker::{Broker, SfuSettings};

use crate::client::{ALICE, KEY, World, ids, settings, world_on};
use crate::peer::{Happening, Peer};

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

/// A robot that is registered and connected, and its session.
async fn robot(world: &World) -> (Peer, String) {
    let (mut robot, offer) = Peer::robot();
    let body = json!({"robot_name": "Dog", "robot_id": "dog", "sdp_offer": offer});
    let registered = world.robot(KEY, "POST", "/sessions", body).await.ok();
    robot.accept(registered["sdp_answer"].as_str().unwrap()).await;
    robot.connected().await;
    (robot, registered["session_id"].as_str().unwrap().to_owned())
}

/// An operator who has joined and is connected.
async fn operator(world: &World, token: &str, session: &str) -> Peer {
    let (mut operator, offer) = Peer::operator();
    let path = format!("/sessions/{session}/join");
    let joined = world.operator(token, "POST", &path, json!({"sdp_offer": offer})).await.ok();
    operator.accept(joined["sdp_answer"].as_str().unwrap()).await;
    operator.connected().await;
    operator
}

/// Opens the robot's channels by the ids that its heartbeat's reply tells.
async fn open_by_heartbeat(world: &World, robot: &Peer, session: &str) {
    let ack = world.beat(session).await.ok();
    robot.open("state_reliable", id(&ack, "state_channel_subscriber_id"), false).await;
    robot.open("state_reliable_back", id(&ack, "state_back_channel_publisher_id"), false).await;
}

async fn text(peer: &mut Peer) -> Value {
    serde_json::from_slice(&peer.message().await.2).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_confirmed_only_if_the_robot_can_hear_it() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let (mut robot, session) = robot(&world).await;
    let stop = async || world.operator(&alice, "POST", &format!("/sessions/{session}/estop"), Value::Null).await;
    assert_eq!(stop().await.status, 409, "it never had a channel");
    let _operator = operator(&world, &alice, &session).await;
    world.bridge(&alice, &session).await.ok();
    // Before the robot has opened its channels, the stop waits for it in front of everything else.
    let nonce = stop().await.ok()["nonce"].clone();
    open_by_heartbeat(&world, &robot, &session).await;
    let told = text(&mut robot).await;
    assert_eq!((&told["type"], &told["nonce"]), (&json!("estop"), &nonce));
    world.leave(&alice, &session).await.ok();
    while text(&mut robot).await["type"] != "operator_lost" {}
    // Its channels stay until it has closed them itself.
    let nonce = stop().await.ok()["nonce"].clone();
    assert_eq!(text(&mut robot).await["nonce"], nonce);
    robot.with(|link| (link.close_channel("state_reliable"), link.close_channel("state_reliable_back"))).await;
    for _ in 0..500 {
        let reply = stop().await;
        if reply.status == 409 {
            assert!(reply.detail().contains("not delivered"), "{reply:?}");
            let audit = world.operator(&alice, "GET", &format!("/sessions/{session}/audit"), Value::Null).await.ok();
            let last = audit.as_array().unwrap().last().unwrap().clone();
            assert_eq!((&last["event"], &last["detail"]), (&json!("e-stop"), &json!("not delivered")), "{audit}");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("stops are confirmed that nobody hears");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robot_that_was_away_is_driven_again_only_over_a_new_bridge() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let (mut robot, session) = robot(&world).await;
    let mut operator = operator(&world, &alice, &session).await;
    let open = async |operator: &Peer| {
        let bridged = world.bridge(&alice, &session).await;
        if bridged.status != 200 {
            return false;
        }
        operator.open("state_reliable", id(&bridged.ok(), "state_channel_id"), false).await;
        true
    };
    assert!(open(&operator).await);
    open_by_heartbeat(&world, &robot, &session).await;
    operator.send("state_reliable", false, r#"{"type":"ping","client_ts":1}"#).await;
    assert_eq!(text(&mut robot).await["client_ts"], 1);

    robot.with(|link| link.cut()).await;
    // The operator sees it by the channel that closes, the robot by its heartbeats if they come through.
    let closed = |happening| matches!(happening, Happening::ChannelClosed(_)).then_some(());
    operator.next(closed).await;
    let stop = world.operator(&alice, "POST", &format!("/sessions/{session}/estop"), Value::Null).await;
    assert_eq!(stop.status, 409, "nobody can say that it was heard: {stop:?}");
    for _ in 0..500 {
        if ids(&world.beat(&session).await.ok()).iter().all(Value::is_null) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(ids(&world.beat(&session).await.ok()).iter().all(Value::is_null));

    robot.with(|link| link.mend()).await;
    while !open(&operator).await {}
    robot.happened();
    open_by_heartbeat(&world, &robot, &session).await;
    operator.send("state_reliable", false, r#"{"type":"ping","client_ts":2}"#).await;
    while text(&mut robot).await["client_ts"] != 2 {}
}
