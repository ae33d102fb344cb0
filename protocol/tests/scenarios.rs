//! The scenarios of the interoperability vectors that need no running server: which frames of a stream are new, and what
//! they decide.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use waldo_protocol::vr::{Capability, ClientMessage, Episode, RecordingEdges, SeqMark, VrFrame, dispatch};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

const TEXT: &str = include_str!("../../tests/vectors/vr.json");

/// What a server keeps of one stream, here one for each socket and its pose channel.
#[derive(Default)]
struct Stream {
    mark: SeqMark,
    edges: RecordingEdges,
}

/// What came of a scenario.
#[derive(Default)]
struct Outcome {
    accepted: Vec<bool>,
    resets: u32,
    episodes: Vec<&'static str>,
}

fn minimal_frame(overrides: &Value) -> VrFrame {
    let point = json!({"x": 0, "y": 1, "z": 0});
    let ee = json!({"position": point, "quaternion": {"x": 0, "y": 0, "z": 0, "w": 1}});
    let mut frame = json!({"l_ee": ee, "r_ee": ee, "l_elbow": point, "r_elbow": point});
    frame.as_object_mut().unwrap().extend(overrides.as_object().unwrap().clone());
    match dispatch(&frame.to_string()) {
        Ok(ClientMessage::Pose(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

fn act(steps: &[Value]) -> Outcome {
    let mut streams: BTreeMap<String, Stream> = BTreeMap::new();
    let mut outcome = Outcome::default();
    for step in steps {
        if let Some(closed) = step["close"].as_str() {
            streams.remove(closed);
        }
        let Some(from) = step["from"].as_str() else { continue };
        let stream = streams.entry(from.trim_end_matches(".channel").to_owned()).or_default();
        if let Some(overrides) = step.get("pose") {
            let frame = minimal_frame(overrides);
            let new = stream.mark.admit(frame.seq);
            outcome.accepted.push(new);
            if new {
                let edges = stream.edges.observe(&frame, true);
                outcome.resets += u32::from(edges.reset);
                outcome.episodes.extend(edges.episode.map(name));
            }
            continue;
        }
        match dispatch(&step["message"].to_string()) {
            Ok(ClientMessage::Hello(hello)) if hello.caps.contains(&Capability::Counters) => {
                stream.edges.use_counters();
            }
            other => panic!("{other:?}"),
        }
    }
    outcome
}

fn name(episode: Episode) -> &'static str {
    match episode {
        Episode::Start => "start",
        Episode::Save { review: false } => "save",
        Episode::Save { review: true } => "save for review",
        Episode::Discard => "discard",
    }
}

/// Acts every scenario whose name begins so, and compares what it expects of streams.
fn run(prefix: &str, names: &[&str]) {
    let all: Vec<Value> = serde_json::from_str(TEXT).unwrap();
    let begins = |e: &&Value| e["direction"] == "scenario" && e["name"].as_str().unwrap().starts_with(prefix);
    let scenarios: Vec<&Value> = all.iter().filter(begins).collect();
    assert_eq!(scenarios.iter().map(|e| e["name"].as_str().unwrap()).collect::<Vec<_>>(), names);
    for entry in scenarios {
        let (name, expect) = (&entry["name"], &entry["expect"]);
        let outcome = act(entry["message"].as_array().unwrap());
        let accepted = outcome.accepted.iter().filter(|a| **a).count();
        let mut compared = 0;
        for (key, actual) in [
            ("accepted", json!(outcome.accepted)),
            ("callback_calls", json!(accepted)),
            ("reset_events", json!(outcome.resets)),
            ("rest_moves", json!(outcome.resets)),
            ("episode_events", json!(outcome.episodes)),
        ] {
            if let Some(expected) = expect.get(key) {
                assert_eq!(&actual, expected, "{name}: {key}");
                compared += 1;
            }
        }
        assert!(compared > 0, "{name} expects nothing that is known here");
    }
}

#[test]
fn each_frame_of_a_stream_counts_once() {
    run(
        "seq_",
        &["seq_duplicate", "seq_lower", "seq_across_transports", "seq_reset_when_driver_leaves", "seq_absent_bypasses"],
    );
}

#[test]
fn each_press_of_reset_counts_once() {
    run("reset_", &["reset_single_pulse", "reset_held", "reset_twice"]);
    run("exit_", &["exit_frame_duplicated"]);
    run("ext_reset_", &["ext_reset_counter"]);
}

#[test]
fn episodes_start_and_end_by_the_edges_of_the_state() {
    run("record_", &["record_start", "record_save", "record_discard", "record_server_saving_echo"]);
}
