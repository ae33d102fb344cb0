//! What a far operator's commands may move: the interoperability vectors, the rules one by one, and what holds whatever
//! arrives.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arm;
mod drive;
mod executor;
#[cfg(not(target_arch = "wasm32"))]
mod properties;
mod statistics;
mod video_cap;

use std::time::Duration;

use glam::{DMat3, DQuat, DVec3};
use serde_json::Value;
use waldo_protocol::geometry::{LocalFloor, Pose};
use waldo_protocol::hosted::{Hand, Now, TaskNames, controller_pose, hand_of, webxr_to_robot};
use waldo_protocol::time::MonoTime;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

const TEXT: &str = include_str!("../../../tests/vectors/hosted.json");

/// The start of the Unix clock in these tests.
const T0: f64 = 1_700_000_000.0;

/// Entries whose names begin so; their number is the one that the test claims to cover.
fn entries(prefix: &str, count: usize) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(TEXT).unwrap();
    let some: Vec<Value> = all.into_iter().filter(|e| e["name"].as_str().unwrap().starts_with(prefix)).collect();
    assert_eq!(some.len(), count, "entries named {prefix}…");
    some
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers<const N: usize>(value: &Value) -> [f64; N] {
    let all: Vec<f64> = value.as_array().unwrap().iter().map(number).collect();
    all.try_into().unwrap()
}

fn three(value: &Value) -> DVec3 {
    DVec3::from_array(numbers(value))
}

fn hand(value: &Value) -> Hand {
    hand_of(value.as_str().unwrap()).unwrap()
}

/// A moment `seconds` after the start of both clocks.
fn at(seconds: f64) -> Now {
    Now { mono: mono(seconds), unix: T0 + seconds }
}

fn mono(seconds: f64) -> MonoTime {
    MonoTime::from_nanos(1_000_000_000) + Duration::from_secs_f64(seconds)
}

fn close(a: DVec3, b: DVec3) -> bool {
    (a - b).abs().max_element() < 1e-9
}

/// Equal as rotations, to the twelve digits of the vectors.
fn same_rotation(a: DQuat, b: DQuat) -> bool {
    (a - b).length() < 1e-9 || (a + b).length() < 1e-9
}

/// Axes and buttons of a Joy whose primary button is held or not.
fn joy(primary: bool) -> ([f32; 4], [i32; 7]) {
    ([0.0; 4], [0, 0, 0, 0, i32::from(primary), 0, 0])
}

#[test]
fn a_controller_pose_turns_into_the_frame_of_the_robot() {
    for entry in entries("webxr_to_robot_", 6) {
        let (message, expect) = (&entry["message"], &entry["expect"]);
        let quaternion = DQuat::from_array(numbers(&message["webxr_orientation_xyzw"]));
        let pose: Pose<LocalFloor> = Pose::new(three(&message["webxr_position"]), quaternion).unwrap();
        let robot = webxr_to_robot(&pose, hand(&message["hand"]));
        assert!(close(robot.position(), three(&expect["position"])), "{entry}: {robot:?}");
        let expected = DQuat::from_array(numbers(&expect["orientation_xyzw_up_to_sign"]));
        assert!(same_rotation(robot.orientation(), expected), "{entry}: {robot:?}");
        let rows = expect["R"].as_array().unwrap();
        let matrix = DMat3::from_cols(three(&rows[0]), three(&rows[1]), three(&rows[2])).transpose();
        let off = DMat3::from_quat(robot.orientation()) - matrix;
        assert!(off.to_cols_array().iter().all(|x| x.abs() < 1e-9), "{entry}: {robot:?}");
    }
}

#[test]
fn what_is_no_pose_is_none_of_a_controller() {
    let refused = |position, orientation| controller_pose(position, orientation).is_err();
    assert!(refused(DVec3::ZERO, DQuat::from_xyzw(0.0, 0.0, 0.0, 0.0)));
    assert!(refused(DVec3::new(f64::NAN, 0.0, 0.0), DQuat::IDENTITY));
    assert!(!refused(DVec3::ZERO, DQuat::from_xyzw(0.0, 0.0, 0.0, 7.0)));
}

#[test]
fn task_names_replace_the_address_of_the_hands_that_have_one() {
    let [entry] = entries("routing_task_names", 1).try_into().unwrap();
    let names = &entry["message"]["task_names"];
    let name = |hand: &str| names[hand].as_str().map(str::to_owned);
    let tasks = TaskNames { left: name("left"), right: name("right") };
    assert_eq!(tasks.frame_id(Hand::Left), entry["expect"]["left_frame"]);
    assert_eq!(tasks.frame_id(Hand::Right), entry["expect"]["right_frame"]);
    assert_eq!(hand_of("third"), None);
    assert_eq!(hand_of("Left"), None);
}
