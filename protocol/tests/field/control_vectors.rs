//! The interoperability vectors of what turns samples into motion, and of what a client does by itself.

use std::collections::BTreeMap;

use glam::{DMat3, DVec3};
use serde_json::{Value, json};
use waldo_protocol::field::{
    ArmCamera, ArmCommand, ArmHandling, ArmState, CRAWL, ClientMessage, ControllerSample, DEFAULT_OFFSET, Envelope,
    FieldHome, FieldParameters, GamepadButton, GrowingInput, HandlingConfig, Haptic, Pulses, SceneState,
    SessionArmControlMapper, TipPose, Transform, XrInputSample, auto_follow, waypoint,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const TEXT: &str = include_str!("../../../tests/vectors/field.json");

/// Entries whose name begins so. Fails if their number is not the one that the test claims to cover.
fn entries(prefix: &str, count: usize) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(TEXT).unwrap();
    let chosen: Vec<Value> = all.into_iter().filter(|e| e["name"].as_str().unwrap().starts_with(prefix)).collect();
    assert_eq!(chosen.len(), count, "number of entries {prefix}*");
    chosen
}

fn entry(name: &str) -> Value {
    let all: Vec<Value> = serde_json::from_str(TEXT).unwrap();
    all.into_iter().find(|e| e["name"] == name).unwrap()
}

fn numbers<const N: usize>(value: &Value) -> [f64; N] {
    let numbers: Vec<f64> = value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    numbers.try_into().unwrap()
}

fn transform(value: &Value) -> Transform {
    Transform { translation: numbers(&value["translation"]), rotation_xyzw: numbers(&value["rotation_xyzw"]) }
}

/// A sample as it comes in a message.
fn sample(payload: &Value) -> XrInputSample {
    let text = json!({"version": 1, "type": "xr_input", "payload": payload}).to_string();
    match Envelope::read(&text).unwrap().message().unwrap() {
        ClientMessage::XrInput(input) => input.sample,
        other => panic!("{other:?}"),
    }
}

/// Equal in shape, numbers within the tolerance.
fn assert_near(found: &Value, expected: &Value, tolerance: f64, path: &str) {
    match (found, expected) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= tolerance, "{path}: {a}, expected {b}");
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{path}");
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                assert_near(a, b, tolerance, &format!("{path}[{index}]"));
            }
        }
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()), "{path}: {:?}, expected {:?}", a.keys(), b.keys());
            for (key, a) in a {
                assert_near(a, &b[key], tolerance, &format!("{path}.{key}"));
            }
        }
        (a, b) => assert_eq!(a, b, "{path}"),
    }
}

#[test]
fn the_mapper_gives_what_the_vectors_say() {
    for entry in entries("mapper_", 11) {
        let name = entry["name"].as_str().unwrap();
        let arms: Vec<&str> =
            entry["message"]["controlled_arm_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let mut mapper = SessionArmControlMapper::for_arms(arms[0], arms[1]);
        let samples = entry["message"]["samples"].as_array().unwrap();
        let outputs = entry["expect"]["outputs"].as_array().unwrap();
        assert_eq!(samples.len(), outputs.len(), "{name}");
        for (index, (input, output)) in samples.iter().zip(outputs).enumerate() {
            let command = serde_json::to_value(mapper.map(&sample(input))).unwrap();
            assert_near(&command, output, 1e-9, &format!("{name}[{index}]"));
        }
    }
}

/// A matrix of the vectors, given as rows.
fn matrix(value: &Value) -> DMat3 {
    let rows: Vec<DVec3> = value.as_array().unwrap().iter().map(|row| DVec3::from_array(numbers(row))).collect();
    DMat3::from_cols(rows[0], rows[1], rows[2]).transpose()
}

fn arm(base: DMat3) -> ArmHandling {
    ArmHandling::new(HandlingConfig::default(), base, REST)
}

const REST: TipPose = TipPose { position: DVec3::new(0.0, 1.0, -0.7), director: DMat3::IDENTITY };

fn command(rotation_xyzw: [f64; 4], held: &[&str]) -> ArmCommand {
    let target = Transform { translation: [0.1, 1.1, -0.4], rotation_xyzw };
    let mut command = ArmCommand::inactive("a", target);
    command.buttons = held.iter().map(|button| ((*button).to_owned(), true)).collect();
    command
}

fn assert_matrix(found: DMat3, expected: &Value, what: &str) {
    assert!(found.abs_diff_eq(matrix(expected), 1e-6), "{what}: {found}, expected {expected}");
}

#[test]
fn recalibration_gives_the_directors_of_the_vectors() {
    let entries = entries("calibration_", 2);

    let (given, expect) = (&entries[0]["message"], &entries[0]["expect"]);
    assert_matrix(DEFAULT_OFFSET, &given["offset_default"], "default offset");
    let q0 = numbers(&given["controller_rotation_xyzw"]);
    let mut handling = arm(matrix(&given["base_director"]));
    let (followed, pressed) = (command(q0, &[]), command(q0, &["secondary"]));
    handling.handle(&followed, None);
    assert_matrix(handling.wanted().director, &expect["target_director_before"], "before");
    assert!(handling.handle(&pressed, Some(&followed)).recalibrated);
    assert_matrix(handling.offset(), &expect["offset_after_recalibration"], "offset");
    handling.handle(&pressed, Some(&pressed));
    assert_matrix(handling.wanted().director, &expect["target_director_after"], "after");

    let (given, expect) = (&entries[1]["message"], &entries[1]["expect"]);
    let (q0, q1) = (numbers(&given["q0"]), numbers(&given["q1"]));
    let mut handling = arm(matrix(&given["base_director"]));
    handling.handle(&command(q1, &[]), None);
    assert_matrix(handling.wanted().director, &expect["target_default_q1"], "default");
    handling.handle(&command(q0, &["secondary"]), None);
    assert_matrix(handling.offset(), &expect["offset"], "offset");
    handling.handle(&command(q1, &[]), Some(&command(q0, &["secondary"])));
    assert_matrix(handling.wanted().director, &expect["target_q1"], "after");
}

#[test]
fn buttons_attach_detach_and_rest_as_the_vectors_say() {
    for entry in entries("handling_", 4) {
        let name = entry["name"].as_str().unwrap();
        let mut handling = arm(DMat3::IDENTITY);
        let mut previous: Option<ArmCommand> = None;
        let steps = entry["message"]["steps"].as_array().unwrap();
        let expected = entry["expect"]["steps"].as_array().unwrap();
        assert_eq!(steps.len(), expected.len(), "{name}");
        for (index, (step, expected)) in steps.iter().zip(expected).enumerate() {
            let held: Vec<&str> = ["primary", "secondary"].into_iter().filter(|name| step[name] == true).collect();
            let mut command = command([0.0, 0.0, 0.0, 1.0], &held);
            command.active = step["grip_active"] == true;
            let handled = handling.handle(&command, previous.as_ref());
            let target = handling.wanted().position;
            assert_eq!(handled.attached, expected["attached"] == true, "{name}[{index}]");
            assert_eq!(handled.recalibrated, expected["recalibrated"] == true, "{name}[{index}]");
            let wanted = if expected["target"] == "rest" { REST.position } else { DVec3::new(0.1, 1.1, -0.4) };
            assert_eq!(target, wanted, "{name}[{index}]");

            // The loop applies a command several times; only the first time is a press seen.
            let again = handling.handle(&command, Some(&command));
            assert!(!again.recalibrated && again.attached == handled.attached, "{name}[{index}]");
            previous = Some(command);
        }
    }
}

#[test]
fn modes_read_their_inputs_as_the_vectors_say() {
    for name in ["mode_waypoint_hit", "mode_waypoint_up"] {
        let entry = entry(name);
        let found = json!(waypoint(&transform(&entry["message"])));
        assert_near(&found, &entry["expect"]["waypoint"], 1e-12, name);
    }
    let both = entry("mode_gcr_both");
    let held: Vec<&str> = ["primary", "secondary"].into_iter().filter(|name| both["message"][name] == true).collect();
    let input = GrowingInput::of(&command([0.0, 0.0, 0.0, 1.0], &held), None);
    assert_eq!(json!({"grow": input.grow, "retract": input.retract}), both["expect"]);
    entries("mode_", 3);
}

#[test]
fn the_address_of_the_socket_follows_from_that_of_the_page() {
    for entry in entries("client_url_", 4) {
        let page = entry["message"]["page"].as_str().unwrap();
        let (protocol, rest) = page.split_once("//").unwrap();
        let (host, query) = rest.split_once('/').unwrap();
        let parameters: BTreeMap<&str, &str> =
            query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('=')).collect();
        let read = FieldParameters::read(protocol, host, FieldHome::OwnPort, |name| {
            parameters.get(name).map(|value| (*value).to_owned())
        });
        assert_eq!(read.unwrap().socket, entry["expect"]["ws"].as_str().unwrap());
    }
}

#[test]
fn a_gamepad_becomes_the_sample_of_the_vectors() {
    for entry in entries("client_input_", 2) {
        let name = entry["name"].as_str().unwrap();
        let pressed = |button: &Value| GamepadButton {
            value: button["value"].as_f64().unwrap_or_default(),
            pressed: button["pressed"] == true,
        };
        let gamepad: Vec<GamepadButton> = entry["message"]["buttons"].as_array().unwrap().iter().map(pressed).collect();
        let axes: Vec<f64> = entry["message"]["axes"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let controller = ControllerSample::of_gamepad(Transform::IDENTITY, &gamepad, &axes);
        let found = json!({
            "grip": controller.grip,
            "trigger": controller.trigger,
            "joystick": controller.joystick,
            "buttons": controller.buttons,
        });
        assert_near(&found, &entry["expect"]["sample"], 0.0, name);
        assert_eq!(controller.pressed("trigger_click"), entry["expect"]["actions"][CRAWL] == true, "{name}");
    }
}

#[test]
fn a_spectator_follows_whom_the_vector_says() {
    let entry = entry("client_follow");
    let mut scene = SceneState {
        user_arms: serde_json::from_value(entry["message"]["user_arms"].clone()).unwrap(),
        ..SceneState::default()
    };
    for id in entry["message"]["renderable"].as_array().unwrap() {
        let mut arm = ArmState::new(id.as_str().unwrap(), Transform::IDENTITY);
        arm.centerline = vec![[0.0; 3]; 2];
        arm.radii = vec![0.01];
        scene.arms.insert(arm.arm_id.clone(), arm);
    }
    let followed = auto_follow(&scene, entry["message"]["self"].as_str()).unwrap();
    let found = json!({"user": followed.user, "left": followed.left, "right": followed.right});
    assert_eq!(found, entry["expect"]);
}

#[test]
fn the_camera_of_an_arm_is_where_the_vector_says() {
    let entry = entry("client_arm_camera");
    let mut arm = ArmState::new("a", Transform::at(numbers(&entry["message"]["tip"])));
    arm.directors = vec![serde_json::from_value(entry["message"]["last_director"].clone()).unwrap()];
    let view = ArmCamera::default().frame(&arm).unwrap();
    let near = |found: DVec3, key: &str| assert_near(&json!(found.to_array()), &entry["expect"][key], 1e-12, key);
    near(view.position, "position");
    near(view.orientation * DVec3::NEG_Z, "forward");
    near(view.orientation * DVec3::Y, "up_hint");
}

#[test]
fn pulses_are_those_of_the_vector() {
    let entry = entry("client_haptic");
    let arms = ["a".to_owned(), "b".to_owned()];
    let mut pulses = Pulses::default();
    let mut found = Vec::new();
    for frame in entry["message"]["frames"].as_array().unwrap() {
        let haptic = Haptic {
            arm_id: "a".to_owned(),
            active: frame["active"] == true,
            intensity: frame["intensity"].as_f64().unwrap(),
        };
        let [left, right] = pulses.frame(&[haptic], &arms);
        assert_eq!(right, None, "the other hand feels nothing");
        found.push(left.unwrap());
    }
    assert_eq!(json!(found), entry["expect"]["pulses"]);
    assert_eq!(pulses.frame(&[], &arms), [None, None], "it is still by now");
    entries("client_", 9);
}
