//! The vectors of the wire that are about back ends and modes.

use serde_json::Value;
use waldo_protocol::field::{GrowingInput, PRIMARY, SECONDARY, UNTURNED, linear_bases, waypoint};

use super::*;

const VECTORS: &str = include_str!("../../../../../tests/vectors/field.json");

/// Message and expectation of a vector.
fn vector(name: &str) -> (Value, Value) {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let mut vector = vectors.into_iter().find(|vector| vector["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    (vector["message"].take(), vector["expect"].take())
}

/// A part of a vector as whatever is wanted.
macro_rules! read {
    ($value:expr) => {
        serde_json::from_value($value.clone()).unwrap()
    };
}

fn list(value: &Value) -> Vec<f64> {
    read!(value)
}

fn points(value: &Value) -> Vec<[f64; 3]> {
    read!(value)
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
}

/// The first arm of a user after one step with the vector's command, if it has one.
fn pass_through(message: &Value) -> (ArmState, ArmState) {
    let mut backend = MultiArmPassThroughBackend::new();
    backend.register_user("u", CharacterMode::TwoCr).unwrap();
    let before = backend.scene().arms["u_arm_0"].clone();
    assert_eq!(before.base.translation, list(&message["base"])[..]);
    if let Some(command) = message.get("command") {
        let target = Transform {
            translation: read!(command["target"]["translation"]),
            rotation_xyzw: read!(command["target"]["rotation_xyzw"]),
        };
        let active = command["active"].as_bool().unwrap();
        let command = ArmCommand { active, ..ArmCommand::inactive("u_arm_0", target) };
        backend.step(TICK, &[("u", &MultiArmCommand::new(0.0, [command]))]);
    }
    let after = backend.scene().arms["u_arm_0"].clone();
    (before, after)
}

#[test]
fn backend_default_arm() {
    let (message, expect) = vector("backend_default_arm");
    let (_, arm) = pass_through(&message);
    assert!(close(&arm.tip.translation, &list(&expect["tip"])));
    let centerline: Vec<[f64; 3]> = read!(expect["centerline"]);
    assert!(close(arm.centerline.as_flattened(), centerline.as_flattened()));
    assert_eq!(arm.element_lengths, list(&expect["element_lengths"]));
    assert_eq!(arm.radii, list(&expect["radii"]));
    assert_eq!((arm.directors, expect["directors"].as_str()), (vec![UNTURNED; 2], Some("2 x identity")));
}

#[test]
fn backend_pass_through_follow() {
    let (message, expect) = vector("backend_pass_through_follow");
    let (before, arm) = pass_through(&message);
    assert!(close(&arm.tip.translation, &list(&expect["tip"])));
    let centerline: Vec<[f64; 3]> = read!(expect["centerline"]);
    assert!(close(arm.centerline.as_flattened(), centerline.as_flattened()));
    assert!(close(&arm.element_lengths, &list(&expect["element_lengths"])));
    assert_eq!(arm.radii, list(&expect["radii"]));
    assert_eq!((arm.directors, arm.contact_points), (before.directors, before.contact_points));
}

#[test]
fn a_tip_that_is_passed_through_stays_in_front_of_its_base() {
    let message = serde_json::json!({"base": [-0.15, 1.0, -0.15], "command": {
        "active": true, "target": {"translation": [0.1, 1.2, -1.0], "rotation_xyzw": [0.0, 0.0, 0.0, 1.0]}}});
    let (_, arm) = pass_through(&message);
    assert!(close(&arm.tip.translation, &[0.1, 1.2, -0.05]));
}

#[test]
fn backend_pass_through_inactive() {
    let (message, expect) = vector("backend_pass_through_inactive");
    let (before, after) = pass_through(&message);
    assert_eq!((before == after, &expect["unchanged"]), (true, &Value::Bool(true)));
}

#[test]
fn backend_timestamp() {
    let (message, expect) = vector("backend_timestamp");
    let (mut backend, calls) = recorded();
    backend.register_user("u", CharacterMode::TwoCr).unwrap();
    let mut timestamps = Vec::new();
    for dt in list(&message["steps_dt"]) {
        backend.step(dt, &[]);
        timestamps.push(backend.scene().timestamp);
    }
    assert!(close(&timestamps, &list(&expect["timestamps"])));
    let steps = taken(&calls).into_iter().filter_map(|call| if let Call::Step(dt) = call { Some(dt) } else { None });
    assert_eq!(steps.collect::<Vec<_>>(), list(&expect["simulation_dt"]));
}

#[test]
fn backend_unknown_arm() {
    let (message, expect) = vector("backend_unknown_arm");
    let (mut backend, calls) = recorded();
    let arms = backend.register_user("u", CharacterMode::TwoCr).unwrap();
    assert_eq!(message["arms"][0], arms[0]);
    let ghosts: Vec<String> = read!(message["command_for"]);
    let command = MultiArmCommand::new(0.0, ghosts.iter().map(|ghost| to(ghost, 1.0)));
    backend.step(TICK, &[("u", &command)]);
    let applied = taken(&calls).iter().filter(|call| matches!(call, Call::Command { .. })).count();
    assert_eq!(applied, expect["applied"].as_array().unwrap().len());
}

#[test]
fn backend_inactive_once() {
    let (message, expect) = vector("backend_inactive_once");
    let (mut backend, calls) = recorded();
    backend.register_user("u", CharacterMode::TwoCr).unwrap();
    let id = |name: String| if name == "a" { "u_arm_0" } else { "u_arm_1" };
    let steps: Vec<Vec<String>> = read!(message["commands"]);
    let expected: Vec<Vec<String>> = read!(expect["inactive_calls"]);
    for (arms, expected) in steps.into_iter().zip(expected) {
        let arms: Vec<&str> = arms.into_iter().map(id).collect();
        backend.step(TICK, &[("u", &all_to(&arms, 1.0))]);
        assert_eq!(let_go(&calls), expected.into_iter().map(id).collect::<Vec<_>>());
    }
}

#[test]
fn backend_register_unknown_mode() {
    let (message, expect) = vector("backend_register_unknown_mode");
    let words = message["register"][0].as_str().unwrap();
    let (user, mode) = words.split_once(' ').unwrap();
    let mut backend = MultiArmPassThroughBackend::new();
    let refused = backend.register_user_named(user, mode).unwrap_err();
    assert_eq!(refused.to_string(), expect["error"].as_str().unwrap());
    assert!(backend.register_user_named(user, "demo-spline").is_err());
    assert_eq!(backend.scene(), &SceneState::default());
}

#[test]
fn backend_linear_bases() {
    for name in ["backend_linear_bases", "backend_linear_bases_5"] {
        let (message, expect) = vector(name);
        let bases = linear_bases(read!(message["arm_count"]));
        let bases: Vec<[f64; 3]> = bases.into_iter().map(|base| base.translation).collect();
        assert!(close(bases.as_flattened(), points(&expect["bases"]).as_flattened()), "{name}");
    }
    let mut backend = MultiArmPassThroughBackend::new();
    backend.register_user("u", CharacterMode::TwoCr).unwrap();
    let bases: Vec<[f64; 3]> = backend.scene().arms.values().map(|arm| arm.base.translation).collect();
    assert!(close(bases.as_flattened(), &[-0.15, 1.0, -0.15, 0.15, 1.0, -0.15]));
}

#[test]
fn octopuses_without_simulation_stand_on_the_ring_of_the_formula() {
    let mut backend = MultiArmPassThroughBackend::new();
    backend.register_user("u", CharacterMode::CathyForaging).unwrap();
    for index in 0..8 {
        let angle = (22.5 + 45.0 * index as f64).to_radians();
        let expected = [-0.05 * angle.cos(), 1.0, -0.15 + 0.05 * angle.sin()];
        assert!(close(&backend.scene().arms[&arm_id("u", index)].base.translation, &expected), "{index}");
    }
}

#[test]
fn mode_waypoints() {
    for name in ["mode_waypoint_hit", "mode_waypoint_up"] {
        let (message, expect) = vector(name);
        let pose =
            Transform { translation: read!(message["translation"]), rotation_xyzw: read!(message["rotation_xyzw"]) };
        let expected: Option<[f64; 3]> = read!(expect["waypoint"]);
        assert_eq!(waypoint(&pose), expected, "{name}");

        // And through the whole back end.
        let mut backend = simulated(Physics::Kinematic);
        backend.register_user("u", CharacterMode::OctoWaypoint).unwrap();
        let mut command = ArmCommand::inactive("u_arm_0", pose);
        command.buttons.insert(waldo_protocol::field::TRIGGER_CLICK.into(), true);
        backend.step(TICK, &[("u", &MultiArmCommand::new(0.0, [command]))]);
        let shown = backend.scene().spheres.values().find(|sphere| sphere.visible);
        assert_eq!(shown.map(|sphere| sphere.translation), expected, "{name}");
    }
}

#[test]
fn mode_gcr_both() {
    let (message, expect) = vector("mode_gcr_both");
    let mut command = ArmCommand::inactive("u_arm_0", Transform::IDENTITY);
    for button in [PRIMARY, SECONDARY] {
        command.buttons.insert(button.into(), message[button].as_bool().unwrap());
    }
    let input = GrowingInput::of(&command, None);
    assert_eq!(serde_json::json!({"grow": input.grow, "retract": input.retract}), expect);
}
