//! Every `calc` entry of the vectors whose function is `playout`.

use std::collections::BTreeSet;
use std::iter;

use glam::{DQuat, DVec3};
use serde_json::Value;
use waldo_protocol::geometry::Pose;
use waldo_protocol::vr::{PlayoutConfig, VrFrame};

use super::expression::evaluate;
use super::stream::{Arrival, Played, frame, play, seconds, ticks};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const TEXT: &str = include_str!("../../../tests/vectors/vr.json");

/// The entry of that name.
fn entry(name: &str) -> Value {
    let all: Vec<Value> = serde_json::from_str(TEXT).unwrap();
    all.into_iter().find(|e| e["name"] == name).unwrap_or_else(|| panic!("no entry {name}"))
}

/// A field of frame `i`: a number, a flag, null, or an expression.
fn value(field: &Value, i: usize) -> Option<f64> {
    match field {
        Value::Null => None,
        Value::Number(n) => n.as_f64(),
        Value::String(text) => Some(evaluate(text, i as f64)),
        other => panic!("{other}"),
    }
}

fn set(frame: &mut VrFrame, fields: &Value, i: usize) {
    for (key, field) in fields.as_object().unwrap() {
        let value = value(field, i);
        let left = &mut frame.left;
        match key.as_str() {
            "rate_hz" | "frames" | "arrival_delay_s" | "arrival_s" => {}
            "t" => frame.t = value,
            "l_ee.x" => {
                let position = DVec3::new(value.unwrap(), 0.0, 0.0);
                left.pose = Pose::new(position, left.pose.orientation()).unwrap();
            }
            "l_ee.rot_z" => {
                left.pose = Pose::new(left.pose.position(), DQuat::from_rotation_z(value.unwrap())).unwrap();
            }
            "l_grip" => left.grip = value.unwrap(),
            "l_tracked" => left.tracked = value.unwrap() != 0.0,
            other => panic!("unknown field {other}"),
        }
    }
}

fn arrivals(stream: &Value) -> Vec<Arrival> {
    if let Some(explicit) = stream["frames_explicit"].as_array() {
        let make = |(i, fields): (usize, &Value)| {
            let mut frame = frame();
            set(&mut frame, fields, i);
            (fields["arrival_s"].as_f64().unwrap(), frame)
        };
        return explicit.iter().enumerate().map(make).collect();
    }
    let rate = stream["rate_hz"].as_f64().unwrap();
    let delay = stream["arrival_delay_s"].as_f64().unwrap();
    let make = |i: u64| {
        let captured = i as f64 / rate;
        let mut frame = VrFrame { t: Some(captured * 1e3), ..frame() };
        set(&mut frame, stream, usize::try_from(i).unwrap());
        (captured + delay, frame)
    };
    (0..stream["frames"].as_u64().unwrap()).map(make).collect()
}

fn config(entry: &Value) -> PlayoutConfig {
    let mut config = PlayoutConfig::default();
    for (key, value) in entry["message"]["config"].as_object().into_iter().flatten() {
        match key.as_str() {
            "smooth_window_s" => config.smooth_window = seconds(value.as_f64().unwrap()),
            other => panic!("unknown setting {other}"),
        }
    }
    config
}

fn run(name: &str) -> (Played, Value) {
    let entry = entry(name);
    let stream = &entry["message"]["stream"];
    let arrivals = arrivals(stream);
    let end = arrivals.last().unwrap().0;
    let played = match stream["sample_at_s"].as_array() {
        // They may lie before the last arrival: all frames are there when these are rendered.
        Some(times) => play(config(&entry), &arrivals, iter::once(end).chain(times.iter().filter_map(Value::as_f64))),
        None => play(config(&entry), &arrivals, ticks(0.0, end + 1.0 / 120.0)),
    };
    (played, entry["expect"].clone())
}

fn angle(played: &waldo_protocol::vr::Rendered) -> f64 {
    let q = played.frame.left.pose.orientation();
    2.0 * q.z.atan2(q.w)
}

#[test]
fn every_entry_has_a_test() {
    let all: Vec<Value> = serde_json::from_str(TEXT).unwrap();
    let of_playout = all.iter().filter(|e| e["direction"] == "calc" && e["message"]["fn"] == "playout");
    let names: BTreeSet<&str> = of_playout.map(|e| e["name"].as_str().unwrap()).collect();
    let covered = [
        "playout_lag_clean",
        "playout_lag_no_window",
        "playout_glitch_6_frames",
        "playout_real_step",
        "playout_untracked_hold",
        "playout_pure_rotation",
        "playout_unstamped",
        "playout_clock_back",
        "playout_two_frames_lerp",
    ];
    assert_eq!(names, BTreeSet::from(covered));
}

#[test]
fn the_lag_on_a_clean_link_is_half_the_window() {
    for name in ["playout_lag_clean", "playout_lag_no_window"] {
        let (played, expect) = run(name);
        let lags = played.left().filter(|(time, _)| *time > 4.0).map(|(time, p)| (time - p.x / 0.5) * 1e3);
        let lags: Vec<f64> = lags.collect();
        let most = lags.iter().copied().fold(0.0, f64::max);
        assert!(lags.len() > 200 && most <= expect["lag_ms_max"].as_f64().unwrap(), "{name}: {most} ms");
        assert!(lags.iter().all(|lag| *lag > 0.0), "{name}: ahead of the hand");
    }
}

#[test]
fn a_glitch_of_six_frames_is_erased() {
    let (played, expect) = run("playout_glitch_6_frames");
    assert!(played.farthest() <= expect["max_abs_x"].as_f64().unwrap());
}

#[test]
fn a_step_that_lasts_is_followed() {
    let (played, expect) = run("playout_real_step");
    let (half_way, _) = played.left().find(|(_, p)| p.x >= 0.2).unwrap();
    let after = (half_way - 300.0 / 90.0) * 1e3;
    assert!(after > 0.0 && after <= expect["half_way_after_ms_max"].as_f64().unwrap(), "{after} ms");
}

#[test]
fn an_untracked_hand_is_held_while_its_gripper_follows() {
    let (played, expect) = run("playout_untracked_hold");
    let tolerance = expect["tolerance"].as_f64().unwrap();
    let left = played.before(expect["at_frame"].as_f64().unwrap() / 90.0).frame.left;
    assert!((left.pose.position().x - expect["l_ee.x"].as_f64().unwrap()).abs() <= tolerance);
    assert!((left.grip - expect["l_grip"].as_f64().unwrap()).abs() <= tolerance, "{}", left.grip);
}

#[test]
fn a_hand_that_only_turns_is_rendered() {
    let (played, expect) = run("playout_pure_rotation");
    let last = played.before(expect["at_frame"].as_f64().unwrap() / 90.0);
    assert!(angle(last) >= expect["l_ee.rot_z_min"].as_f64().unwrap(), "{}", angle(last));
    assert!(last.frame.left.grip <= expect["l_grip_max"].as_f64().unwrap(), "{}", last.frame.left.grip);
}

#[test]
fn an_unstamped_stream_is_neither_delayed_nor_smoothed() {
    let (played, expect) = run("playout_unstamped");
    let last = played.renderings.last().unwrap().1.frame;
    let off = last.left.pose.position().x - expect["at_end_x"].as_f64().unwrap();
    assert!(off.abs() <= expect["tolerance"].as_f64().unwrap());
    assert_eq!(last.t, None);
}

#[test]
fn a_clock_that_falls_back_is_told_and_freezes_nothing() {
    let (played, expect) = run("playout_clock_back");
    let jump = 450.0 / 90.0;
    assert_eq!(played.restarts, [jump]);
    let (new_pose, _) = played.left().find(|(_, p)| (p.x - 1.0).abs() < 1e-9).unwrap();
    assert!((new_pose - jump) * 1e3 <= expect["new_pose_rendered_after_ms_max"].as_f64().unwrap());
    assert_eq!(expect["engaged_across_jump"], false, "a restart tells the consumer to disengage");
}

#[test]
fn without_a_window_frames_are_joined_by_straight_lines() {
    let (played, expect) = run("playout_two_frames_lerp");
    let tolerance = expect["tolerance"].as_f64().unwrap();
    let expected = |key: &str, n: usize| expect[key][n].as_f64().unwrap();
    let sampled = &played.renderings[1..];
    assert_eq!(sampled.len(), 2);
    for (n, (_, rendered)) in sampled.iter().enumerate() {
        let frame = &rendered.frame;
        assert!((frame.left.pose.position().x - expected("l_ee.x", n)).abs() <= tolerance);
        assert!((angle(rendered) - expected("l_ee.rot_z", n)).abs() <= tolerance);
        assert!((frame.t.unwrap() - expected("t_ms", n)).abs() <= tolerance, "{:?}", frame.t);
    }
}
