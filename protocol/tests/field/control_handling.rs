//! How an arm follows, beyond what the vectors show: clutch, ramp, limits, missing commands.

use glam::{DMat3, DQuat, DVec3};
use waldo_protocol::field::{
    ArmCommand, ArmHandling, ClutchMode, HandlingConfig, Limits, MapperConfig, SessionArmControlMapper, Smoothing,
    TipPose, Transform, Workspace,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const TICK: f64 = 0.005;

const REST: TipPose = TipPose { position: DVec3::new(0.0, 1.0, -0.7), director: DMat3::IDENTITY };

/// Limits that bind nothing in these tests.
fn wide() -> Limits {
    Limits::new(1e6, Workspace::new([-100.0; 3], [100.0; 3]).unwrap()).unwrap()
}

fn arm(clutch: ClutchMode, ramp: f64, limits: Limits) -> ArmHandling {
    ArmHandling::new(HandlingConfig { clutch, ramp, limits }, DMat3::IDENTITY, REST)
}

fn at(x: f64, y: f64, z: f64) -> ArmCommand {
    ArmCommand::inactive("a", Transform::at([x, y, z]))
}

fn holding(mut command: ArmCommand, button: &str) -> ArmCommand {
    command.buttons.insert(button.to_owned(), true);
    command
}

fn gripped(mut command: ArmCommand) -> ArmCommand {
    command.active = true;
    command
}

fn turned(mut command: ArmCommand, rotation: DQuat) -> ArmCommand {
    command.target.rotation_xyzw = rotation.to_array();
    command
}

#[test]
fn an_arm_attached_again_comes_to_the_hand_within_the_ramp() {
    let mut arm = arm(ClutchMode::Off, 0.2, wide());
    let (held, free) = (holding(at(0.3, 1.2, -0.2), "primary"), at(0.3, 1.2, -0.2));
    arm.handle(&held, None);
    assert_eq!(arm.follow(TICK, REST), None, "nothing pulls a detached arm");

    // The arm has sunk meanwhile.
    let tip = TipPose { position: DVec3::new(0.0, 0.6, -0.5), ..REST };
    arm.handle(&free, Some(&held));
    let goal = DVec3::new(0.3, 1.2, -0.2);
    let mut last = tip.position;
    for tick in 1..=40 {
        let pull = arm.follow(TICK, tip).unwrap().position;
        let expected = tip.position.lerp(goal, f64::from(tick) / 40.0);
        assert!(pull.distance(expected) < 1e-12, "{tick}: {pull}");
        assert!(pull.distance(last) < goal.distance(tip.position) / 39.0, "{tick}: {pull} after {last}");
        last = pull;
        arm.handle(&free, Some(&free));
    }
    assert_eq!(last, goal);
}

#[test]
fn without_a_ramp_it_is_there_at_once() {
    let mut arm = arm(ClutchMode::Off, 0.0, wide());
    arm.handle(&at(0.3, 1.2, -0.2), None);
    assert_eq!(arm.follow(TICK, REST).unwrap().position, DVec3::new(0.3, 1.2, -0.2));
}

#[test]
fn rotation_is_ramped_too() {
    let mut arm = arm(ClutchMode::Off, 0.2, wide());
    let quarter = DQuat::from_rotation_y(std::f64::consts::FRAC_PI_2);
    arm.handle(&turned(at(0.0, 1.0, -0.7), quarter), None);
    let goal = DQuat::from_mat3(&arm.wanted().director);
    let start = DQuat::from_mat3(&REST.director);
    let mut last = start;
    for _ in 0..40 {
        let next = DQuat::from_mat3(&arm.follow(TICK, REST).unwrap().director);
        assert!(next.angle_between(last) < start.angle_between(goal) / 39.0);
        last = next;
    }
    assert!(last.angle_between(goal) < 1e-6);
}

#[test]
fn commands_after_a_time_without_are_ramped_in() {
    let mut arm = arm(ClutchMode::Off, 0.2, wide());
    let first = at(0.1, 1.0, -0.7);
    arm.handle(&first, None);
    for _ in 0..40 {
        arm.follow(TICK, REST);
    }
    arm.inactive();
    let held = arm.follow(TICK, REST).unwrap().position;
    assert_eq!(held, DVec3::new(0.1, 1.0, -0.7), "it stays at its last target");

    arm.handle(&at(0.5, 1.0, -0.7), None);
    let tip = TipPose { position: held, ..REST };
    assert!(arm.follow(TICK, tip).unwrap().position.distance(held) < 0.4 / 39.0);
}

#[test]
fn a_missing_command_attaches_a_detached_arm() {
    let mut arm = arm(ClutchMode::Off, 0.2, wide());
    arm.handle(&holding(at(0.0, 1.0, -0.6), "primary"), None);
    assert!(!arm.attached());
    arm.inactive();
    assert!(arm.attached());
    assert!(arm.follow(TICK, REST).is_some());
}

#[test]
fn a_relative_clutch_moves_by_what_the_hand_moves() {
    let mut arm = arm(ClutchMode::Relative, 0.0, wide());
    let open = at(5.0, 5.0, 5.0);
    arm.handle(&open, None);
    assert_eq!(arm.wanted(), REST, "an open clutch freezes the target");

    let closed = gripped(turned(at(5.0, 5.0, 5.0), DQuat::from_rotation_y(0.4)));
    arm.handle(&closed, Some(&open));
    assert!(arm.wanted().position.distance(REST.position) < 1e-12, "closing it moves nothing");
    assert!(arm.wanted().director.abs_diff_eq(REST.director, 1e-12));

    let moved = gripped(turned(at(5.1, 4.8, 5.0), DQuat::from_rotation_x(0.3) * DQuat::from_rotation_y(0.4)));
    arm.handle(&moved, Some(&closed));
    let pull = arm.follow(TICK, REST).unwrap();
    assert!(pull.position.distance(REST.position + DVec3::new(0.1, -0.2, 0.0)) < 1e-12, "{pull:?}");
    let tip = DQuat::from_array(pull.transform().rotation_xyzw);
    assert!(tip.angle_between(DQuat::from_rotation_x(0.3)) < 1e-6, "turned as the hand in the world: {tip}");

    let let_go = at(0.0, 0.0, 0.0);
    arm.handle(&let_go, Some(&moved));
    assert!(arm.wanted().position.distance(pull.position) < 1e-12);
    let closed = gripped(at(-3.0, 0.0, 0.0));
    arm.handle(&closed, Some(&let_go));
    assert!(arm.wanted().position.distance(pull.position) < 1e-12, "the next stroke begins where the last one ended");
}

#[test]
fn letting_go_of_a_relative_clutch_stops_an_arm_that_limits_hold_back() {
    let slow = Limits::new(0.1, Workspace::new([-2.0; 3], [2.0; 3]).unwrap()).unwrap();
    let mut arm = arm(ClutchMode::Relative, 0.0, slow);
    let closed = gripped(at(0.0, 0.0, 0.0));
    arm.handle(&closed, None);
    arm.follow(TICK, REST);
    let far = gripped(at(1.0, 0.0, 0.0));
    arm.handle(&far, Some(&closed));
    let underway = arm.follow(TICK, REST).unwrap().position;
    assert!(arm.clamped());
    arm.handle(&at(1.0, 0.0, 0.0), Some(&far));
    assert_eq!(arm.follow(TICK, REST).unwrap().position, underway);
    assert!(!arm.clamped());
}

#[test]
fn missing_commands_open_a_relative_clutch() {
    let mut arm = arm(ClutchMode::Relative, 0.0, wide());
    let closed = gripped(at(0.0, 0.0, 0.0));
    arm.handle(&closed, None);
    arm.handle(&gripped(at(0.1, 0.0, 0.0)), Some(&closed));
    let before = arm.wanted().position;
    arm.inactive();
    arm.handle(&gripped(at(1.5, 0.0, 0.0)), None);
    assert!(arm.wanted().position.distance(before) < 1e-12, "no jump by what the hand moved unseen");
}

#[test]
fn the_workspace_stops_a_target_and_says_so() {
    let small = Limits::new(2.0, Workspace::new([-0.5, 0.5, -1.0], [0.5, 1.5, 0.0]).unwrap()).unwrap();
    let mut arm = arm(ClutchMode::Off, 0.0, small);
    let far = at(1.9, 1.0, -0.7);
    arm.handle(&far, None);
    let mut last = REST.position;
    for _ in 0..60 {
        let pull = arm.follow(TICK, REST).unwrap().position;
        assert!(pull.distance(last) <= 2.0 * TICK + 1e-12);
        last = pull;
        arm.handle(&far, Some(&far));
    }
    assert!(last.distance(DVec3::new(0.5, 1.0, -0.7)) < 1e-12 && arm.clamped());
    let inside = at(0.45, 1.0, -0.7);
    arm.handle(&inside, Some(&far));
    for _ in 0..10 {
        arm.follow(TICK, REST);
    }
    assert!(!arm.clamped());
}

#[test]
fn an_arm_outside_of_its_workspace_comes_home_at_its_speed() {
    let limits = Limits::new(1.0, Workspace::new([0.0; 3], [1.0; 3]).unwrap()).unwrap();
    let from = DVec3::new(1.1, 0.5, 0.5);
    let step = limits.toward(0.01, from, DVec3::new(3.0, 0.5, 0.5));
    assert!(step.clamped && step.position.distance(DVec3::new(1.09, 0.5, 0.5)) < 1e-12);
}

#[test]
fn limits_that_mean_nothing_are_refused() {
    assert!(Workspace::new([0.0; 3], [1.0, f64::NAN, 1.0]).is_err());
    assert!(Workspace::new([0.0, 2.0, 0.0], [1.0; 3]).is_err());
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Limits::new(speed, wide().workspace()).is_err(), "{speed}");
    }
}

#[test]
fn constants_of_a_mapper_that_mean_nothing_are_refused_by_name() {
    let valid = MapperConfig::new("l", "r");
    for (config, name) in [
        (MapperConfig { clutch_threshold: f64::NAN, ..valid.clone() }, "clutch_threshold"),
        (MapperConfig { joystick_deadband: f64::INFINITY, ..valid.clone() }, "joystick_deadband"),
        (MapperConfig { max_translation: -1.0, ..valid.clone() }, "max_translation"),
        (MapperConfig { smoothing: Smoothing::PerMessage(0.0), ..valid.clone() }, "smoothing"),
        (MapperConfig { smoothing: Smoothing::PerMessage(1.5), ..valid.clone() }, "smoothing"),
        (MapperConfig { smoothing: Smoothing::TimeConstant(f64::NAN), ..valid.clone() }, "smoothing"),
    ] {
        let refused = SessionArmControlMapper::new(config).unwrap_err();
        assert_eq!(refused.to_string(), format!("{name} is out of its range"));
    }
    assert!(SessionArmControlMapper::new(valid).is_ok());
}
