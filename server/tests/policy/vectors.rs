//! The interoperability vectors that concern a server, over real sockets.

use std::collections::BTreeSet;

use serde_json::Value;
use waldo_protocol::policy::{
    Capabilities, Capability, ErrorCode, MetadataResponse, ObservationHeader, ObservationKind, ServerMessage,
};

use super::harness::*;

const TEXT: &str = include_str!("../../../tests/vectors/policy.json");

/// Entries about times of the server's clock, which the unit tests of sessions can set.
const ELSEWHERE: [&str; 1] = ["ext_action_chunk"];

fn entries(direction: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(TEXT).unwrap();
    all.into_iter().filter(|entry| entry["direction"] == direction).collect()
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// What must have been negotiated for an entry.
fn given(entry: &Value) -> Capabilities {
    let given = entry["given"].as_str().unwrap_or_default();
    let Some(rest) = given.strip_prefix("caps include ") else { return Capabilities::NONE };
    let name = rest.split([',', ';']).next().unwrap();
    caps(&[Capability::Id, Capability::from_name(name).unwrap()])
}

#[tokio::test]
async fn every_frame_of_a_client_has_the_reply_and_the_effect_that_it_must_have() {
    let entries = entries("c2s");
    assert_eq!(entries.len(), 41);
    for entry in entries {
        let name = entry["name"].as_str().unwrap().to_owned();
        if ELSEWHERE.contains(&name.as_str()) {
            continue;
        }
        if let Some(hex_text) = entry["hex"].as_str() {
            play(&name, &entry, hex(hex_text)).await;
        } else {
            // Text.
            let setup = start();
            let mut client = setup.connect().await;
            let text = entry["message"].as_str().unwrap().to_owned();
            futures_util::SinkExt::send(&mut client.socket, text.into()).await.unwrap();
            let (code, reason) = client.closed().await;
            assert_eq!(code, 1003, "{name}");
            assert!(!reason.is_empty());
        }
    }
}

async fn play(name: &str, entry: &Value, frame: Vec<u8>) {
    let expect = &entry["expect"];
    let setup = start();
    let want = given(entry);
    let mut client = if want == Capabilities::NONE { setup.connect().await } else { setup.extended(want).await };
    assert_eq!(client.caps, want, "{name} needs what is not offered");
    client.send_bytes(frame.clone()).await;
    let reply = expect["reply"].as_str().unwrap_or("none");
    let open = expect["connection"] == "open";
    if reply != "none" {
        if expect["reply_has_ext"] == true {
            client.caps = Capabilities::NONE;
        }
        let message = client.message().await;
        assert_eq!(message.kind(), reply, "{name}");
        let id = message.id().map(|id| id.get());
        assert_eq!(id, expect["reply_id"].as_u64().or(expect["reply_fields"]["id"].as_u64()), "{name}");
        if let ServerMessage::Lease(response) = &message {
            assert!(response.granted, "{name}");
        }
        if let ServerMessage::Metadata(response) = &message {
            assert_eq!(response.ext.is_some(), expect["reply_has_ext"] == true, "{name}");
            assert_eq!(response.data.get("action_shape").map(ToString::to_string).as_deref(), Some("[1, 7]"), "{name}");
        }
    }
    if open {
        // The connection goes on, and nothing but the next reply comes.
        client.ask().await;
        let mut next = client.message().await;
        if matches!(next, ServerMessage::LeaseEvent(_)) && client.caps.has(Capability::Lease) {
            next = client.message().await;
        }
        assert_eq!(next.kind(), "obs_response", "{name}");
        let applied = expect["applied"].as_bool().or(expect.get("applied_if_age_ms_at_most").map(|_| true));
        match applied {
            Some(true) => assert_applied(&setup, expect, name),
            Some(false) => assert!(setup.robot.actions().is_empty(), "{name}"),
            None => {}
        }
    } else {
        let (code, reason) = client.closed().await;
        assert_eq!(
            (code, expect["connection"].as_str().unwrap().starts_with("close 1011 with")),
            (1011, true),
            "{name}"
        );
        assert!(!reason.is_empty(), "{name}");
        assert!(setup.robot.actions().is_empty(), "{name}");
        // A client that knows errors is told instead.
        let mut knowing = setup.extended(caps(&[Capability::Err, Capability::Id])).await;
        knowing.send_bytes(frame).await;
        let ServerMessage::Error(error) = knowing.message().await else { panic!("{name}") };
        assert_eq!((error.code, error.id), (ErrorCode::Malformed, None), "{name}");
        assert_eq!(expect["error"], "malformed", "{name}");
        knowing.ask().await;
        assert_eq!(knowing.message().await.kind(), "obs_response", "{name}");
    }
    if let Some(counter) = expect["counter"].as_str() {
        assert_eq!(setup.dropped(counter), 1, "{name}");
        let line = format!(r#"waldo_refusals_total{{wire="policy",kind="{counter}"}} 1"#);
        assert!(setup.config.metrics.text().contains(&line), "{name}");
    }
}

fn assert_applied(setup: &Setup, expect: &Value, name: &str) {
    setup.robot.wait_for(1, |event| matches!(event, Event::Applied { .. }));
    let actions = setup.robot.actions();
    let [action] = &actions[..] else { panic!("{name}: {actions:?}") };
    let Some(expected) = expect.get("action") else { return };
    let numbers = |value: &Value| value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<_>>();
    let array = action.array().unwrap();
    let shape: Vec<u64> = action.shape.iter().map(|side| *side as u64).collect();
    assert_eq!(serde_json::json!(shape), expected["shape"], "{name}");
    assert_eq!(array.dtype().name(), expected["dtype"], "{name}");
    assert_eq!(array.f64s().collect::<Vec<_>>(), numbers(&expected["values"]), "{name}");
    assert_eq!(action.values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>(), numbers(&expected["values"]), "{name}");
    let stamps = expect["obs_timestamps"].as_object().unwrap();
    assert_eq!(action.obs_timestamps.len(), stamps.len(), "{name}");
    for (camera, stamp) in &action.obs_timestamps {
        assert_eq!(*stamp, stamps[camera].as_f64().unwrap(), "{name}");
    }
}

#[test]
fn every_scenario_is_played_here_or_belongs_to_somebody_else() {
    let scenarios = entries("scenario");
    let names: BTreeSet<&str> = scenarios.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    let here = ["pipelined_order", "action_behind_slow_get_obs", "second_client_while_first_acts"];
    let of_clients =
        ["stop_stream_in_flight", "calls_while_streaming", "two_streams_started", "server_lost_while_streaming"];
    let of_the_hub = ["torn_pair"];
    let of_zenoh = ["zenoh_malformed_sample", "zenoh_lost_reply"];
    assert_eq!(names, here.into_iter().chain(of_clients).chain(of_the_hub).chain(of_zenoh).collect());
}

fn scenario(name: &str) -> Value {
    entries("scenario").into_iter().find(|entry| entry["name"] == name).unwrap()
}

#[tokio::test]
async fn requests_sent_without_waiting_are_answered_in_their_order() {
    let scenario = scenario("pipelined_order");
    let slow = Behaviour {
        observation: Some(std::time::Duration::from_millis(50)),
        reset: std::time::Duration::from_millis(50),
        ..Behaviour::default()
    };
    for behaviour in [Behaviour::default(), slow] {
        let setup = start_with(behaviour, |_| {});
        let mut client = setup.connect().await;
        for message in scenario["message"].as_array().unwrap() {
            let name = message.as_str().unwrap().strip_prefix("c2s ").unwrap();
            let request = entries("c2s").into_iter().find(|entry| entry["name"] == name).unwrap();
            client.send_bytes(hex(request["hex"].as_str().unwrap())).await;
        }
        for expected in scenario["expect"]["replies_in_order"].as_array().unwrap() {
            assert_eq!(client.message().await.kind(), expected.as_str().unwrap());
        }
        client.hears_nothing().await;
    }
}

#[tokio::test]
async fn an_action_does_not_wait_for_a_slow_observation() {
    let scenario = scenario("action_behind_slow_get_obs");
    let limit = scenario["expect"]["action_applied_within_ms"].as_f64().unwrap();
    let half_a_second = std::time::Duration::from_millis(500);
    let setup = start_with(Behaviour { observation: Some(half_a_second), ..Behaviour::default() }, |_| {});
    let (mut client, mut other) = (setup.connect().await, setup.connect().await);
    let begin = std::time::Instant::now();
    client.ask().await;
    client.act(&[1.0]).await;
    // Somebody else's connection does not wait either.
    other.send(|out| waldo_protocol::policy::MetadataRequest::default().encode(out)).await;
    assert_eq!(other.message().await.kind(), "metadata_response");
    let answered = begin.elapsed();
    let applied = setup.robot.wait_for_action(&[1.0]) - begin;
    assert!(applied.as_secs_f64() * 1000.0 < 10.0 * limit, "applied after {applied:?}");
    assert!(answered < half_a_second, "answered after {answered:?}");
    assert_eq!(client.message().await.kind(), "obs_response");
    assert!(begin.elapsed() >= half_a_second);
}

#[tokio::test]
async fn a_second_client_sees_but_does_not_act_while_the_first_does() {
    scenario("second_client_while_first_acts");
    let setup = start();
    let (mut first, mut second) = (setup.connect().await, setup.connect().await);
    for n in 0..5u8 {
        first.act(&[f32::from(n)]).await;
        setup.robot.wait_for_action(&[f32::from(n)]);
        second.ask().await;
        assert_eq!(second.message().await.kind(), "obs_response");
        second.act(&[-1.0]).await;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    setup.until("its actions are counted", |setup| setup.dropped("not_holder") == 5).await;
    // An old client is not told, and keeps its connection.
    second.hears_nothing().await;
    assert_eq!(setup.robot.actions().len(), 5);
    assert!(setup.robot.actions().iter().all(|action| action.values[0] >= 0.0));
}

#[tokio::test]
async fn an_old_client_gets_exactly_the_bytes_of_the_original() {
    let setup = start();
    setup.hub.update_image("wrist_cam", &[7u8; 4 * 6 * 3]).unwrap();
    setup.hub.update_proprio("joints", &[1.0f32, 2.0, 3.0]).unwrap();
    let mut client = setup.connect().await;
    client.send(|out| waldo_protocol::policy::MetadataRequest::default().encode(out)).await;
    let mut expected = Vec::new();
    let data = waldo_server::policy::PolicyRobot::metadata(&setup.robot);
    MetadataResponse { data, ext: None, id: None }.encode(&mut expected);
    assert_eq!(client.frame().await, expected);

    let snapshot = setup.hub.snapshot();
    let camera = &snapshot.cameras[0];
    let image = waldo_protocol::policy::ArrayHeader::new(camera.image.dtype(), camera.image.shape()).unwrap();
    let cameras = [waldo_protocol::policy::CameraHeader {
        name: "wrist_cam",
        timestamp: camera.stamp.unwrap().as_nanos() as f64 / 1e9,
        intrinsics: &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        extrinsics: &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        image: waldo_protocol::policy::ImageHeader::Raw(image),
        depth: None,
        marks: None,
    }];
    let proprios = [waldo_protocol::policy::ProprioHeader { name: "joints", len: 3 }];
    let extra = waldo_protocol::policy::AppMap::default();
    let header = ObservationHeader {
        timestamp: 0.0,
        cameras: &cameras,
        proprios: &proprios,
        extra: &extra,
        align: None,
        episode: None,
    };
    let payload: Vec<u8> =
        [7u8; 72].into_iter().chain([1.0f32, 2.0, 3.0].into_iter().flat_map(f32::to_le_bytes)).collect();
    let frame = |kind| {
        let mut frame = Vec::new();
        assert_eq!(header.encode(kind, None, &mut frame), payload.len() as u64);
        frame.extend(&payload);
        frame
    };
    client.ask().await;
    assert_eq!(client.frame().await, frame(ObservationKind::Requested));
    let mut info = waldo_protocol::policy::AppMap::default();
    info.insert("seed", 5).unwrap();
    client.reset().await;
    assert_eq!(client.frame().await, frame(ObservationKind::Reset { info: &info }));
    client.step(&[0.0]).await;
    let kind = ObservationKind::Step { outcome: waldo_protocol::policy::Outcome::default(), info: &extra };
    assert_eq!(client.frame().await, frame(kind));
}
