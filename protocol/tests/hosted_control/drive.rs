//! Twists of a base.

use std::time::Duration;

use glam::DVec3;
use serde_json::Value;
use waldo_protocol::hosted::{DriveSettings, DriveTeleop, Dropped, Freshness, Hand, Now, Twist, TwistUnits};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{T0, at, close, entries, mono, number, numbers, three};

fn twist(values: [f64; 6]) -> Twist {
    let [x, y, z, roll, pitch, yaw] = values;
    Twist { linear: DVec3::new(x, y, z), angular: DVec3::new(roll, pitch, yaw) }
}

fn forward(drive: &mut DriveTeleop, x: f64, seconds: f64) -> Result<Twist, Dropped> {
    drive.twist(T0 + seconds, twist([x, 0.0, 0.0, 0.0, 0.0, 0.0]), at(seconds))
}

#[test]
fn guard_steps_of_the_vectors() {
    for entry in entries("guard_drive_", 6) {
        let message = &entry["message"];
        let freshness = Freshness {
            stale_after: number(&message["stale_after_s"]),
            future_tolerance: number(&message["future_tolerance_s"]),
        };
        let mut drive = DriveTeleop::new(DriveSettings { freshness, ..DriveSettings::default() });
        let steps = message["steps"].as_array().unwrap().iter();
        for (step, expect) in steps.zip(entry["expect"]["steps"].as_array().unwrap()) {
            match step["estopped"] == true {
                true => drive.latch(),
                false => drive.clear(),
            }
            let now = Now { unix: number(&step["now"]), ..at(0.0) };
            match drive.twist(number(&step["ts"]), twist(numbers(&step["values"])), now) {
                Ok(out) => {
                    assert_eq!(expect["result"], "forward", "{entry} {step}");
                    assert_eq!(out, twist(numbers(&expect["values"])), "{entry} {step}");
                }
                Err(dropped) => {
                    assert_eq!(expect["result"], "drop", "{entry} {step} {dropped}");
                    assert_eq!(expect["why"], dropped.to_string(), "{entry} {step}");
                }
            }
        }
    }
}

#[test]
fn all_six_components_are_clamped() {
    let mut drive = DriveTeleop::new(DriveSettings::default());
    let out = drive.twist(T0, twist([9.0, -9.0, 9.0, -9.0, 9.0, -9.0]), at(0.0)).unwrap();
    assert_eq!(out, twist([1.5, -1.5, 1.5, -2.0, 2.0, -2.0]));
}

#[test]
fn what_is_not_finite_is_dropped_and_moves_only_the_watermark() {
    let mut drive = DriveTeleop::new(DriveSettings::default());
    assert_eq!(forward(&mut drive, f64::NAN, 0.0), Err(Dropped::NotFinite));
    assert_eq!(forward(&mut drive, 0.1, 0.0), Err(Dropped::OutOfOrder));
    assert!(forward(&mut drive, 0.1, 0.01).is_ok());
}

#[test]
fn a_stamp_a_little_ahead_counts() {
    let mut drive = DriveTeleop::new(DriveSettings::default());
    let ahead = |drive: &mut DriveTeleop, by: f64| drive.twist(T0 + by, twist([0.1; 6]), at(0.0));
    assert_eq!(ahead(&mut drive, 0.06), Err(Dropped::Future));
    assert!(ahead(&mut drive, 0.04).is_ok());
}

#[test]
fn normalised_twists_are_parts_of_the_robots_speeds_in_three_axes() {
    let settings = DriveSettings { units: TwistUnits::Normalized, ..DriveSettings::default() };
    let mut drive = DriveTeleop::new(settings);
    let out = drive.twist(T0, twist([1.0, -0.5, 1.0, 1.0, 1.0, 0.5]), at(0.0)).unwrap();
    assert_eq!(out, twist([0.5, -0.25, 0.0, 0.0, 0.0, 0.4]));
    let out = drive.twist(T0 + 0.01, twist([1e9, 0.0, 0.0, 0.0, 0.0, -1e9]), at(0.01)).unwrap();
    assert_eq!(out, twist([1.5, 0.0, 0.0, 0.0, 0.0, -2.0]));
}

fn axes(value: &Value) -> [f32; 4] {
    numbers(value).map(|axis: f64| axis as f32)
}

#[test]
fn sticks_drive_a_robot_of_generation_a() {
    let [entry] = entries("twist_gen_a_joy", 1).try_into().unwrap();
    let (message, expect) = (&entry["message"], &entry["expect"]);
    let mut drive = DriveTeleop::new(DriveSettings {
        units: TwistUnits::Normalized,
        linear_speed: number(&message["linear_speed"]),
        angular_speed: number(&message["angular_speed"]),
        ..DriveSettings::default()
    });
    let mut say = |hand, name: &str| drive.joy(hand, T0, &axes(&message[name]["axes"]), &[0; 7], at(0.0));
    // Evaluated at every Joy of either hand with what is known of both.
    assert_eq!(say(Hand::Left, "left").unwrap().angular, DVec3::ZERO);
    let out = say(Hand::Right, "right").unwrap();
    assert!(close(out.linear, three(&expect["cmd_vel"]["linear"])), "{out:?}");
    assert!(close(out.angular, three(&expect["cmd_vel"]["angular"])), "{out:?}");
}

#[test]
fn sticks_drive_no_robot_of_generation_b() {
    let mut drive = DriveTeleop::new(DriveSettings::default());
    let said = drive.joy(Hand::Left, T0, &[0.0, -1.0, 0.0, 0.0], &[0; 7], at(0.0));
    assert_eq!(said, Err(Dropped::NotForThisRobot));
}

#[test]
fn a_stick_that_falls_silent_is_at_rest() {
    let settings = DriveSettings { units: TwistUnits::Normalized, ..DriveSettings::default() };
    let mut drive = DriveTeleop::new(settings);
    drive.joy(Hand::Left, T0, &[0.0, -1.0, 0.0, 0.0], &[0; 7], at(0.0)).unwrap();
    assert_eq!(drive.tick(mono(0.2)), Some(Twist::ZERO));
    let out = drive.joy(Hand::Right, T0 + 0.3, &[0.5, 0.0, 0.0, 0.0], &[0; 7], at(0.3)).unwrap();
    assert_eq!(out.linear, DVec3::ZERO);
}

#[test]
fn the_base_stops_200_ms_after_the_last_command() {
    let mut drive = DriveTeleop::new(DriveSettings::default());
    forward(&mut drive, 0.5, 0.0).unwrap();
    forward(&mut drive, 0.5, 0.1).unwrap();
    assert_eq!(drive.deadline(), Some(mono(0.1) + Duration::from_millis(200)));
    assert_eq!(drive.tick(mono(0.299)), None);
    assert_eq!(drive.tick(mono(0.3)), Some(Twist::ZERO));
    assert_eq!(drive.tick(mono(0.32)), None, "once");
    assert_eq!(forward(&mut drive, 0.0, 0.33), Err(Dropped::IdleZero), "it stands already");
    // What is left out does not keep it going.
    forward(&mut drive, 0.5, 1.0).unwrap();
    assert_eq!(forward(&mut drive, 0.5, 1.0), Err(Dropped::OutOfOrder));
    assert_eq!(drive.twist(T0 + 0.6, twist([0.5; 6]), at(1.15)), Err(Dropped::Stale));
    assert_eq!(drive.tick(mono(1.2)), Some(Twist::ZERO));
}

#[test]
fn a_stop_and_the_loss_of_the_operator_give_one_zero() {
    for lost in [false, true] {
        let mut drive = DriveTeleop::new(DriveSettings::default());
        forward(&mut drive, 0.5, 0.0).unwrap();
        if lost {
            drive.operator_lost();
        } else {
            drive.latch();
            assert_eq!(forward(&mut drive, 0.5, 0.01), Err(Dropped::Latched));
        }
        assert_eq!(drive.tick(mono(0.02)), Some(Twist::ZERO));
        assert_eq!(drive.tick(mono(0.5)), None);
        drive.clear();
        assert_eq!(drive.tick(mono(0.52)), None, "clearing moves nothing");
    }
}

#[test]
fn navigation_waits_a_second_after_a_person() {
    let mut drive = DriveTeleop::new(DriveSettings::default());
    assert!(!drive.manual(mono(0.0)));
    forward(&mut drive, 0.5, 0.0).unwrap();
    assert!(drive.manual(mono(0.9)));
    assert_eq!(forward(&mut drive, 0.0, 0.5), Ok(Twist::ZERO));
    assert_eq!(forward(&mut drive, 0.0, 1.0), Err(Dropped::IdleZero));
    assert!(!drive.manual(mono(1.6)), "idle zeros are nobody");
}

#[test]
fn a_stick_of_which_nothing_more_is_heard_does_not_drive_on_beside_the_other() {
    let settings = DriveSettings { units: TwistUnits::Normalized, ..DriveSettings::default() };
    let mut drive = DriveTeleop::new(settings);
    let out = drive.joy(Hand::Left, T0, &[0.0, -1.0, 0.0, 0.0], &[0; 7], at(0.0)).unwrap();
    assert!(out.linear.x > 0.0);
    for step in 1..100 {
        let t = 0.0125 * f64::from(step);
        // Resting, it goes on to be heard.
        let out = drive.joy(Hand::Right, T0 + t, &[0.0; 4], &[0; 7], at(t));
        let drives = out.is_ok_and(|out| out.linear.x > 0.0);
        assert_eq!(drives, t < 0.2, "after {t} s");
    }
}
