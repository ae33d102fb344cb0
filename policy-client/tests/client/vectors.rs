//! The interoperability vectors of what a server sends, as replies on a socket.

use serde_json::Value as Json;
use waldo_policy_client::{Camera, Error, Observation, Value};
use waldo_protocol::policy::ClientMessage;

use crate::server::{Answer, Kind};
use crate::{connect_with, plain};

/// The entries of the interoperability vectors.
fn vectors() -> Vec<Json> {
    serde_json::from_str(include_str!("../../../tests/vectors/policy.json")).unwrap()
}

fn bytes_of(entry: &Json) -> Vec<u8> {
    let hex = entry["hex"].as_str().unwrap();
    hex.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// The bytes of one of them.
pub(crate) fn vector(name: &str) -> Vec<u8> {
    bytes_of(vectors().iter().find(|entry| entry["name"] == name).unwrap())
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Boolean(flag) => (*flag).into(),
        Value::Integer(n) => n.as_i64().unwrap().into(),
        Value::F32(n) => f64::from(*n).into(),
        Value::F64(n) => (*n).into(),
        Value::String(text) => text.as_str().unwrap().into(),
        Value::Binary(bytes) => {
            serde_json::json!({ "$bin": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() })
        }
        Value::Array(values) => values.iter().map(to_json).collect(),
        Value::Map(entries) => {
            entries.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), to_json(value))).collect()
        }
        Value::Ext(..) => panic!("no vector has one"),
    }
}

fn map_to_json(map: &waldo_policy_client::AppMap) -> Json {
    map.iter().map(|(key, value)| (key.to_owned(), to_json(value))).collect()
}

fn numbers(values: impl IntoIterator<Item = f64>) -> Json {
    values.into_iter().collect()
}

fn check_camera(camera: Camera<'_>, expected: &Json, name: &str) {
    assert_eq!(camera.name(), expected["name"], "{name}");
    assert_eq!(camera.timestamp(), expected["timestamp"].as_f64().unwrap(), "{name}");
    assert_eq!(numbers(camera.intrinsics().iter().copied()), expected["intrinsics"], "{name}");
    assert_eq!(numbers(camera.extrinsics().iter().copied()), expected["extrinsics"], "{name}");
    let image = &expected["image"];
    assert_eq!(serde_json::to_value(camera.shape()).unwrap(), image["shape"], "{name}");
    assert_eq!(camera.dtype().name(), image["dtype"], "{name}");
    let hex: String = camera.image_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, image["hex"], "{name}");
    let view = camera.image().unwrap();
    assert_eq!(view.len(), camera.image_bytes().len(), "{name}");
    match camera.depth().unwrap() {
        None => assert!(expected["depth"].is_null(), "{name}"),
        Some(depth) => {
            assert_eq!(serde_json::to_value(depth.shape()).unwrap(), expected["depth"]["shape"], "{name}");
            assert_eq!(numbers(depth.iter().copied().map(f64::from)), expected["depth"]["values"], "{name}");
        }
    }
}

fn check_observation(observation: &Observation, expect: &Json, name: &str) {
    assert_eq!(observation.timestamp(), expect["timestamp"].as_f64().unwrap(), "{name}");
    assert_eq!(map_to_json(observation.extra()), expect["extra"], "{name}");
    let cameras = expect["cameras"].as_array().unwrap();
    assert_eq!(observation.cameras().len(), cameras.len(), "{name}");
    observation.cameras().zip(cameras).for_each(|(camera, expected)| check_camera(camera, expected, name));
    let proprios = expect["proprios"].as_object().unwrap();
    assert_eq!(observation.proprios().len(), proprios.len(), "{name}");
    for (stream, expected) in proprios {
        let stream = observation.proprio(stream).unwrap();
        assert_eq!(stream.raw().unwrap().dtype().name(), expected["dtype"], "{name}");
        assert_eq!(numbers(stream.raw().unwrap().f64s()), expected["values"], "{name}");
    }
    let error = observation.camera("no such").err().unwrap().to_string();
    assert!(error.starts_with("no camera \"no such\" in the observation; there are ["), "{error}");
}

#[tokio::test]
async fn every_vector_of_a_server_is_what_the_policy_gets() {
    let mut checked = 0;
    for entry in vectors().into_iter().filter(|entry| entry["direction"] == "s2c") {
        let name = entry["name"].as_str().unwrap().to_owned();
        // Only a client that asked for extensions is sent these; other tests have them.
        if name.starts_with("ext_") {
            continue;
        }
        let (frame, expect) = (bytes_of(&entry), &entry["expect"]);
        let kind = if name.contains("step") { Kind::First } else { Kind::Decoupled };
        let (server, client) = connect_with(kind, plain()).await;
        client.generation().await.unwrap();
        server.on(move |message| match message {
            ClientMessage::ApplyAction(_) => Answer::Usual,
            _ => Answer::Frames(vec![frame.clone()]),
        });
        if expect["decode"] == "error" {
            let error = client.observation().await.unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{name}: {error}");
        } else {
            match expect["type"].as_str().unwrap() {
                "metadata_response" => {
                    assert_eq!(map_to_json(&client.metadata().await.unwrap().data), expect["data"], "{name}");
                }
                "obs_response" => check_observation(&client.observation().await.unwrap(), expect, &name),
                "reset_response" => {
                    let (observation, info) = client.reset().await.unwrap();
                    check_observation(&observation, expect, &name);
                    assert_eq!(map_to_json(&info), expect["info"], "{name}");
                }
                "step_response" => {
                    let step = client.step([0.0]).await.unwrap();
                    check_observation(&step.observation, expect, &name);
                    assert_eq!(map_to_json(&step.info), expect["info"], "{name}");
                    assert_eq!(step.outcome.reward, expect["reward"].as_f64().unwrap(), "{name}");
                    assert_eq!(step.outcome.terminated, expect["terminated"].as_bool().unwrap(), "{name}");
                    assert_eq!(step.outcome.truncated, expect["truncated"].as_bool().unwrap(), "{name}");
                }
                other => panic!("{name}: {other}"),
            }
        }
        checked += 1;
    }
    assert_eq!(checked, 25);
}
