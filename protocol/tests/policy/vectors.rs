//! The interoperability vectors: every `c2s`, `s2c` and `calc` entry.

mod json;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use waldo_protocol::policy::{
    ActionChunk, Camera, Capabilities, ChunkQueue, ClientId, ClientMessage, ClockMap, ClockResponse, ErrorCode,
    Generation, GenerationProbe, Image, MetadataResponse, Observation, Region, RequestId, RobotId, ServerMessage,
    ZenohKeys, adapt_intrinsics, live_key,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use self::json::{array_json, frame, map_json, own, stamps_json};
use crate::encode;
use crate::json::assert_same;

const TEXT: &str = include_str!("../../../tests/vectors/policy.json");

/// Of running servers and clients.
const SCENARIOS: [&str; 10] = [
    "pipelined_order",
    "stop_stream_in_flight",
    "calls_while_streaming",
    "two_streams_started",
    "server_lost_while_streaming",
    "action_behind_slow_get_obs",
    "torn_pair",
    "zenoh_malformed_sample",
    "zenoh_lost_reply",
    "second_client_while_first_acts",
];

fn all() -> Vec<Value> {
    serde_json::from_str(TEXT).unwrap()
}

/// Runs every entry of a direction and fails if their number is not the one this test claims to cover.
fn run(direction: &str, count: usize, check: impl Fn(&Value, &str)) {
    let entries: Vec<_> = all().into_iter().filter(|e| e["direction"] == direction).collect();
    assert_eq!(entries.len(), count, "number of {direction} entries");
    for entry in &entries {
        check(entry, entry["name"].as_str().unwrap());
    }
}

#[test]
fn every_entry_is_covered_or_named_as_left_out() {
    let all = all();
    let names: BTreeSet<&str> = all.iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), all.len(), "two entries of one name");
    let left_out: BTreeSet<&str> =
        all.iter().filter(|e| e["direction"] == "scenario").map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(left_out, SCENARIOS.into());
    // The rest has tests here, with these counts.
    assert_eq!(all.len() - left_out.len(), 41 + 27 + 4);
}

/// What was negotiated before an entry's frame came.
fn negotiated(entry: &Value) -> Capabilities {
    let given = entry["given"].as_str().unwrap_or_default();
    if given.starts_with("caps include") { Capabilities::all() } else { Capabilities::NONE }
}

#[test]
fn frames_of_clients_are_read_as_a_server_must() {
    run("c2s", 41, |entry, name| {
        let expect = &entry["expect"];
        if entry["hex"].is_null() {
            // Text is no frame; its connection is closed before there is anything to decode.
            assert_eq!((name, &expect["decode"]), ("text_message", &json!("error")));
            return;
        }
        let bytes = frame(entry);
        match ClientMessage::decode(&bytes, negotiated(entry)) {
            Ok(message) => {
                assert_eq!(expect["decode"], "ok", "{name}: {message:?}");
                assert_client_message(&message, &bytes, expect, name);
            }
            Err(error) => {
                assert_eq!(expect["decode"], "error", "{name}: {error}");
                assert_eq!(error.code().name(), expect["error"], "{name}: {error}");
                assert_eq!((&expect["applied"], &expect["reply"]), (&json!(false), &json!("none")), "{name}");
                assert_why(&error.to_string(), expect, name);
            }
        }
    });
}

/// Whether an error says what the vector says is wrong.
fn assert_why(error: &str, expect: &Value, name: &str) {
    let told = match expect["why"].as_str().unwrap() {
        "type missing" => "type: is missing",
        "shape missing" => "shape: is missing",
        "timestamp missing" => "timestamp: is missing",
        "shorter than 4 bytes" => "at least 4 bytes",
        "header_len exceeds the message" => "does not fit into a message",
        "header is not a map" => "must be a map",
        "truncated msgpack" => "cut off",
        "payload is not product(shape)*itemsize" => "payload: ",
        "negative dimension" => "shape: dimension -1 is negative",
        "bytes after the header map" => "bytes after the header map",
        "map keys must be strings" => "keys must be text",
        "dtype name not in the list" => "dtype: \">f4\" is no element type",
        "shape must be an array" => "shape: must be an array",
        "range outside payload" => "camera \"cam\": image_offset: 12 bytes at 100 lie outside of a payload of 12",
        "image_size differs from product(shape)*itemsize" => "camera \"cam\": image_size: 1",
        "intrinsics must have 9 numbers" => "camera \"cam\": intrinsics: must have 9 numbers, not 8",
        "size is not a multiple of the item size" => "proprio \"p\": size: 3 bytes are no multiple of the item size 4",
        other => panic!("{name}: nothing is known of {other:?}"),
    };
    assert!(error.contains(told), "{name}: {error}");
}

fn assert_client_message(message: &ClientMessage, bytes: &[u8], expect: &Value, name: &str) {
    let reply = match message {
        ClientMessage::Metadata(_) => "metadata_response",
        ClientMessage::Reset(_) => "reset_response",
        ClientMessage::ObsRequest(_) => "obs_response",
        ClientMessage::Action(_) => "step_response",
        ClientMessage::Chunk(_) => "chunk_response",
        ClientMessage::Lease(_) => "lease_response",
        ClientMessage::ApplyAction(_) | ClientMessage::Unknown { .. } => "none",
        other => panic!("{name}: {other:?}"),
    };
    let kind = match message {
        ClientMessage::Unknown { kind, .. } => kind.as_deref().unwrap(),
        known => known.kind(),
    };
    assert_eq!((expect["type"].as_str().unwrap_or(kind), &expect["reply"]), (kind, &json!(reply)), "{name}");
    if let ClientMessage::ApplyAction(action) | ClientMessage::Action(action) = message {
        if let Some(expected) = expect.get("action") {
            assert_same(&array_json(&action.array, bytes, expected), expected, name);
            assert_same(&stamps_json(&action.obs_timestamps), &expect["obs_timestamps"], name);
        }
        let finite = action.array.view(bytes).unwrap().is_finite();
        assert_eq!(expect["applied"].as_bool().unwrap_or(true), finite, "{name}");
        assert_eq!(expect["counter"] == ErrorCode::NonFinite.name(), !finite, "{name}");
        if let Some(seq) = expect.get("seq") {
            assert_eq!((json!(action.marks.seq), json!(action.marks.ttl_ms)), (seq.clone(), expect["ttl_ms"].clone()));
        }
    }
    if let ClientMessage::Chunk(chunk) = message {
        assert_chunk(chunk, bytes, expect, name);
    }
    if let ClientMessage::Metadata(request) = message {
        // A server has extensions for those that ask, and the id for those that may send one.
        let extended = expect["reply_has_ext"].as_bool().unwrap_or(false);
        assert_eq!(request.ext.is_some(), extended, "{name}");
        assert_eq!(request.agreed(Capabilities::all()) != Capabilities::NONE, extended, "{name}");
    }
    let id = message.id().map(RequestId::get);
    let expected = expect.get("reply_id").or_else(|| expect["reply_fields"].get("id"));
    match expected {
        Some(expected) => assert_eq!(json!(id), *expected, "{name}"),
        None => assert!(id.is_none() || kind == "action_chunk", "{name}"),
    }
    let again = encode::client(message, bytes);
    if expect["encode_exact"] == true {
        assert_eq!(again.as_deref(), Some(bytes), "{name}");
    }
}

/// The chunk goes into an empty queue at the time that the vector names.
fn assert_chunk(chunk: &ActionChunk, bytes: &[u8], expect: &Value, name: &str) {
    let (rows, values) = chunk.rows();
    assert_eq!(json!(rows), expect["rows"], "{name}");
    let floats: Vec<f32> = chunk.array.view(bytes).unwrap().f32s().collect();
    let due = (0..rows).map(|row| chunk.timing.due(row).unwrap());
    let mut queue = ChunkQueue::new(512);
    let rows = due.zip(floats.chunks(values));
    let queued = queue.push(10.06, chunk.late_limit_ms / 1000.0, chunk.mode, rows).unwrap();
    assert_eq!(json!([queued.dropped_late, queued.queued]), json!([expect["dropped_late"], expect["queued"]]));
    let (due, row) = queue.pop_due(10.1).unwrap();
    assert!((due - 10.1).abs() < 1e-9 && row == &floats[4..], "{name}: {due} {row:?}");
}

#[test]
fn frames_of_servers_are_read_as_a_client_must() {
    run("s2c", 27, |entry, name| {
        let expect = &entry["expect"];
        let bytes = frame(entry);
        let read = ServerMessage::decode(&bytes, Capabilities::all());
        if !name.starts_with("ext_") {
            assert_eq!(read, ServerMessage::decode(&bytes, Capabilities::NONE), "{name}");
        }
        match read {
            Ok(message) => {
                assert_eq!(expect["decode"], "ok", "{name}: {message:?}");
                assert_server_message(&message, &bytes, expect, name);
            }
            Err(error) => {
                assert_eq!(expect["decode"], "error", "{name}: {error}");
                assert_why(&error.to_string(), expect, name);
            }
        }
    });
}

fn assert_server_message(message: &ServerMessage, bytes: &[u8], expect: &Value, name: &str) {
    let mut read = Map::new();
    match message {
        ServerMessage::Metadata(MetadataResponse { data, ext, .. }) => {
            read.insert("data".to_owned(), map_json(data));
            assert_eq!(ext.is_some(), expect.get("ext").is_some(), "{name}");
            if let Some(ext) = ext {
                let expect = &expect["ext"];
                let caps: Vec<_> = ext.caps.iter().map(|cap| cap.name()).collect();
                let read = json!({
                    "v": ext.v, "impl": ext.impl_name, "caps": caps, "robot": ext.robot.as_ref().unwrap().as_str(),
                    "clock": expect["clock"],
                    "limits": {"max_inflight": ext.limits.max_inflight, "max_chunk": ext.limits.max_chunk},
                });
                assert_same(&read, expect, name);
            }
        }
        ServerMessage::Observation(_) => {}
        ServerMessage::Reset(response) => {
            read.insert("info".to_owned(), map_json(&response.info));
        }
        ServerMessage::Step(response) => {
            read.insert("info".to_owned(), map_json(&response.info));
            read.insert("reward".to_owned(), json!(response.outcome.reward));
            read.insert("terminated".to_owned(), json!(response.outcome.terminated));
            read.insert("truncated".to_owned(), json!(response.outcome.truncated));
        }
        ServerMessage::Error(reply) => {
            read.insert("id".to_owned(), json!(reply.id.map(RequestId::get)));
            read.insert("code".to_owned(), json!(reply.code.name()));
            read.insert("completes_request".to_owned(), json!(message.id().map(RequestId::get)));
        }
        other => panic!("{name}: {other:?}"),
    }
    read.insert("type".to_owned(), json!(message.kind()));
    if let Some(observation) = message.observation() {
        read.extend(observation_json(observation, bytes, expect));
    }
    let beside = ["decode", "encode_exact", "original", "no_panic", "ext"];
    let expected = expect.as_object().unwrap().iter().filter(|(key, _)| !beside.contains(&key.as_str()));
    assert_same(&Value::Object(read), &Value::Object(expected.map(own).collect()), name);
    let again = encode::server(message, bytes);
    if expect["encode_exact"] == true {
        assert_eq!(again.as_deref(), Some(bytes), "{name}");
    }
}

fn observation_json(observation: &Observation, bytes: &[u8], expect: &Value) -> Map<String, Value> {
    let cameras = observation.cameras.iter().zip(expect["cameras"].as_array().unwrap());
    let proprios = observation.proprios.iter().map(|proprio| {
        let expected = &expect["proprios"][&proprio.name];
        (proprio.name.clone(), array_json(&proprio.array, bytes, expected))
    });
    let json = json!({
        "timestamp": observation.timestamp,
        "cameras": cameras.map(|(camera, expected)| camera_json(camera, bytes, expected)).collect::<Value>(),
        "proprios": Value::Object(proprios.collect()),
        "extra": map_json(&observation.extra),
    });
    assert_eq!(observation.cameras.len(), expect["cameras"].as_array().unwrap().len());
    json.as_object().unwrap().clone()
}

fn camera_json(camera: &Camera, bytes: &[u8], expect: &Value) -> Value {
    let Image::Raw(image) = &camera.image else { panic!("{}: not raw", camera.name) };
    json!({
        "name": camera.name,
        "timestamp": camera.timestamp,
        "intrinsics": camera.intrinsics,
        "extrinsics": camera.extrinsics,
        "image": array_json(image, bytes, &expect["image"]),
        "depth": camera.depth.as_ref().map(|depth| array_json(depth, bytes, &expect["depth"])),
    })
}

#[test]
fn the_generation_of_a_server_is_seen_from_what_it_sends() {
    let seen = |names: &[&str]| {
        let mut probe = GenerationProbe::default();
        for name in names {
            let entry = all().into_iter().find(|entry| entry["name"] == *name).unwrap();
            probe.on_message(&ServerMessage::decode(&frame(&entry), Capabilities::all()).unwrap());
        }
        probe
    };
    assert_eq!(seen(&["ext_metadata_response"]).known(), Some(Generation::Extended));
    assert_eq!(seen(&["metadata_response_mixed", "cpp_reset_response"]).known(), Some(Generation::Coupled));
    assert_eq!(seen(&["legacy_py_step_response"]).known(), Some(Generation::Coupled));
    assert_eq!(seen(&["metadata_response_mixed", "obs_response_full"]).known(), Some(Generation::Decoupled));
    assert_eq!(seen(&["ext_metadata_response", "cpp_reset_response"]).known(), Some(Generation::Extended));
    let mut undecided = seen(&["metadata_response_mixed", "reset_response_full"]);
    assert_eq!(undecided.known(), None);
    undecided.on_silence();
    assert_eq!(undecided.known(), Some(Generation::Coupled));
    // It was slow and not silent.
    let entry = all().into_iter().find(|entry| entry["name"] == "obs_response_full").unwrap();
    assert!(undecided.on_message(&ServerMessage::decode(&frame(&entry), Capabilities::NONE).unwrap()));
    assert_eq!(undecided.known(), Some(Generation::Decoupled));
    undecided.on_silence();
    assert_eq!(undecided.known(), Some(Generation::Decoupled));
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[track_caller]
fn assert_close(actual: &[f64], expected: &[f64], expect: &Value) {
    let tolerance = number(&expect["tolerance"]);
    assert_eq!(actual.len(), expected.len());
    assert!(actual.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance), "{actual:?}, not {expected:?}");
}

#[test]
fn clocks_pictures_and_keys_are_calculated_as_the_peer_does() {
    run("calc", 4, |entry, name| {
        let (message, expect) = (&entry["message"], &entry["expect"]);
        match name {
            "ext_clock_exchange" => {
                let [t0, t1, t2, t3] = ["t0", "t1", "t2", "t3"].map(|key| number(&message[key]));
                let mut map = ClockMap::default();
                map.add(&ClockResponse { id: RequestId::FIRST, t0, t1, t2 }, t3);
                let best = map.best().unwrap();
                let expected = [number(&expect["offset_s"]), number(&expect["rtt_s"])];
                assert_close(&[best.offset, best.round_trip], &expected, expect);
            }
            "ext_intrinsics_resize" => {
                let size = |key: &str| [0, 1].map(|i| u32::try_from(message[key][i].as_u64().unwrap()).unwrap());
                let numbers = |k: &Value| k.as_array().unwrap().iter().map(number).collect::<Vec<_>>();
                let k: [f64; 9] = numbers(&message["K"]).try_into().unwrap();
                let adapted = adapt_intrinsics(&k, Region::whole(size("from")), size("to"));
                assert_close(&adapted, &numbers(&expect["K"]), expect);
            }
            "zenoh_keys_legacy" => {
                let keys = ZenohKeys::legacy();
                assert_eq!(json!({"c2s": keys.c2s, "s2c": keys.s2c}), *expect);
            }
            "zenoh_keys_prefixed" => {
                let robot = RobotId::parse(message["robot"].as_str().unwrap()).unwrap();
                let client = ClientId::parse(message["client"].as_str().unwrap()).unwrap();
                let keys = ZenohKeys::prefixed(&robot, &client);
                assert_eq!(json!({"c2s": keys.c2s, "s2c": keys.s2c, "live": live_key(&robot)}), *expect);
            }
            other => panic!("{other} is not played"),
        }
    });
}
