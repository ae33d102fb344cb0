//! What holds whatever arrives, in whatever order.

use std::time::Duration;

use glam::{DQuat, DVec3};
use proptest::prelude::*;
use waldo_protocol::hosted::{
    ArmSettings, ArmTeleop, DriveSettings, DriveTeleop, EngageBy, HANDS, Hand, Now, Twist, TwistUnits,
};
use waldo_protocol::time::MonoTime;

use super::T0;

/// Any number at all, and often one of the size that hands have.
fn number() -> impl Strategy<Value = f64> {
    let odd = vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 1e-9];
    prop_oneof![6 => -3.0..3.0, 1 => any::<f64>(), 1 => prop::sample::select(odd)]
}

/// How far a stamp lies from the robot's clock.
fn lag() -> impl Strategy<Value = f64> {
    prop_oneof![8 => -0.1..0.05, 1 => -2.0..2.0, 1 => number()]
}

fn hand() -> impl Strategy<Value = Hand> {
    prop::sample::select(HANDS.to_vec())
}

#[derive(Clone, Debug)]
enum Event {
    Pose(Hand, f64, [f64; 3], [f64; 4]),
    Joy(Hand, f64, Vec<f32>, Vec<i32>),
    Twist(f64, [f64; 3], [f64; 3]),
    Tick,
    Latch,
    Clear,
    Lost,
    Scale(f64),
    Wait(u16),
}

fn event() -> impl Strategy<Value = Event> {
    let three = || [number(), number(), number()];
    let whole = ([number(), number(), number(), number()], any::<bool>()).prop_map(|(axes, primary)| {
        (axes.map(|axis| axis as f32).to_vec(), vec![0, 0, 0, 0, i32::from(primary), 0, 0])
    });
    let broken = (prop::collection::vec(any::<f32>(), 0..6), prop::collection::vec(any::<i32>(), 0..9));
    let joy = prop_oneof![9 => whole, 1 => broken];
    prop_oneof![
        6 => (hand(), lag(), three(), [number(), number(), number(), number()]).prop_map(|(h, l, p, q)| Event::Pose(h, l, p, q)),
        6 => (hand(), lag(), joy).prop_map(|(h, l, (axes, buttons))| Event::Joy(h, l, axes, buttons)),
        4 => (lag(), three(), three()).prop_map(|(l, linear, angular)| Event::Twist(l, linear, angular)),
        8 => Just(Event::Tick),
        1 => Just(Event::Latch),
        1 => Just(Event::Clear),
        1 => Just(Event::Lost),
        1 => number().prop_map(Event::Scale),
        6 => (0..60_u16).prop_map(Event::Wait),
        1 => (0..2000_u16).prop_map(Event::Wait),
    ]
}

struct Clock(u64);

impl Clock {
    fn now(&self) -> Now {
        Now { mono: MonoTime::from_nanos(self.0), unix: T0 + self.0 as f64 / 1e9 }
    }

    fn wait(&mut self, ms: u16) {
        self.0 += Duration::from_millis(ms.into()).as_nanos() as u64;
    }
}

fn within(twist: &Twist, linear: f64, angular: f64) -> bool {
    twist.linear.abs().max_element() <= linear && twist.angular.abs().max_element() <= angular && twist.is_finite()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arms_follow_only_engaged_hands_and_jogs_stay_within_their_limits(
        events in prop::collection::vec(event(), 0..200),
        toggle in any::<bool>(),
        ui_scaling in any::<bool>(),
    ) {
        let engage_by = if toggle { EngageBy::Toggle } else { EngageBy::Hold };
        let settings = ArmSettings { engage_by, ui_scaling, ..ArmSettings::default() };
        let mut teleop = ArmTeleop::new(settings);
        let mut clock = Clock(1_000_000_000);
        // What a stranger to the code would keep: pressed by accepted Joys, released by any; fresh poses.
        let mut released = [true; 2];
        let mut heard = [None::<MonoTime>; 2];
        let mut last_jog = None::<MonoTime>;
        for event in events {
            let now = clock.now();
            match event {
                Event::Pose(hand, lag, p, q) => {
                    let stamp = now.unix + lag;
                    let said = teleop.pose(hand, stamp, DVec3::from_array(p), DQuat::from_array(q), now);
                    if said.is_ok() {
                        prop_assert!(!teleop.latched());
                        prop_assert!((-0.5..=0.0501).contains(&lag));
                        heard[hand as usize] = Some(now.mono);
                    }
                }
                Event::Joy(hand, lag, axes, buttons) => {
                    let said = teleop.joy(hand, now.unix + lag, &axes, &buttons, now);
                    if buttons.get(4).is_none_or(|button| *button <= 0) {
                        released[hand as usize] = true;
                        if !toggle {
                            prop_assert!(!teleop.engaged(hand), "released is honoured at once");
                        }
                    } else if said.is_ok() {
                        released[hand as usize] = false;
                    }
                }
                Event::Twist(lag, linear, angular) => {
                    let twist = Twist { linear: DVec3::from_array(linear), angular: DVec3::from_array(angular) };
                    if let Ok(jog) = teleop.jog(now.unix + lag, twist, now) {
                        prop_assert!(!teleop.latched());
                        prop_assert!(within(&jog, settings.max_jog_linear, settings.max_jog_angular), "{jog:?}");
                        last_jog = (!jog.is_zero()).then_some(now.mono);
                    }
                }
                Event::Tick => {
                    let tick = teleop.tick(now.mono);
                    if tick.jog.is_some() {
                        prop_assert_eq!(tick.jog, Some(Twist::ZERO));
                        last_jog = None;
                    }
                    prop_assert!(
                        last_jog.is_none_or(|at| now.mono.since(at) < settings.jog_dead_man),
                        "a jog outlives its dead-man"
                    );
                    for hand in HANDS {
                        let delta = tick.deltas[hand as usize];
                        prop_assert_eq!(delta.is_some(), teleop.engaged(hand));
                        let Some(delta) = delta else { continue };
                        prop_assert!(!teleop.latched());
                        prop_assert!(toggle || !released[hand as usize], "engaged without its button");
                        let fresh = heard[hand as usize].is_some_and(|at| now.mono.since(at) <= settings.input_timeout);
                        prop_assert!(fresh, "engaged without a pose");
                        prop_assert!(delta.delta.position.is_finite() && delta.delta.orientation.is_normalized());
                    }
                }
                Event::Latch => {
                    teleop.latch();
                    prop_assert!(HANDS.iter().all(|hand| !teleop.engaged(*hand)));
                }
                Event::Clear => teleop.clear(),
                Event::Lost => {
                    teleop.operator_lost();
                    prop_assert!(HANDS.iter().all(|hand| !teleop.engaged(*hand)));
                    heard = [None; 2];
                }
                Event::Scale(scale) => {
                    prop_assert!(!teleop.set_scale(scale) || (ui_scaling && scale > 0.0 && scale.is_finite()));
                }
                Event::Wait(ms) => clock.wait(ms),
            }
        }
    }

    #[test]
    fn after_a_stop_no_hand_engages_while_its_button_stays_pressed(
        events in prop::collection::vec(event(), 0..60),
        toggle in any::<bool>(),
        lost in any::<bool>(),
        held in prop::collection::vec(0..40_u16, 1..40),
    ) {
        let engage_by = if toggle { EngageBy::Toggle } else { EngageBy::Hold };
        let mut teleop = ArmTeleop::new(ArmSettings { engage_by, ..ArmSettings::default() });
        let mut clock = Clock(1_000_000_000);
        for event in events {
            let now = clock.now();
            match event {
                Event::Pose(hand, lag, p, q) => {
                    let _ = teleop.pose(hand, now.unix + lag, DVec3::from_array(p), DQuat::from_array(q), now);
                }
                Event::Joy(hand, lag, axes, buttons) => {
                    let _ = teleop.joy(hand, now.unix + lag, &axes, &buttons, now);
                }
                Event::Tick => drop(teleop.tick(now.mono)),
                Event::Wait(ms) => clock.wait(ms),
                _ => {}
            }
        }
        // Pressed now, whatever was before; then a stop that is over at once, and pressed for ever after.
        clock.wait(200);
        let press = |teleop: &mut ArmTeleop, now: Now| {
            for hand in HANDS {
                let _ = teleop.joy(hand, now.unix, &[0.0; 4], &[0, 0, 0, 0, 1, 0, 0], now);
                let _ = teleop.pose(hand, now.unix, DVec3::ZERO, DQuat::IDENTITY, now);
            }
        };
        press(&mut teleop, clock.now());
        if lost {
            teleop.operator_lost();
        } else {
            teleop.latch();
            teleop.clear();
        }
        for ms in held {
            clock.wait(ms);
            press(&mut teleop, clock.now());
            let tick = teleop.tick(clock.now().mono);
            prop_assert_eq!(tick.deltas, [None; 2]);
        }
    }

    #[test]
    fn a_base_is_never_faster_than_its_limits_and_never_moves_without_commands(
        events in prop::collection::vec(event(), 0..200),
        normalized in any::<bool>(),
    ) {
        let units = if normalized { TwistUnits::Normalized } else { TwistUnits::Si };
        let settings = DriveSettings { units, ..DriveSettings::default() };
        let mut drive = DriveTeleop::new(settings);
        let mut clock = Clock(1_000_000_000);
        let mut moving = None::<MonoTime>;
        let mut newest = 0.0;
        for event in events {
            let now = clock.now();
            let out = match event {
                Event::Twist(lag, linear, angular) => {
                    let stamp = now.unix + lag;
                    let twist = Twist { linear: DVec3::from_array(linear), angular: DVec3::from_array(angular) };
                    let out = drive.twist(stamp, twist, now).ok();
                    if out.is_some() {
                        prop_assert!(stamp > newest && twist.is_finite());
                        newest = stamp;
                    }
                    out
                }
                Event::Joy(hand, lag, axes, buttons) => {
                    let out = drive.joy(hand, now.unix + lag, &axes, &buttons, now).ok();
                    prop_assert!(out.is_none() || normalized);
                    out
                }
                Event::Tick => {
                    let zero = drive.tick(now.mono);
                    if zero.is_some() {
                        prop_assert_eq!(zero, Some(Twist::ZERO));
                        moving = None;
                    }
                    prop_assert!(!drive.latched() || moving.is_none(), "moving while latched");
                    prop_assert!(
                        moving.is_none_or(|at| now.mono.since(at) < settings.dead_man),
                        "moving without commands"
                    );
                    None
                }
                Event::Latch => {
                    drive.latch();
                    None
                }
                Event::Clear => {
                    drive.clear();
                    None
                }
                Event::Lost => {
                    drive.operator_lost();
                    newest = 0.0;
                    None
                }
                Event::Wait(ms) => {
                    clock.wait(ms);
                    None
                }
                _ => None,
            };
            if let Some(out) = out {
                prop_assert!(!drive.latched());
                prop_assert!(within(&out, settings.max_linear, settings.max_angular), "{out:?}");
                if out.is_zero() {
                    prop_assert!(moving.is_some(), "a zero that follows a zero");
                }
                moving = (!out.is_zero()).then_some(now.mono);
            }
        }
    }
}
