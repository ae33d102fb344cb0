//! What holds for every stream.

use glam::{DQuat, DVec3};
use proptest::prelude::*;
use waldo_protocol::geometry::{MAX_COORDINATE, Pose};
use waldo_protocol::vr::{Hand, Playout, PlayoutConfig, PlayoutProfile, VrFrame};

use super::stream::{Arrival, RATE, at, every_phase, frame, left_pose, play, seconds, ticks};

const COMPATIBLE: PlayoutProfile = PlayoutProfile::Compatible;
const LOW_DELAY: PlayoutProfile = PlayoutProfile::LowDelay;

fn config(profile: PlayoutProfile) -> PlayoutConfig {
    PlayoutConfig { profile, ..PlayoutConfig::default() }
}

/// Any valid frame, as far as playout looks at it.
fn any_frame() -> impl Strategy<Value = VrFrame> {
    let coordinate = prop_oneof![4 => -2.0..2.0, 1 => -MAX_COORDINATE..=MAX_COORDINATE];
    let point = prop::array::uniform3(coordinate).prop_map(DVec3::from_array);
    let turn = prop::array::uniform4(-1.0..1.0).prop_map(DQuat::from_array);
    let hand = (point.clone(), point, turn, 0.0..=1.0, prop::bool::weighted(0.8));
    let hand = hand.prop_filter_map("no direction", |(position, elbow, turn, grip, tracked)| {
        let pose = Pose::new(position, turn).ok()?;
        Some(waldo_protocol::vr::Controller { pose, elbow, grip, tracked, ..frame().left })
    });
    let stamp =
        prop_oneof![8 => (0.0..2e3).prop_map(Some), 1 => prop::num::f64::NORMAL.prop_map(Some), 1 => Just(None)];
    (prop::array::uniform2(hand), stamp).prop_map(|([left, right], t)| VrFrame { left, right, t, ..frame() })
}

/// A hand that moves as a person's does, at most 1 m/s.
fn hand_at(time: f64) -> DVec3 {
    DVec3::new((1.7 * time).sin() * 0.3, (2.3 * time).cos() * 0.2, (0.9 * time).sin() * 0.15)
}

/// What a network does to one frame.
#[derive(Clone, Debug)]
struct Fate {
    late: f64,
    lost: bool,
    twice: Option<f64>,
}

fn network(frames: usize, jitter: f64) -> impl Strategy<Value = Vec<Fate>> {
    let fate = (0.0..jitter, prop::bool::weighted(0.05), prop::option::weighted(0.1, 0.0..jitter));
    prop::collection::vec(fate.prop_map(|(late, lost, twice)| Fate { late, lost, twice }), frames)
}

/// The frames of a moving hand as they arrive: late, in any order, some twice, some never.
fn through(fates: &[Fate]) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for (i, fate) in fates.iter().enumerate() {
        let captured = i as f64 / RATE;
        let frame = VrFrame { t: Some(captured * 1e3), ..left_pose(hand_at(captured), DQuat::IDENTITY) };
        if !fate.lost {
            arrivals.push((captured + fate.late, frame));
            arrivals.extend(fate.twice.map(|later| (captured + later, frame)));
        }
    }
    arrivals.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    arrivals
}

proptest! {
    #[test]
    fn valid_frames_are_rendered_as_valid_frames(
        frames in prop::collection::vec((any_frame(), 0.0..0.05), 1..60), window in 0.0..0.5, ahead in -1.0..1.0,
        low_delay: bool,
    ) {
        let profile = if low_delay { LOW_DELAY } else { COMPATIBLE };
        let mut playout = Playout::new(PlayoutConfig { smooth_window: seconds(window), ..config(profile) });
        let mut now = 2.0;
        for (frame, gap) in frames {
            now += gap;
            let _ = playout.push(at(now), &frame);
            let rendered = playout.render(at(now + ahead)).unwrap();
            prop_assert!(rendered.frame.t.is_none_or(f64::is_finite));
            for hand in [Hand::Left, Hand::Right] {
                let c = rendered.frame.controller(hand);
                prop_assert!((c.pose.orientation().length() - 1.0).abs() < 1e-12);
                prop_assert!(c.pose.position().abs().max_element() <= MAX_COORDINATE);
                prop_assert!(c.elbow.abs().max_element() <= MAX_COORDINATE + 1e-9);
                prop_assert!((0.0..=1.0).contains(&c.grip));
                prop_assert!(!(c.tracked && rendered.held(hand).is_some()));
            }
        }
    }
}

proptest! {
    // Each case renders a stream of seconds.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_rendered_pose_is_where_the_hand_was_at_its_time(fates in network(120, 0.08)) {
        let arrivals = through(&fates);
        let played = play(config(COMPATIBLE), &arrivals, ticks(0.3, 1.3));
        prop_assert!(played.restarts.is_empty());
        for (now, rendered) in &played.renderings {
            let newest = arrivals.iter().filter(|(t, _)| t <= now).filter_map(|(_, f)| f.t).fold(0.0, f64::max);
            let shown = rendered.frame.t.unwrap().min(newest) * 1e-3;
            let off = rendered.frame.left.pose.position().distance(hand_at(shown));
            prop_assert!(off < 0.03, "{off} m off at {now}");
        }
    }

    #[test]
    fn duplicates_change_nothing(fates in network(90, 0.05), low_delay: bool) {
        let profile = if low_delay { LOW_DELAY } else { COMPATIBLE };
        let twice = |f: &Fate| Fate { twice: f.twice.map(|_| f.late), ..f.clone() };
        let once = |f: &Fate| Fate { twice: None, ..f.clone() };
        let [once, twice] = [fates.iter().map(once).collect::<Vec<_>>(), fates.iter().map(twice).collect()]
            .map(|fates| play(config(profile), &through(&fates), ticks(0.2, 1.0)).renderings);
        for ((_, once), (_, twice)) in once.iter().zip(&twice) {
            let (once, twice) = (once.frame.left, twice.frame.left);
            prop_assert!(once.pose.position().distance(twice.pose.position()) < 1e-9);
        }
    }

    #[test]
    fn nothing_that_a_network_does_makes_a_step(fates in network(120, 0.08)) {
        let played = play(config(LOW_DELAY), &through(&fates), every_phase(0.1, 1.4));
        prop_assert!(played.restarts.is_empty());
        let left: Vec<(f64, DVec3)> = played.left().collect();
        for pair in left.windows(2) {
            let step = pair[0].1.distance(pair[1].1);
            prop_assert!(step < 0.005, "{step} m in a millisecond at {}", pair[0].0);
        }
        for (now, place) in left.into_iter().skip(100) {
            let off = place.distance(hand_at(now - 0.015));
            prop_assert!(off < 0.15, "{off} m off at {now}");
        }
    }

    #[test]
    fn nothing_that_tracking_does_makes_a_step_while_it_lasts(
        runs in prop::collection::vec((1_usize..30, 1_usize..40), 1..6), away in point_away(),
    ) {
        let tracked: Vec<bool> = runs.iter().flat_map(|(on, off)| [vec![true; *on], vec![false; *off]]).flatten().collect();
        let arrivals: Vec<Arrival> = tracked.iter().enumerate().map(|(i, tracked)| {
            let captured = i as f64 / RATE;
            let place = hand_at(captured) + if *tracked { DVec3::ZERO } else { away };
            let mut frame = VrFrame { t: Some(captured * 1e3), ..left_pose(place, DQuat::IDENTITY) };
            frame.left.tracked = *tracked;
            (captured, frame)
        }).collect();
        let end = tracked.len() as f64 / RATE;
        let played = play(config(LOW_DELAY), &arrivals, every_phase(0.0, end));
        for pair in played.renderings.windows(2) {
            let (before, after) = (pair[0].1.frame.left, pair[1].1.frame.left);
            let step = before.pose.position().distance(after.pose.position());
            prop_assert!(!(before.tracked && after.tracked) || step < 0.003, "{step} m at {}", pair[0].0);
        }
        let hand = |r: &waldo_protocol::vr::Rendered| r.frame.left.pose.position();
        prop_assert!(played.renderings.iter().all(|(_, r)| hand(r).length() < 0.6), "where it was not tracked");
    }

    #[test]
    fn every_jump_of_the_clock_is_told_and_nothing_else_steps(
        jumps in prop::collection::vec((20_usize..40, prop_oneof![-500.0..-0.3, 0.3..500.0]), 1..4),
    ) {
        let mut arrivals: Vec<Arrival> = Vec::new();
        let mut told = Vec::new();
        let mut clock = 1000.0;
        for (n, (frames, jump)) in jumps.into_iter().enumerate() {
            for i in 0..frames {
                let now = arrivals.len() as f64 / RATE;
                if i == 0 && n > 0 {
                    told.push(now);
                }
                arrivals.push((now, VrFrame { t: Some((clock + now) * 1e3), ..left_pose(hand_at(now), DQuat::IDENTITY) }));
            }
            clock += jump;
        }
        for profile in [COMPATIBLE, LOW_DELAY] {
            let end = arrivals.len() as f64 / RATE;
            let played = play(config(profile), &arrivals, every_phase(0.0, end));
            prop_assert_eq!(&played.restarts, &told);
            let left: Vec<(f64, DVec3)> = played.left().collect();
            for pair in left.windows(2) {
                let restarted = told.iter().any(|t| at(pair[0].0) < at(*t) && at(*t) <= at(pair[1].0));
                let step = pair[0].1.distance(pair[1].1);
                prop_assert!(restarted || step < 0.02, "{step} m at {} of {profile:?}", pair[0].0);
            }
        }
    }
}

fn point_away() -> impl Strategy<Value = DVec3> {
    prop::array::uniform3(-5.0..5.0).prop_map(DVec3::from_array)
}
