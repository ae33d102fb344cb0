//! Engage, deltas, the tick, the jog.

use std::time::Duration;

use glam::{DQuat, DVec3};
use serde_json::Value;
use waldo_protocol::geometry::Pose;
use waldo_protocol::hosted::{
    ArmSettings, ArmTeleop, ArmTick, Dropped, EngageBy, Freshness, Hand, HandDelta, Now, Twist, webxr_to_robot,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{T0, at, close, entries, hand, joy, mono, number, numbers, same_rotation, three};

/// Two poses of a controller.
const P0: (DVec3, DQuat) = (DVec3::new(0.1, 1.2, -0.3), DQuat::IDENTITY);
const P1: (DVec3, DQuat) = (DVec3::new(0.2, 1.25, -0.4), DQuat::IDENTITY);

fn teleop() -> ArmTeleop {
    ArmTeleop::new(ArmSettings::default())
}

fn pose(teleop: &mut ArmTeleop, (position, orientation): (DVec3, DQuat), seconds: f64) {
    teleop.pose(Hand::Right, T0 + seconds, position, orientation, at(seconds)).unwrap();
}

fn press(teleop: &mut ArmTeleop, primary: bool, seconds: f64) {
    let (axes, buttons) = joy(primary);
    teleop.joy(Hand::Right, T0 + seconds, &axes, &buttons, at(seconds)).unwrap();
}

/// A hand at rest at `pose`, with its button held or not, and the tick that follows.
fn step(teleop: &mut ArmTeleop, at_pose: (DVec3, DQuat), primary: bool, seconds: f64) -> ArmTick {
    pose(teleop, at_pose, seconds);
    press(teleop, primary, seconds);
    teleop.tick(mono(seconds))
}

fn moved(tick: &ArmTick) -> Option<DVec3> {
    tick.deltas[Hand::Right as usize].map(|stamped| stamped.delta.position)
}

fn webxr(value: &Value) -> (DVec3, DQuat) {
    (three(&value["position"]), DQuat::from_array(numbers(&value["orientation_xyzw"])))
}

#[test]
fn a_delta_is_the_motion_since_the_baseline() {
    for entry in entries("delta_", 4) {
        let (message, expect) = (&entry["message"], &entry["expect"]);
        let robot = |value: &Value| {
            let (position, orientation) = webxr(value);
            webxr_to_robot(&Pose::new(position, orientation).unwrap(), hand(&message["hand"]))
        };
        let (baseline, current) = (robot(&message["baseline_webxr"]), robot(&message["current_webxr"]));
        let delta = HandDelta::between(&baseline, &current, number(&message["translation_scale"]));
        assert!(close(delta.position, three(&expect["position"])), "{entry}: {delta:?}");
        let orientation = DQuat::from_array(numbers(&expect["orientation_xyzw_up_to_sign"]));
        assert!(same_rotation(delta.orientation, orientation), "{entry}: {delta:?}");
    }
}

#[test]
fn the_same_motion_of_either_hand_is_the_same_delta() {
    let start = Pose::new(P0.0, DQuat::from_xyzw(0.1, 0.2, 0.3, 0.9)).unwrap();
    let end = Pose::new(P1.0, DQuat::from_xyzw(-0.4, 0.2, 0.5, 0.7)).unwrap();
    let delta = |hand| HandDelta::between(&webxr_to_robot(&start, hand), &webxr_to_robot(&end, hand), 1.0);
    let (left, right) = (delta(Hand::Left), delta(Hand::Right));
    assert!(close(left.position, right.position));
    assert!(same_rotation(left.orientation, right.orientation));
}

#[test]
fn engage_steps_of_the_vectors() {
    for entry in entries("engage_", 3) {
        let mut teleop = teleop();
        let steps = entry["message"]["steps"].as_array().unwrap().iter();
        for (step, expect) in steps.zip(entry["expect"]["steps"].as_array().unwrap()) {
            let t = number(&step["t"]);
            match step["pose"].as_str() {
                Some("P0") => pose(&mut teleop, P0, t),
                Some("P1") => pose(&mut teleop, P1, t),
                _ => {}
            }
            press(&mut teleop, step["primary"].as_bool().unwrap(), t);
            let tick = teleop.tick(mono(t));
            assert_eq!(teleop.engaged(Hand::Right), expect["engaged"].as_bool().unwrap(), "{entry} at {t}");
            assert!(tick.controllers[Hand::Right as usize].is_some(), "{entry} at {t}");
            match expect["publish"].as_str() {
                Some("delta(P0,P0)") => assert_eq!(moved(&tick), Some(DVec3::ZERO), "{entry} at {t}"),
                Some("delta(P0,P1)") => {
                    assert!(close(moved(&tick).unwrap(), DVec3::new(0.1, -0.1, 0.05)), "{entry} at {t}");
                }
                None if expect["publish"] == false => assert_eq!(moved(&tick), None, "{entry} at {t}"),
                _ => {}
            }
            // The other hand says nothing and does nothing.
            assert_eq!(tick.deltas[Hand::Left as usize], None);
        }
    }
}

#[test]
fn a_hand_that_falls_silent_disengages_and_needs_a_fresh_press() {
    let mut teleop = teleop();
    step(&mut teleop, P0, false, 0.0);
    step(&mut teleop, P0, true, 0.02);
    assert!(teleop.engaged(Hand::Right));
    assert!(moved(&teleop.tick(mono(1.02))).is_some());
    let tick = teleop.tick(mono(1.04));
    assert_eq!((moved(&tick), tick.expired), (None, [false, true]));
    assert_eq!(teleop.tick(mono(1.06)).expired, [false; 2], "told once");
    // The link is back, and the button was held all the time.
    assert_eq!(moved(&step(&mut teleop, P1, true, 2.0)), None);
    assert_eq!(moved(&step(&mut teleop, P1, false, 2.02)), None);
    assert_eq!(moved(&step(&mut teleop, P1, true, 2.04)), Some(DVec3::ZERO));
}

#[test]
fn a_hand_whose_poses_alone_fall_silent_disengages() {
    let mut teleop = teleop();
    step(&mut teleop, P0, true, 0.0);
    for tick in 1..100 {
        press(&mut teleop, true, f64::from(tick) * 0.02);
        teleop.tick(mono(f64::from(tick) * 0.02));
    }
    assert!(!teleop.engaged(Hand::Right));
    assert_eq!(moved(&step(&mut teleop, P1, true, 2.0)), None);
}

#[test]
fn after_a_stop_a_held_button_engages_nothing_until_it_was_released() {
    let mut teleop = teleop();
    step(&mut teleop, P0, true, 0.0);
    teleop.latch();
    assert!(!teleop.engaged(Hand::Right), "at once");
    assert_eq!(teleop.pose(Hand::Right, T0 + 0.02, P1.0, P1.1, at(0.02)), Err(Dropped::Latched));
    assert!(!teleop.gripper_allowed());
    press(&mut teleop, true, 0.02);
    assert_eq!(moved(&teleop.tick(mono(0.02))), None);
    teleop.clear();
    assert_eq!(moved(&step(&mut teleop, P1, true, 0.04)), None);
    assert_eq!(moved(&step(&mut teleop, P1, false, 0.06)), None);
    assert_eq!(moved(&step(&mut teleop, P1, true, 0.08)), Some(DVec3::ZERO));
}

#[test]
fn a_press_during_the_stop_is_no_fresh_press() {
    let mut teleop = teleop();
    step(&mut teleop, P0, false, 0.0);
    teleop.latch();
    teleop.tick(mono(0.02));
    press(&mut teleop, true, 0.03);
    teleop.clear();
    assert_eq!(moved(&step(&mut teleop, P0, true, 0.04)), None);
}

#[test]
fn the_next_operator_starts_with_a_fresh_press() {
    let mut teleop = teleop();
    step(&mut teleop, P0, true, 10.0);
    teleop.operator_lost();
    let tick = teleop.tick(mono(10.02));
    assert_eq!((tick.deltas, tick.controllers), ([None; 2], [None; 2]));
    // A clock somewhat behind the former operator's is heard: the watermark went with them.
    let (axes, buttons) = joy(true);
    teleop.joy(Hand::Right, T0 + 9.99, &axes, &buttons, at(10.03)).unwrap();
    teleop.pose(Hand::Right, T0 + 9.99, P0.0, P0.1, at(10.03)).unwrap();
    assert_eq!(moved(&teleop.tick(mono(10.03))), None);
    step(&mut teleop, P0, false, 10.04);
    assert_eq!(moved(&step(&mut teleop, P0, true, 10.06)), Some(DVec3::ZERO));
}

#[test]
fn poses_count_by_their_stamps_and_each_hand_has_its_own() {
    let [entry] = entries("guard_pose_per_hand", 1).try_into().unwrap();
    let freshness = Freshness { future_tolerance: 0.0, ..Freshness::default() };
    let mut teleop = ArmTeleop::new(ArmSettings { freshness, ..ArmSettings::default() });
    let steps = entry["message"]["steps"].as_array().unwrap().iter();
    for (step, expect) in steps.zip(entry["expect"]["steps"].as_array().unwrap()) {
        let now = Now { unix: number(&step["now"]), ..at(0.0) };
        let stamp = number(&step["ts"]);
        let said = match teleop.pose(Hand::Right, stamp, P0.0, P0.1, now) {
            Ok(()) => "accept".to_owned(),
            Err(dropped) => dropped.to_string(),
        };
        assert_eq!(said, expect["why"].as_str().unwrap_or("accept"), "{step}");
        assert_eq!(teleop.pose(Hand::Left, stamp, P0.0, P0.1, now).is_ok(), said == "accept", "{step}");
    }
}

#[test]
fn what_is_no_pose_is_dropped_and_moves_only_the_watermark() {
    let mut teleop = teleop();
    let mut say =
        |stamp: f64, position, orientation| teleop.pose(Hand::Right, T0 + stamp, position, orientation, at(0.0));
    let nan = DVec3::new(0.0, f64::NAN, 0.0);
    let nothing = DQuat::from_xyzw(0.0, 0.0, 1e-7, 0.0);
    assert_eq!(say(-0.03, nan, DQuat::IDENTITY), Err(Dropped::NotFinite));
    assert_eq!(say(-0.03, P0.0, DQuat::IDENTITY), Err(Dropped::OutOfOrder));
    assert_eq!(say(-0.02, P0.0, nothing), Err(Dropped::InvalidPose));
    assert_eq!(say(f64::NAN, P0.0, P0.1), Err(Dropped::NotFinite));
    assert_eq!(say(0.04, P0.0, P0.1), Ok(()), "within the tolerance of the future");
    assert_eq!(say(0.06, P0.0, P0.1), Err(Dropped::Future));
}

#[test]
fn a_late_joy_that_says_released_disengages() {
    let mut teleop = teleop();
    step(&mut teleop, P0, true, 1.0);
    let (axes, buttons) = joy(false);
    assert_eq!(teleop.joy(Hand::Right, T0 + 0.4, &axes, &buttons, at(1.01)), Err(Dropped::Stale));
    assert!(!teleop.engaged(Hand::Right));
    assert_eq!(moved(&teleop.tick(mono(1.02))), None);
    // And one that says pressed does nothing.
    let (axes, buttons) = joy(true);
    assert_eq!(teleop.joy(Hand::Right, T0 + 0.5, &axes, &buttons, at(1.03)), Err(Dropped::Stale));
    assert_eq!(moved(&teleop.tick(mono(1.04))), None);
}

#[test]
fn a_joy_that_is_none_disengages_its_hand() {
    let mut teleop = teleop();
    step(&mut teleop, P0, true, 0.0);
    let refused = teleop.joy(Hand::Right, T0 + 0.01, &[0.0; 4], &[0; 3], at(0.01));
    assert_eq!(refused, Err(Dropped::JoyContract));
    assert!(!teleop.engaged(Hand::Right));
    let (_, buttons) = joy(true);
    assert_eq!(teleop.joy(Hand::Right, T0 + 0.02, &[0.0; 3], &buttons, at(0.02)), Err(Dropped::JoyContract));
    let axes = [0.0, f32::NAN, 0.0, 0.0];
    assert_eq!(teleop.joy(Hand::Right, T0 + 0.03, &axes, &buttons, at(0.03)), Err(Dropped::NotFinite));
}

#[test]
fn a_pinch_toggles_and_the_published_button_says_who_is_engaged() {
    let mut teleop = ArmTeleop::new(ArmSettings { engage_by: EngageBy::Toggle, ..ArmSettings::default() });
    let shown = |tick: &ArmTick| tick.controllers[Hand::Right as usize].unwrap().primary();
    let mut seen = Vec::new();
    for (i, pinch) in [false, true, true, false, false, true, false].into_iter().enumerate() {
        let tick = step(&mut teleop, P0, pinch, i as f64 * 0.02);
        assert_eq!(shown(&tick), moved(&tick).is_some());
        seen.push(moved(&tick).is_some());
    }
    assert_eq!(seen, [false, true, true, true, true, false, false]);
    // A stop ends it, and the pinch that is held meanwhile does not bring it back.
    assert!(moved(&step(&mut teleop, P0, true, 0.2)).is_some());
    teleop.latch();
    teleop.clear();
    assert!(moved(&step(&mut teleop, P0, true, 0.22)).is_none());
    assert!(moved(&step(&mut teleop, P0, false, 0.24)).is_none());
    assert!(moved(&step(&mut teleop, P0, true, 0.26)).is_some());
}

#[test]
fn another_scale_moves_no_arm_by_itself() {
    let mut teleop = ArmTeleop::new(ArmSettings { ui_scaling: true, ..ArmSettings::default() });
    step(&mut teleop, P0, true, 0.0);
    let before = moved(&step(&mut teleop, P1, true, 0.02)).unwrap();
    assert!(teleop.set_scale(0.5));
    let after = moved(&step(&mut teleop, P1, true, 0.04)).unwrap();
    assert!(close(before, after), "{before} {after}");
    let (forward, turned) = (P1.0 + DVec3::new(0.0, 0.0, -0.2), P1.1);
    let further = moved(&step(&mut teleop, (forward, turned), true, 0.06)).unwrap();
    assert!(close(further - after, DVec3::new(0.1, 0.0, 0.0)), "{further}");
    for none in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
        assert!(!teleop.set_scale(none), "{none}");
    }
    assert_eq!(teleop.scale(), 0.5);
}

#[test]
fn the_scale_of_the_vectors() {
    for (name, allowed) in [("json_scale_disabled", false), ("json_scale_ok", true)] {
        let [entry] = entries(name, 1).try_into().unwrap();
        let expect = &entry["expect"];
        let ui_scaling = expect["config"]["enable_ui_scaling"].as_bool().unwrap();
        let mut teleop = ArmTeleop::new(ArmSettings { ui_scaling, ..ArmSettings::default() });
        assert_eq!(teleop.set_scale(number(&entry["message"]["scale"])), allowed);
        assert_eq!(teleop.scale(), number(&expect["scale"]));
        if let Some(jog) = expect.get("then_jog") {
            let sent = Twist { linear: three(&jog["in_linear"]), angular: three(&jog["in_angular"]) };
            let out = teleop.jog(T0, sent, at(0.0)).unwrap();
            assert!(close(out.linear, three(&jog["out_linear"])), "{out:?}");
            assert!(close(out.angular, three(&jog["out_angular"])), "{out:?}");
        }
    }
}

fn jog(teleop: &mut ArmTeleop, x: f64, seconds: f64) -> Result<Twist, Dropped> {
    let twist = Twist { linear: DVec3::new(x, 0.0, 0.0), angular: DVec3::new(0.0, 0.0, 10.0 * x) };
    teleop.jog(T0 + seconds, twist, at(seconds))
}

#[test]
fn a_jog_ends_200_ms_after_its_last_command() {
    let mut teleop = teleop();
    jog(&mut teleop, 0.1, 0.0).unwrap();
    jog(&mut teleop, 0.1, 0.1).unwrap();
    assert_eq!(teleop.jog_deadline(), Some(mono(0.1) + Duration::from_millis(200)));
    assert_eq!(teleop.tick(mono(0.28)).jog, None);
    assert_eq!(teleop.tick(mono(0.3)).jog, Some(Twist::ZERO));
    assert_eq!(teleop.tick(mono(0.32)).jog, None, "once");
    // One that its operator ends needs no second zero.
    jog(&mut teleop, 0.1, 0.4).unwrap();
    assert_eq!(jog(&mut teleop, 0.0, 0.42), Ok(Twist::ZERO));
    assert_eq!(teleop.tick(mono(0.8)).jog, None);
}

#[test]
fn a_jog_is_never_faster_than_its_limits_and_never_not_a_number() {
    let mut teleop = teleop();
    let out = jog(&mut teleop, 9.0, 0.0).unwrap();
    assert_eq!((out.linear.x, out.angular.z), (0.25, 1.5));
    assert_eq!(jog(&mut teleop, f64::NAN, 0.01), Err(Dropped::NotFinite));
    assert_eq!(jog(&mut teleop, f64::INFINITY, 0.02), Err(Dropped::NotFinite));
}

#[test]
fn a_stop_and_the_loss_of_the_operator_end_a_jog_with_one_zero() {
    for lost in [false, true] {
        let mut teleop = teleop();
        jog(&mut teleop, 0.1, 0.0).unwrap();
        if lost {
            teleop.operator_lost();
        } else {
            teleop.latch();
            assert_eq!(jog(&mut teleop, 0.1, 0.01), Err(Dropped::Latched));
        }
        assert_eq!(teleop.tick(mono(0.02)).jog, Some(Twist::ZERO));
        assert_eq!(teleop.tick(mono(0.3)).jog, None);
    }
}
