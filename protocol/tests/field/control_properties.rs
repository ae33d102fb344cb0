//! What holds for commands whatever arrives.

use std::collections::BTreeMap;

use glam::{DMat3, DVec3};
use proptest::prelude::*;
use waldo_protocol::field::{
    ArmCommand, ArmHandling, ClutchMode, ControllerSample, DualArmControlMapper, HandlingConfig, Limits, MapperConfig,
    SessionArmControlMapper, Smoothing, TipPose, Transform, Twist, Workspace, XrInputSample,
};

/// Any number at all, and often one of the size that hands have.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => -3.0..3.0, 1 => any::<f64>(), 1 => prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN])]
}

fn transform() -> impl Strategy<Value = Transform> {
    ([number(), number(), number()], [number(), number(), number(), number()])
        .prop_map(|(translation, rotation_xyzw)| Transform { translation, rotation_xyzw })
}

fn buttons() -> impl Strategy<Value = BTreeMap<String, bool>> {
    let name = prop::sample::select(vec!["primary", "secondary", "trigger_click", "grip_click", "menu"]);
    prop::collection::btree_map(name.prop_map(str::to_owned), any::<bool>(), 0..4)
}

fn controller() -> impl Strategy<Value = ControllerSample> {
    let three = || [number(), number(), number()];
    (transform(), three(), three(), number(), number(), [number(), number()], buttons()).prop_map(
        |(pose, linear, angular, grip, trigger, joystick, buttons)| ControllerSample {
            pose,
            velocity: Twist { linear, angular },
            grip,
            trigger,
            joystick,
            buttons,
        },
    )
}

fn sample() -> impl Strategy<Value = XrInputSample> {
    let hand = prop::sample::select(vec!["left", "right", "third"]).prop_map(str::to_owned);
    let actions = prop::collection::btree_map(Just("crawl".to_owned()), any::<bool>(), 0..2);
    (number(), transform(), prop::collection::btree_map(hand, controller(), 0..3), actions).prop_map(
        |(timestamp, head_pose, controllers, actions)| XrInputSample { timestamp, head_pose, controllers, actions },
    )
}

fn command() -> impl Strategy<Value = Option<ArmCommand>> {
    let some = (transform(), any::<bool>(), buttons()).prop_map(|(target, active, buttons)| ArmCommand {
        active,
        buttons,
        ..ArmCommand::inactive("a", target)
    });
    prop::option::weighted(0.9, some)
}

fn smoothing() -> impl Strategy<Value = Smoothing> {
    prop_oneof![(0.01..=1.0).prop_map(Smoothing::PerMessage), (0.0..=2.0).prop_map(Smoothing::TimeConstant)]
}

/// Goes through a hand's motion at a rate; gives where the arm is told to be at the end.
fn follow_ramp(rate: f64, seconds: f64, tau: f64) -> f64 {
    let config = MapperConfig { smoothing: Smoothing::TimeConstant(tau), ..MapperConfig::new("l", "r") };
    let mut mapper = SessionArmControlMapper::new(config).unwrap();
    let mut sample = |timestamp: f64, x: f64| {
        let hand = ControllerSample::at(Transform::at([x, 0.0, 0.0]));
        let controllers = [("left".to_owned(), hand)].into();
        let sample = XrInputSample { timestamp, head_pose: Transform::IDENTITY, controllers, actions: BTreeMap::new() };
        mapper.map(&sample).commands["l"].target.translation[0]
    };
    sample(0.0, 0.0);
    let mut out = 0.0;
    let messages = (seconds * rate).round();
    let mut n = 0.0;
    while n < messages {
        n += 1.0;
        out = sample(seconds * n / messages, 1.0);
    }
    out
}

proptest! {
    #[test]
    fn no_mapped_command_leaves_its_bounds_or_holds_what_is_no_number(
        samples in prop::collection::vec(sample(), 1..20),
        smoothing in smoothing(),
        max_translation in 0.0..5.0,
        same_arm: bool,
    ) {
        let config = MapperConfig {
            smoothing,
            max_translation,
            ..MapperConfig::new("l", if same_arm { "l" } else { "r" })
        };
        let mut mapper = SessionArmControlMapper::new(config).unwrap();
        for sample in &samples {
            let command = mapper.map(sample);
            prop_assert!(command.check().is_ok());
            prop_assert!(command.timestamp.is_finite());
            prop_assert!(command.head_pose.is_none_or(|pose| pose.is_finite()));
            prop_assert!(command.actions.contains_key("crawl"));
            for command in command.commands.values() {
                prop_assert!(command.target.translation.iter().all(|c| c.abs() <= max_translation));
                prop_assert!(command.target.is_finite() && command.velocity.is_finite());
                prop_assert!(command.joystick.iter().all(|axis| axis.is_finite()));
            }
        }
    }

    #[test]
    fn samples_of_one_arm_do_not_move_the_other(samples in prop::collection::vec(sample(), 1..20)) {
        let mut both = DualArmControlMapper::default();
        let mut left_only = DualArmControlMapper::default();
        for mut sample in samples {
            let together = both.map(&sample);
            sample.controllers.remove("right");
            let alone = left_only.map(&sample);
            prop_assert_eq!(together.commands.get("left_arm"), alone.commands.get("left_arm"));
        }
    }

    #[test]
    fn a_time_constant_smooths_the_same_at_every_rate(
        rate in 10.0..120.0_f64,
        tau in 0.01..1.0_f64,
        seconds in 0.2..2.0_f64,
    ) {
        let at_this_rate = follow_ramp(rate, seconds, tau);
        prop_assert!((at_this_rate - follow_ramp(72.0, seconds, tau)).abs() < 1e-9);
        prop_assert!((at_this_rate - (1.0 - (-seconds / tau).exp())).abs() < 1e-9);
    }

    #[test]
    fn no_arm_is_pulled_out_of_its_box_or_faster_than_its_limit(
        steps in prop::collection::vec((command(), 1_u8..4), 1..60),
        relative: bool,
        ramp in prop_oneof![Just(0.0), Just(0.2), any::<f64>()],
        max_speed in 0.01..5.0,
        dt in prop_oneof![4 => 0.0..0.02, 1 => number()],
        tip_lag in 0.0..1.0,
    ) {
        let workspace = Workspace::new([-0.4, 0.5, -1.0], [0.4, 1.4, -0.2]).unwrap();
        let limits = Limits::new(max_speed, workspace).unwrap();
        let clutch = if relative { ClutchMode::Relative } else { ClutchMode::Off };
        let rest = TipPose { position: DVec3::new(0.0, 1.0, -0.7), director: DMat3::IDENTITY };
        let mut arm = ArmHandling::new(HandlingConfig { clutch, ramp, limits }, DMat3::IDENTITY, rest);

        let mut previous: Option<ArmCommand> = None;
        let mut tip = rest;
        let mut last: Option<DVec3> = Some(rest.position);
        for (command, ticks) in steps {
            match &command {
                None => arm.inactive(),
                Some(command) => { arm.handle(command, previous.as_ref()); }
            }
            // A pull that starts anew starts where the arm is.
            if command.is_some() && previous.is_none() {
                last = None;
            }
            for _ in 0..ticks {
                let Some(pull) = arm.follow(dt, tip) else {
                    last = None;
                    continue;
                };
                let from = last.unwrap_or(tip.position);
                let reach = if dt > 0.0 { max_speed * dt } else { 0.0 };
                prop_assert!(workspace.contains(pull.position), "{:?}", pull.position);
                prop_assert!(pull.position.distance(from) <= reach + 1e-9, "{from} to {:?} in {dt}", pull.position);
                prop_assert!(pull.director.is_finite());
                last = Some(pull.position);
                // The arm comes after, more or less.
                tip.position = tip.position.lerp(pull.position, tip_lag);
                if let Some(command) = &command {
                    arm.handle(command, Some(command));
                }
            }
            previous = command;
        }
    }

    #[test]
    fn attaching_again_never_jumps_beyond_the_ramp(
        hand in [-1.0..1.0, 0.2..1.8, -1.5..0.0],
        sunk in [-1.0..1.0, 0.0..1.0, -1.5..0.0],
        ramp in 0.05..1.0,
    ) {
        let dt = 0.005;
        let limits = Limits::new(1e6, Workspace::new([-10.0; 3], [10.0; 3]).unwrap()).unwrap();
        let config = HandlingConfig { clutch: ClutchMode::Off, ramp, limits };
        let tip = TipPose { position: DVec3::from_array(sunk), director: DMat3::IDENTITY };
        let mut arm = ArmHandling::new(config, DMat3::IDENTITY, tip);
        let free = ArmCommand::inactive("a", Transform::at(hand));
        let mut held = free.clone();
        held.buttons.insert("primary".to_owned(), true);
        arm.handle(&held, None);
        prop_assert!(arm.follow(dt, tip).is_none());

        arm.handle(&free, Some(&held));
        let goal = DVec3::from_array(hand);
        let step = tip.position.distance(goal) * dt / ramp + 1e-9;
        let mut last = tip.position;
        let mut ticks = 0;
        while last.distance(goal) > 1e-9 {
            let pull = arm.follow(dt, tip).unwrap().position;
            prop_assert!(pull.distance(last) <= step, "{last} to {pull}");
            last = pull;
            ticks += 1;
            prop_assert!(f64::from(ticks) * dt <= ramp + dt + 1e-9, "it takes longer than the ramp");
            arm.handle(&free, Some(&free));
        }
    }

    #[test]
    fn one_step_within_limits_stays_in_the_box_and_the_speed(
        from in [number(), number(), number()],
        wanted in [number(), number(), number()],
        dt in number(),
    ) {
        let limits = Limits::default();
        let (from, wanted) = (DVec3::from_array(from), DVec3::from_array(wanted));
        let step = limits.toward(dt, from, wanted);
        prop_assert!(step.position.is_finite());
        if limits.workspace().contains(from) {
            prop_assert!(limits.workspace().contains(step.position));
            prop_assert!(step.position.distance(from) <= limits.max_speed() * dt.max(0.0) + 1e-9);
        }
        prop_assert_eq!(step.clamped, step.position != wanted);
    }
}
