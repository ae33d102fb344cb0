//! Hellos, names, and how sockets end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use waldo_protocol::field::{SceneDecoder, ServerMessage};
use waldo_server::field::FieldConfig;

use super::harness::*;

#[tokio::test]
async fn the_scene_comes_before_hello_and_has_all_its_keys() {
    let setup = start();
    let mut client = setup.connect().await;
    let scene = client.scene().await;
    let keys: Vec<_> = scene.as_object().unwrap().keys().cloned().collect();
    let mut expected = ["timestamp", "arms", "scenery", "user_arms", "meshes", "overlay_points", "spheres", "haptics"]
        .map(String::from);
    expected.sort();
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn frames_of_bytes_are_read_as_text() {
    let setup = start();
    let mut client = setup.connect().await;
    let hello = json!({"version": 1.0, "type": "hello", "payload": {"role": "spectator"}, "seq": 7}).to_string();
    client.socket.send(Message::binary(hello.into_bytes())).await.unwrap();
    assert_eq!(client.reply().await["type"], "hello_ack");
    assert_eq!(client.reply().await["type"], "asset_manifest");
    client.socket.send(Message::binary(vec![0xff, 0xfe])).await.unwrap();
    assert!(!client.refusal().await.is_empty());
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_and_free_again_after_its_user() {
    let setup = start();
    let amy = setup.user("amy").await;
    let mut other = setup.connect().await;
    other.send("hello", json!({"character_mode": "two-cr", "user_id": "amy"})).await;
    assert_eq!(other.refusal().await, "user_id already in use");
    other.send("heartbeat", json!({})).await;
    assert_eq!(other.refusal().await, "hello required first");
    amy.leave().await;
    let mut again = setup.user("amy").await;
    again.scene_where(|scene| scene["arms"]["amy_arm_0"].is_object()).await;
    let mut rig = setup.connect().await;
    rig.send("hello", json!({"role": "publisher", "owner_id": "amy"})).await;
    assert_eq!(rig.refusal().await, "owner_id already in use");
}

#[tokio::test]
async fn a_second_hello_ends_the_first_one() {
    let setup = start();
    let mut client = setup.user("amy").await;
    client.send("hello", json!({"character_mode": "spirobs", "user_id": "bob"})).await;
    assert_eq!(client.reply().await["payload"]["user_id"], "bob");
    client.reply().await;
    let scene = client.scene_where(|scene| scene["user_arms"]["bob"].is_array()).await;
    assert!(scene["user_arms"]["amy"].is_null() && scene["arms"]["amy_arm_0"].is_null(), "{scene}");
    // A hello that is refused changes nothing.
    client.send("hello", json!({"character_mode": "jelly"})).await;
    assert_eq!(client.refusal().await, "vr_client requires a backend-supported character_mode");
    assert_eq!(setup.server.users().len(), 1);
    client.send("hello", json!({"role": "spectator"})).await;
    assert_eq!(client.reply().await["payload"]["role"], "spectator");
    assert!(setup.server.users().is_empty());
}

#[tokio::test]
async fn a_link_that_breaks_while_its_hello_is_answered_leaves_nobody_behind() {
    let setup = start_with(FieldConfig { max_users: 8, max_publishers: 8, ..FieldConfig::default() });
    for n in 0..120u64 {
        let mut client = setup.connect().await;
        client.scene().await;
        // What is not read yet makes a reset of the end.
        tokio::time::sleep(Duration::from_millis(30)).await;
        if n % 3 == 2 {
            client.send("hello", json!({"role": "publisher", "owner_id": format!("rig{n}")})).await;
        }
        client.send("hello", json!({"character_mode": "two-cr", "user_id": format!("u{n}")})).await;
        tokio::time::sleep(Duration::from_micros(n % 12 * 500)).await;
        client.break_off();
    }
    until("all are gone", || {
        setup.server.clients() == 0 && setup.server.users().is_empty() && setup.server.scene().arms.is_empty()
    })
    .await;
    // Every place and name is free.
    let mut users = Vec::new();
    for n in 0..8 {
        users.push(setup.user(&format!("u{n}")).await);
        users.push(setup.publisher(&format!("rig{n}")).await);
    }
}

#[tokio::test]
async fn who_floods_the_field_with_requests_is_refused_some_of_them() {
    let setup = start();
    let mut amy = setup.user("amy").await;
    for _ in 0..3000 {
        amy.send("heartbeat", json!({})).await;
    }
    assert_eq!(amy.refusal().await, "too many messages: try again in a second");
    amy.hand(0.25).await;
    amy.scene_where(|scene| scene["arms"]["amy_arm_0"]["tip"]["translation"][0] == 0.25).await;
}

#[tokio::test]
async fn who_has_the_token_comes_back_to_the_same_arms() {
    let setup = start();
    let mut amy = setup.user_with("amy", json!({"ext": ["resume/1"]})).await;
    let token = amy.ack["payload"]["resume_token"].as_str().unwrap().to_owned();
    amy.hand(0.6).await;
    let at = |scene: &Value| scene["arms"]["amy_arm_0"]["tip"]["translation"][0].as_f64();
    amy.scene_where(|scene| at(scene) == Some(0.6)).await;
    amy.break_off();
    until("amy is lost", || setup.server.users().iter().all(|user| !user.connected)).await;
    let mut viewer = setup.spectator().await;
    assert_eq!(at(&viewer.scene().await), Some(0.6), "the arms stay");
    assert!(setup.log.driving().is_empty(), "but nobody drives them");
    let wrong = json!({"character_mode": "two-cr", "user_id": "amy", "resume_token": "x".repeat(token.len())});
    let mut stranger = setup.connect().await;
    stranger.send("hello", wrong).await;
    assert_eq!(stranger.refusal().await, "user_id already in use");
    // Asks for another character, and is told the real one.
    let mut back = setup
        .hello(json!({"character_mode": "spirobs", "user_id": "amy", "ext": ["resume/1"], "resume_token": token}))
        .await;
    assert_eq!(back.ack["payload"]["character_mode"], "two-cr");
    assert_eq!(at(&back.scene().await), Some(0.6));
    let token = back.ack["payload"]["resume_token"].as_str().unwrap().to_owned();
    // Over another socket while this one is open.
    let hello = json!({"character_mode": "two-cr", "user_id": "amy", "ext": ["resume/1"], "resume_token": token});
    let third = setup.hello(hello).await;
    assert_eq!(back.closed().await.0, 4001);
    drop(back);
    tokio::time::sleep(A_WHILE).await;
    assert!(setup.server.users()[0].connected, "the end of the older one is none of the user's");
    third.leave().await;
    until("amy is gone for good", || setup.server.users().is_empty()).await;
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_connection_with_the_reason() {
    let setup = start();
    let mut amy = setup.user("amy").await;
    let large = "x".repeat(2 << 20);
    // It hangs up in the middle of it.
    let _ = amy.socket.send(Message::text(large.clone())).await;
    let (code, reason) = amy.closed().await;
    assert_eq!(code, 1009, "{reason}");
    assert!(reason.contains("1048576"));
    // A publisher may.
    let mut rig = setup.publisher("rig").await;
    let data = "AAAA".repeat(1 << 19);
    rig.send("add_mesh", json!({"mesh_id": "big", "mesh_data_b64": data, "static_asset": true})).await;
    assert_eq!(rig.reply().await["payload"]["status"], "added");
    let mut fragments = setup.connect().await;
    fragments.send_text("y".repeat(1 << 20)).await;
    assert!(!fragments.refusal().await.is_empty(), "exactly as large as it may be");
}

#[tokio::test]
async fn there_is_room_for_so_many_users_and_publishers() {
    let config = FieldConfig { max_users: 2, max_publishers: 1, max_clients: 6, ..FieldConfig::default() };
    let setup = start_with(config);
    let _users = (setup.user("a").await, setup.user("b").await);
    let mut third = setup.connect().await;
    third.send("hello", json!({"character_mode": "two-cr"})).await;
    assert_eq!(third.refusal().await, "this field has 2 users already");
    let _rig = setup.publisher("rig").await;
    third.send("hello", json!({"role": "publisher"})).await;
    assert_eq!(third.refusal().await, "this field has 1 publishers already");
    let _more = (setup.connect().await, setup.connect().await);
    let error = tokio_tungstenite::connect_async(format!("ws://{}", setup.addr())).await.unwrap_err().to_string();
    assert!(error.contains("503"), "{error}");
}

#[tokio::test]
async fn a_client_that_stops_reading_delays_nobody() {
    let setup = start();
    let mut users = Vec::new();
    for n in 0..4 {
        users.push(setup.hello(json!({"character_mode": "octo-waypoint", "user_id": format!("u{n}")})).await);
    }
    let stalled = setup.spectator().await;
    let mut viewer = setup.spectator().await;
    let (begin, mut frames) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(10) {
        viewer.scene().await;
        // Those who drive read as well.
        for user in &mut users {
            user.scene().await;
        }
        frames += 1;
    }
    let rate = f64::from(frames) / begin.elapsed().as_secs_f64();
    assert!(rate > 7.2, "{rate} Hz");
    // It was left out, and not hung up on: after what waits for it comes the present.
    let mut stalled = stalled;
    let mut seen = 0;
    let now = viewer.scene().await["timestamp"].as_f64().unwrap();
    stalled
        .scene_where(|scene| {
            seen += 1;
            scene["timestamp"].as_f64().unwrap() >= now
        })
        .await;
    let rate_of_stalled = f64::from(seen) / f64::from(frames);
    assert!(rate_of_stalled < 1.0, "{seen} of {frames} frames waited");
}

#[tokio::test]
async fn the_server_says_farewell_when_it_stops() {
    let setup = start();
    let mut amy = setup.user("amy").await;
    setup.server.stop();
    let end = loop {
        match timeout(LIMIT, amy.socket.next()).await.unwrap() {
            Some(Ok(Message::Close(close))) => break close.map(|close| u16::from(close.code)),
            Some(Ok(_)) => {}
            _ => break None,
        }
    };
    assert_eq!(end, Some(1001));
    timeout(LIMIT, setup.server.stopped()).await.unwrap();
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_sent() {
    let setup = start();
    let amy = setup.user_with("amy", json!({"ext": ["deadman/1"]})).await;
    assert!(amy.ack["payload"].get("limits").is_none(), "{}", amy.ack);
    let mut rig = setup.hello(json!({"role": "publisher", "owner_id": "rig", "ext": ["limits/1"]})).await;
    assert!(rig.ack["payload"]["limits"].is_object());
    rig.send("clear_meshes", json!({})).await;
    let ack = rig.reply().await;
    assert!(ack["payload"].get("changed").is_none(), "{ack}");
    rig.send("teleport", json!({})).await;
    let refusal = rig.reply().await;
    assert!(refusal["payload"].get("code").is_none(), "{refusal}");
    let mut bob = setup.user_with("bob", json!({"ext": ["acks/1"]})).await;
    let mut numbered = sample(0.25);
    numbered["seq"] = json!(1);
    bob.send("xr_input", numbered).await;
    let scene = bob.scene_where(|scene| scene["arms"]["bob_arm_0"]["tip"]["translation"][0] == 0.25).await;
    assert!(scene.get("input_ack").is_none(), "{scene}");
}

#[tokio::test]
async fn a_client_that_gets_what_changed_sees_what_the_others_see() {
    let setup = start();
    let mut amy = setup.user("amy").await;
    let mut rig = setup.publisher("rig").await;
    rig.send("add_mesh", json!({"mesh_id": "crate", "mesh_data_b64": "Z2xURgIAAAA="})).await;
    rig.send("update_overlay_points", json!({"overlay_id": "scan", "points": [[0, 1, 2]]})).await;
    for ext in [json!(["scene-delta/1", "people/1"]), json!(["scene-bin/1", "people/1"])] {
        let binary = ext[0] == "scene-bin/1";
        let mut viewer = setup.hello(json!({"role": "spectator", "ext": ext})).await;
        let (mut decoder, mut seen) = (SceneDecoder::default(), BTreeMap::<&str, u32>::new());
        for n in 0..100 {
            amy.hand(f64::from(n) / 100.0).await;
            match timeout(LIMIT, viewer.socket.next()).await.unwrap().unwrap().unwrap() {
                Message::Binary(bytes) => {
                    *seen.entry("binary").or_default() += 1;
                    decoder.binary(&bytes).unwrap();
                }
                Message::Text(text) => match ServerMessage::decode(&text).unwrap() {
                    ServerMessage::SceneState(scene) => {
                        *seen.entry("full").or_default() += 1;
                        decoder.full(*scene);
                    }
                    ServerMessage::SceneDelta(delta) => {
                        *seen.entry("delta").or_default() += 1;
                        decoder.delta(*delta).unwrap();
                    }
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
        assert!(seen["full"] < 20 && seen.contains_key("delta"), "{seen:?}");
        assert_eq!(seen.contains_key("binary"), binary, "{seen:?}");
        let scene = decoder.scene();
        let tip = scene.arms["amy_arm_0"].tip.translation[0];
        assert!(tip > 0.3, "{tip}");
        assert!(scene.meshes["crate"].asset_uri.is_some());
        assert_eq!(scene.overlay_points["scan"].points[0], [0.0, 1.0, 2.0]);
        assert!(scene.people.contains_key("amy"));
        // Whoever lost track asks for everything.
        viewer.send("scene_request", json!({})).await;
        let full = viewer.scene().await;
        assert!(full["meshes"]["crate"]["asset_uri"].is_string());
    }
    let mut plain = setup.spectator().await;
    plain.send("scene_request", json!({})).await;
    assert_eq!(plain.refusal().await, "scene_request unsupported for spectator role");
}
