//! The REST vectors, replayed against a real broker.

use serde_json::{Value, json};

use crate::client::{ADMIN, ALICE, BOB, KEY, OPERATOR_OFFER, ROBOT_OFFER, Reply, World, world};

const VECTORS: &str = include_str!("../../../tests/vectors/hosted.json");

/// The vector of this name.
pub(crate) fn vector(name: &str) -> Value {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    vectors.into_iter().find(|vector| vector["name"] == name).unwrap_or_else(|| panic!("no vector {name}"))
}

/// Texts that stand for something.
fn fill(value: &Value, robot: bool) -> Value {
    match value {
        Value::String(text) if text == "<offer>" => json!(if robot { ROBOT_OFFER } else { OPERATOR_OFFER }),
        Value::String(text) if text == "<answer>" => json!("v=0 answer"),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), fill(value, robot))).collect(),
        other => other.clone(),
    }
}

/// What the vector presupposes; gives the session and key that its path names.
async fn prepare(world: &World, vector: &Value) -> String {
    let (given, path) = (&vector["message"]["given"], vector["message"]["path"].as_str().unwrap_or_default());
    let alice = world.log_in(ALICE).await;
    if path.contains("/keys/{") {
        let made = world.operator(&alice, "POST", "/keys", json!({"name": "other"})).await.ok();
        return made["id"].as_str().unwrap().to_owned();
    }
    if let Some(existing) = given.get("existing_session") {
        let id = world.register_as(existing["robot_id"].as_str().unwrap()).await;
        if existing["state"] == "active" {
            world.join(&alice, &id).await.ok();
        }
        return id;
    }
    if given["transport"] == "livekit" {
        let body = json!({"robot_name": "r", "transport": "livekit"});
        let id = world.robot(KEY, "POST", "/sessions", body).await.ok()["session_id"].as_str().unwrap().to_owned();
        let join = json!({});
        world.operator(&alice, "POST", &format!("/sessions/{id}/join"), join).await.ok();
        return id;
    }
    let needs_session = path.contains("{id}") || given.get("sessions").is_some();
    if !needs_session {
        return String::new();
    }
    if given["video_offer_pending"] == true {
        world.engine.set(|script| script.video_offer = Some("v=0 offer".to_owned()));
    }
    if given["audio_offer_pending"] == true {
        world.engine.set(|script| script.robot_offer = Some("v=0 offer".to_owned()));
    }
    let id = world.register().await;
    let sequence = given["sequence"].as_array().cloned().unwrap_or_default();
    let wants = |word: &str| sequence.iter().any(|step| step == word);
    let offers = given["video_offer_pending"] == true || given["audio_offer_pending"] == true;
    if given["operator"] == ALICE || given["state"] == "active" || offers || wants("join") {
        world.join(&alice, &id).await.ok();
    }
    if given["bridged"] == true || offers || wants("bridge") {
        world.bridge(&alice, &id).await.ok();
    }
    if given["audio_offer_pending"] == true {
        while world.beat(&id).await.ok()["renegotiate_offer"].is_null() {
            tokio::task::yield_now().await;
        }
    }
    if wants("leave") {
        world.leave(&alice, &id).await.ok();
    }
    id
}

/// Sends a vector's request.
async fn send(world: &World, vector: &Value, id: &str) -> Reply {
    let message = &vector["message"];
    let path = message["path"].as_str().unwrap().replace("{id}", id).replace("{alice key id}", id);
    let mut request = world.request(message["method"].as_str().unwrap(), &path);
    for (name, value) in message["headers"].as_object().unwrap() {
        let mut value = value.as_str().unwrap().to_owned();
        for (mark, who) in [("<jwt alice@example.org>", ALICE), ("<jwt bob@example.org>", BOB), ("<jwt admin>", ADMIN)]
        {
            if value.contains(mark) {
                value = value.replace(mark, &world.log_in(who).await);
            }
        }
        if value == "<key of another owner>" {
            value = world.broker().add_key(BOB, "bob's").await.unwrap().reveal().to_owned();
        }
        request = request.header(name, value);
    }
    let body = &message["body"];
    if body.is_object() {
        request = request.json(&fill(body, vector["direction"] == "robot->broker"));
    }
    world.send(request).await
}

/// Whether all of `part` is in `whole`.
fn is_within(part: &Value, whole: &Value, id: &str) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|other| is_within(value, other, id)))
        }
        (Value::String(text), other) if text == "{id}" => *other == json!(id),
        (Value::Number(part), Value::Number(whole)) => part.as_f64() == whole.as_f64(),
        _ => part == whole,
    }
}

async fn check(world: &World, vector: &Value, id: &str, reply: &Reply, expect: &Value, peers_before: usize) {
    let name = vector["name"].as_str().unwrap();
    let say = format!("{name}: {reply:?}");
    let alice = world.log_in(ALICE).await;
    assert_eq!(Some(u64::from(reply.status)), expect["status"].as_u64(), "{say}");
    for (key, wanted) in expect.as_object().unwrap() {
        match key.as_str() {
            "status" => {}
            "detail" => assert_eq!(reply.detail(), wanted.as_str().unwrap(), "{say}"),
            "json" => {
                let whole = reply.json();
                assert!(is_within(wanted, &whole, id), "{say}");
                if let Some(array) = wanted.as_array() {
                    assert_eq!(Some(array.len()), whole.as_array().map(Vec::len), "{say}");
                }
            }
            "json_subset" => assert!(is_within(wanted, &reply.json(), id), "{say}"),
            "json_keys" => {
                for key in wanted.as_array().unwrap() {
                    assert!(reply.json().get(key.as_str().unwrap()).is_some(), "{key}: {say}");
                }
            }
            "non_null" => {
                for key in wanted.as_array().unwrap() {
                    assert!(!reply.json()[key.as_str().unwrap()].is_null(), "{key}: {say}");
                }
            }
            "json_type" => {
                let json = reply.json();
                assert!(if wanted == "array" { json.is_array() } else { json["keys"].is_array() }, "{say}");
            }
            "item_keys" => {
                let json = reply.json();
                let item = json.get(0).or_else(|| json["keys"].get(0)).unwrap_or_else(|| panic!("{say}"));
                for key in wanted.as_array().unwrap() {
                    assert!(item.get(key.as_str().unwrap()).is_some(), "{key}: {say}");
                }
            }
            "never_contains" => assert!(!reply.text.contains(wanted.as_str().unwrap()), "{say}"),
            "body_length" => assert!(reply.text.is_empty(), "{say}"),
            "session" => assert!(is_within(wanted, &world.status(&alice, id).await, id), "{say}"),
            "older_session_state" => assert_eq!(&world.status(&alice, id).await["state"], wanted, "{say}"),
            "older_heartbeat_status" => {
                assert_eq!(Some(u64::from(world.beat(id).await.status)), wanted.as_u64(), "{say}");
            }
            "ids" if wanted.as_str().unwrap().starts_with("four") => {
                let bridged: Vec<_> = crate::client::ids(&reply.json()).iter().filter_map(Value::as_u64).collect();
                assert_eq!(bridged, [24, 25, 26, 27], "the robot's leg: {say}");
            }
            "ids" => {
                let json = reply.json();
                let mut ids: Vec<_> = ["cmd", "state", "state_back", "map"]
                    .map(|label| json[format!("{label}_channel_id")].as_u64().unwrap_or_else(|| panic!("{say}")))
                    .to_vec();
                ids.sort_unstable();
                ids.dedup();
                assert!(ids.len() == 4 && ids[0] > 0, "{say}");
            }
            "then" => {
                for (call, wanted) in wanted.as_object().unwrap() {
                    let path = call.strip_prefix("GET /api/v1").unwrap();
                    let list = world.operator(&alice, "GET", path, Value::Null).await.ok();
                    assert!(list.as_array().unwrap().iter().any(|one| is_within(wanted, one, id)), "{say}: {list}");
                }
            }
            "then_robot_calls" => {
                let made = world.operator(&alice, "POST", "/keys", json!({"name": "x"})).await.ok();
                let (key, id) = (made["api_key"].as_str().unwrap(), made["id"].as_str().unwrap());
                assert_eq!(world.robot(key, "GET", "/sessions/turn-credentials", Value::Null).await.status, 200);
                world.operator(&alice, "DELETE", &format!("/keys/{id}"), Value::Null).await.ok();
                let after = world.robot(key, "GET", "/sessions/turn-credentials", Value::Null).await.status;
                assert_eq!(Some(u64::from(after)), wanted.as_u64(), "{say}");
            }
            "api_key_pattern" => {
                let json = reply.json();
                assert!(waldo_broker::auth::is_key(json["api_key"].as_str().unwrap()), "{say}");
            }
            "key_prefix" => {
                let json = reply.json();
                assert_eq!(json["key_prefix"].as_str().unwrap(), &json["api_key"].as_str().unwrap()[..14], "{say}");
            }
            "engine_peer_created" => {
                assert_eq!(world.engine.called("create").len(), peers_before, "{say}");
            }
            "operator_slot" => assert!(world.status(&alice, id).await["operator_id"].is_null(), "{say}"),
            other => panic!("{name}: no check for `{other}`"),
        }
    }
}

/// Whether a vector is one call; the one of an eviction is a story of its own.
fn is_rest(vector: &Value) -> bool {
    vector["name"].as_str().unwrap().starts_with("rest_") && vector["message"].get("path").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rest_vector_holds() {
    replay().await;
}

pub(crate) async fn replay() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let mut replayed = 0;
    for vector in vectors.iter().filter(|vector| is_rest(vector)) {
        let world = if vector["message"]["given"]["transport"] == "livekit" {
            crate::livekit::world().await
        } else {
            world().await
        };
        let id = prepare(&world, vector).await;
        let peers = world.engine.called("create").len();
        let expect = &vector["expect"];
        let times = vector["message"]["repeat"].as_u64().unwrap_or(1);
        let mut statuses = Vec::new();
        for time in 0..times {
            let reply = send(&world, vector, &id).await;
            statuses.push(u64::from(reply.status));
            if times == 1 {
                check(&world, vector, &id, &reply, expect, peers).await;
            } else if expect.get("first").is_some() {
                let part = &expect[if time == 0 { "first" } else { "second" }];
                check(&world, vector, &id, &reply, part, peers).await;
            }
        }
        if let Some(wanted) = expect.get("statuses") {
            assert_eq!(json!(statuses), *wanted, "{}", vector["name"]);
        }
        replayed += 1;
    }
    assert_eq!(replayed, 40, "the vectors have changed");
}
