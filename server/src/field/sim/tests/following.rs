//! How the arms of a pair follow their hands.

use waldo_protocol::field::{ClutchMode, PRIMARY, SECONDARY};

use super::*;

#[test]
fn a_tip_without_physics_follows_with_a_lag_of_50_ms() {
    let mut stage = Stage::direct(Physics::Kinematic, CharacterMode::TwoCr);
    let (from, to) = (stage.tip(0), DVec3::new(0.3, 1.4, 0.2));
    stage.hand(0, to);
    stage.run(0.05);
    let share = stage.tip(0).distance(from) / to.distance(from);
    assert!((share - (1.0 - (-1.0_f64).exp())).abs() < 1e-6, "{share} of the way after one time constant");
    stage.run(1.0);
    assert!(stage.tip(0).distance(to) < 1e-6);
}

#[test]
fn a_curve_without_physics_is_smooth_from_base_to_tip() {
    let mut stage = Stage::direct(Physics::Kinematic, CharacterMode::Spirobs);
    // A hand that is not turned lets the tip point down.
    stage.hand(0, [-0.05, 0.8, -0.45]);
    stage.run(1.0);
    let points: Vec<DVec3> = stage.arm(0).centerline.iter().copied().map(DVec3::from_array).collect();
    for corner in points.windows(3) {
        let angle = (corner[1] - corner[0]).angle_between(corner[2] - corner[1]);
        assert!(angle < 0.4, "a kink of {angle} rad");
    }
    for (ends, director) in points.windows(2).zip(&stage.arm(0).directors) {
        let off = (ends[1] - ends[0]).angle_between(DVec3::from_array(director[2]));
        assert!(off < 0.2, "the third row is the tangent, off by {off} rad");
    }
}

#[test]
fn a_soft_tip_is_pulled_to_the_hand_by_and_by() {
    for mode in [CharacterMode::TwoCr, CharacterMode::Spirobs, CharacterMode::CathyThrow, CharacterMode::CoommOctopus] {
        let mut stage = Stage::new(Physics::Soft, mode);
        let to = DVec3::new(-0.2, 1.1, -0.5);
        stage.hand(0, to);
        stage.run(TICK);
        assert!(stage.tip(0).distance(to) > 0.1, "{mode:?} does not jump");
        stage.run(3.0);
        assert!(stage.tip(0).distance(to) < 0.04, "{mode:?}: {} instead of {to}", stage.tip(0));
    }
}

#[test]
fn a_soft_arm_keeps_its_length_and_tapers() {
    let mut stage = Stage::new(Physics::Soft, CharacterMode::TwoCr);
    for target in [[0.5, 1.5, 0.5], [-1.5, 0.2, -1.0], [0.0, 1.0, -0.2]] {
        stage.hand(0, target);
        stage.run(1.0);
        let arm = stage.arm(0);
        let length: f64 = arm.element_lengths.iter().sum();
        assert!((length / 0.55 - 1.0).abs() < 0.01, "{length}");
        assert!(arm.radii.windows(2).all(|radii| radii[1] < radii[0]));
    }
}

#[test]
fn primary_detaches_the_arm_and_its_end_pulls_it_back() {
    for physics in BOTH {
        let mut stage = Stage::new(physics, CharacterMode::TwoCr);
        let to = DVec3::new(-0.1, 1.2, -0.5);
        stage.hand(0, to);
        stage.run(2.0);
        assert!(stage.tip(0).distance(to) < 0.03);
        stage.press(0, PRIMARY, true);
        stage.run(1.0);
        let away = stage.tip(0).distance(to);
        assert!(away > 0.1, "{physics:?} lets go: {away}");
        stage.press(0, PRIMARY, false);
        stage.run(TICK);
        assert!(stage.tip(0).distance(to) > 0.8 * away, "{physics:?} comes back without a jump");
        stage.run(3.0);
        assert!(stage.tip(0).distance(to) < 0.03, "{physics:?} is pulled again");
    }
}

#[test]
fn a_detached_soft_arm_hangs_down() {
    let mut stage = Stage::new(Physics::Soft, CharacterMode::TwoCr);
    stage.hand(0, [-0.15, 1.0, -0.6]);
    stage.press(0, SECONDARY, true);
    stage.run(8.0);
    let tip = stage.tip(0);
    assert!(tip.y < 0.7, "{tip}");
}

#[test]
fn secondary_makes_the_way_a_hand_is_held_the_way_the_base_points() {
    for physics in BOTH {
        let mut stage = Stage::new(physics, CharacterMode::TwoCr);
        let turned = DQuat::from_rotation_y(std::f64::consts::FRAC_PI_2);
        stage.hand(0, [-0.15, 1.05, -0.55]).target.rotation_xyzw = turned.to_array();
        stage.run(0.5);
        stage.click(0, SECONDARY);
        stage.run(3.0);
        let turned = DQuat::from_array(stage.arm(0).tip.rotation_xyzw);
        let off = turned.angle_between(characters::pair_clamp(CharacterMode::TwoCr));
        assert!(off < 0.35, "{physics:?}: off by {off} rad");
    }
}

#[test]
fn an_arm_whose_commands_end_stays_attached_to_its_last_target() {
    let mut stage = Stage::new(Physics::Soft, CharacterMode::TwoCr);
    let to = DVec3::new(-0.1, 1.1, -0.5);
    stage.hand(0, to);
    stage.press(0, PRIMARY, true);
    stage.run(1.0);
    stage.leave(3.0);
    assert!(stage.tip(0).distance(to) < 0.03, "inactive handling attaches: {}", stage.tip(0));
}

#[test]
fn a_button_held_through_a_stop_is_no_press_afterwards() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::TwoGcr);
    stage.hand(0, [-0.15, 1.0, -0.7]);
    stage.press(0, waldo_protocol::field::GRIP_CLICK, true);
    stage.backend.stop(true);
    stage.run(0.1);
    stage.backend.stop(false);
    stage.run(0.3);
    let thick = stage.arm(0).radii.iter().copied().fold(0.0, f64::max);
    assert!(thick <= CharacterMode::TwoGcr.radius(), "no wave runs: {thick}");
}

#[test]
fn after_a_stop_arms_are_eased_to_where_hands_are_now() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::TwoCr);
    stage.hand(0, [-0.15, 1.0, -0.7]);
    stage.run(1.0);
    stage.backend.stop(true);
    let to = DVec3::new(-0.15, 1.2, -0.7);
    stage.hand(0, to);
    stage.run(0.2);
    stage.backend.stop(false);
    let from = stage.tip(0);
    stage.run(0.05);
    let share = stage.tip(0).distance(from) / to.distance(from);
    assert!(share < 0.2, "{share} of the way within 50 ms");
    stage.run(1.0);
    assert!(stage.tip(0).distance(to) < 1e-3);
}

#[test]
fn limits_that_hold_a_target_back_are_told() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::TwoCr);
    stage.hand(0, [-0.15, 1.0, -0.7]);
    stage.hand(1, [0.15, 1.0, -5.0]);
    stage.run(3.0);
    assert_eq!(stage.backend.clamped().iter().collect::<Vec<_>>(), ["u_arm_1"]);
    assert!(stage.tip(1).z >= -2.0 - 1e-9);
}

#[test]
fn with_a_relative_clutch_an_arm_makes_the_motions_of_the_hand_while_it_is_held() {
    for physics in BOTH {
        let handling = HandlingConfig { clutch: ClutchMode::Relative, ..HandlingConfig::default() };
        let mut stage = Stage::with(physics, CharacterMode::TwoCr, handling);
        let rest = stage.tip(0);
        let from = DVec3::new(0.5, 1.5, 0.5);
        stage.hand(0, from);
        stage.run(1.0);
        assert!(stage.tip(0).distance(rest) < 0.03, "{physics:?} waits for the clutch");
        stage.hand(0, from).active = true;
        stage.run(0.1);
        let way = DVec3::new(0.05, 0.1, 0.1);
        stage.hand(0, from + way).active = true;
        stage.run(3.0);
        assert!(stage.tip(0).distance(rest + way) < 0.04, "{physics:?}: {}", stage.tip(0) - rest);
        stage.leave(0.5);
        stage.hand(0, from).active = false;
        stage.run(2.0);
        assert!(stage.tip(0).distance(rest + way) < 0.04, "{physics:?} stands where it was let go of");
    }
}
