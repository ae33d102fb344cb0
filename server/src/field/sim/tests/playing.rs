//! What arms feel, hold and grow.

use waldo_protocol::field::{GRIP_CLICK, PRIMARY, SECONDARY, TRIGGER_CLICK};

use super::*;

fn felt(stage: &Stage, arm: usize) -> f64 {
    let id = format!("u_arm_{arm}");
    let haptic = stage.scene().haptics.iter().find(|haptic| haptic.arm_id == id).expect("told in every frame");
    assert_eq!(haptic.active, haptic.intensity > 0.0);
    haptic.intensity
}

fn length(arm: &ArmState) -> f64 {
    arm.element_lengths.iter().sum()
}

#[test]
fn spiral_arms_feel_each_other() {
    for physics in BOTH {
        let mut stage = Stage::new(physics, CharacterMode::Spirobs);
        stage.hand(0, [-0.15, 1.0, -0.6]);
        stage.hand(1, [0.15, 1.0, -0.6]);
        stage.run(2.0);
        assert_eq!((felt(&stage, 0), felt(&stage, 1)), (0.0, 0.0), "{physics:?}");
        stage.hand(0, [0.2, 1.0, -0.4]);
        stage.hand(1, [-0.2, 1.0, -0.4]);
        let mut strongest = [0.0_f64; 2];
        for _ in 0..400 {
            stage.run(TICK);
            for (arm, strongest) in strongest.iter_mut().enumerate() {
                let intensity = felt(&stage, arm);
                assert_eq!(intensity > 0.0, !stage.arm(arm).contact_points.is_empty());
                *strongest = strongest.max(intensity);
            }
        }
        assert!(strongest.iter().all(|felt| *felt > 0.0 && *felt <= 1.0), "{physics:?}: {strongest:?}");
    }
}

#[test]
fn arms_among_obstacles_feel_at_most_half() {
    for physics in BOTH {
        let mut stage = Stage::new(physics, CharacterMode::NoelC4);
        stage.hand(0, [-0.3, 1.3, -0.45]);
        stage.run(3.0);
        let intensity = felt(&stage, 0);
        assert!(intensity > 0.0 && intensity <= 0.5, "{physics:?}: {intensity}");
        assert_eq!(felt(&stage, 1), 0.0, "{physics:?}");
    }
    // As deep as can be.
    let mut stage = Stage::direct(Physics::Kinematic, CharacterMode::NoelC4);
    stage.hand(0, [-0.3, 1.3, -0.45]);
    stage.run(1.0);
    assert_eq!(felt(&stage, 0), 0.5);
}

#[test]
fn a_sucker_takes_the_ball_and_throws_it_when_it_lets_go() {
    for physics in BOTH {
        let mut stage = Stage::new(physics, CharacterMode::CathyThrow);
        let ball = |stage: &Stage| DVec3::from_array(stage.spheres()[0].translation);
        let home = ball(&stage);
        stage.hand(0, home + DVec3::new(0.0, 0.0, 0.04));
        stage.press(0, TRIGGER_CLICK, true);
        stage.run(2.0);
        assert!(ball(&stage).distance(stage.tip(0)) < 0.06, "{physics:?} holds it");
        // A swing upward, and release on the way.
        stage.hand(0, [0.0, 1.4, -0.4]);
        let mut height = ball(&stage).y;
        for _ in 0..200 {
            stage.run(TICK);
            let rising = (ball(&stage).y - std::mem::replace(&mut height, ball(&stage).y)) / TICK;
            if rising > 1.0 {
                break;
            }
        }
        stage.press(0, TRIGGER_CLICK, false);
        stage.run(TICK);
        let released = ball(&stage);
        stage.run(0.05);
        assert!(ball(&stage).y > released.y, "{physics:?} flies on");
        stage.run(2.0);
        let radius = stage.spheres()[0].radius;
        assert!(ball(&stage).y < 0.9 && ball(&stage).y >= radius - 1e-6, "{physics:?} falls: {}", ball(&stage));
        stage.run(4.0);
        assert!(ball(&stage).distance(home) < 1e-9, "{physics:?}: it is back for another throw");
    }
}

#[test]
fn a_pull_at_the_base_draws_the_arm_in_while_it_is_held() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::CathyThrow);
    stage.hand(0, [-0.15, 1.0, -0.7]);
    stage.run(1.0);
    let out = stage.tip(0).z;
    stage.press(0, GRIP_CLICK, true);
    stage.run(1.0);
    assert!(stage.tip(0).z > out + 0.1, "{} from {out}", stage.tip(0).z);
    stage.leave(1.0);
    assert!((stage.tip(0).z - out).abs() < 1e-3, "whoever goes lets go of it");
}

#[test]
fn rods_grow_with_secondary_and_retract_with_primary_and_both_do_nothing() {
    let mut stage = Stage::new(Physics::Soft, CharacterMode::TwoGcr);
    stage.hand(0, [-0.15, 1.0, -0.7]);
    stage.run(0.5);
    let start = length(stage.arm(0));
    stage.press(0, SECONDARY, true);
    stage.run(1.0);
    let grown = length(stage.arm(0));
    assert!((grown - start - 0.15).abs() < 1e-6, "{start} became {grown}");
    stage.press(0, PRIMARY, true);
    stage.run(1.0);
    assert!((length(stage.arm(0)) - grown).abs() < 1e-9, "both together do nothing");
    stage.press(0, SECONDARY, false);
    stage.run(20.0);
    assert!((length(stage.arm(0)) - 0.2).abs() < 1e-9, "not shorter than that");
    stage.press(0, PRIMARY, false);
    stage.press(0, SECONDARY, true);
    stage.run(20.0);
    assert!((length(stage.arm(0)) - 1.4).abs() < 1e-9, "not longer than that");
    stage.leave(1.0);
    assert!((length(stage.arm(0)) - 1.4).abs() < 1e-9);
}

#[test]
fn a_growing_rod_follows_whatever_is_pressed() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::TwoGcr);
    let to = DVec3::new(-0.3, 1.2, -0.6);
    stage.hand(0, to);
    stage.press(0, PRIMARY, true);
    stage.run(2.0);
    assert!(stage.tip(0).distance(to) < 1e-3);
}

#[test]
fn a_press_of_the_grip_sends_one_wave_along_the_rod() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::TwoGcr);
    stage.hand(0, [-0.15, 1.0, -0.7]);
    stage.run(0.1);
    let calm = stage.arm(0).radii.clone();
    stage.press(0, GRIP_CLICK, true);
    let crest = |stage: &Stage| {
        let wider = stage.arm(0).radii.iter().zip(&calm).map(|(now, before)| now / before);
        let (place, height) = wider.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        (height > 1.2).then_some(place)
    };
    stage.run(0.3);
    let first = crest(&stage).expect("a wave");
    stage.run(0.4);
    assert!(crest(&stage).expect("still the wave") > first, "it runs to the tip");
    stage.run(0.5);
    assert_eq!(crest(&stage), None, "held is not pressed again");
}

#[test]
fn a_stick_bends_the_tip_of_a_growing_rod() {
    for physics in BOTH {
        let mut stage = Stage::new(physics, CharacterMode::TwoGcr);
        stage.hand(0, [-0.15, 1.0, -0.6]);
        stage.run(2.0);
        let straight = DQuat::from_array(stage.arm(0).tip.rotation_xyzw);
        stage.hand(0, [-0.15, 1.0, -0.6]).joystick = [1.0, 0.0];
        stage.run(2.0);
        let bent = DQuat::from_array(stage.arm(0).tip.rotation_xyzw).angle_between(straight);
        assert!(bent > 0.5, "{physics:?}: {bent} rad");
    }
}

#[test]
fn a_growing_rod_holds_a_ball_by_suction() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::TwoGcr);
    let home = DVec3::from_array(stage.scene().spheres["u_two_gcr_sphere_2"].translation);
    stage.hand(0, home);
    stage.press(0, TRIGGER_CLICK, true);
    stage.run(2.0);
    stage.hand(0, [-0.3, 1.3, -0.4]);
    stage.run(2.0);
    let ball = DVec3::from_array(stage.scene().spheres["u_two_gcr_sphere_2"].translation);
    assert!(ball.distance(stage.tip(0)) < 0.04, "{ball}");
}

#[test]
fn balls_in_water_are_pushed_and_drift_back() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::CoommOctopus);
    let ball = |stage: &Stage| DVec3::from_array(stage.spheres()[0].translation);
    let home = ball(&stage);
    stage.hand(0, home + DVec3::new(-0.1, 0.0, 0.0));
    stage.run(1.0);
    stage.hand(0, home + DVec3::new(0.05, 0.0, 0.0));
    stage.run(1.0);
    let pushed = ball(&stage).distance(home);
    assert!(pushed > 0.03, "{pushed}");
    stage.hand(0, [-0.5, 1.4, -0.3]);
    stage.run(30.0);
    assert!(ball(&stage).distance(home) < 0.02, "{}", ball(&stage));
}
