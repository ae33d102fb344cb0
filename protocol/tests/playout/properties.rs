//! What holds for every stream.

use glam::{DQuat, DVec3};
use proptest::prelude::*;
use waldo_protocol::geometry::{MAX_COORDINATE, Pose};
use waldo_protocol::vr::{Hand, Playout, PlayoutConfig, VrFrame};

use super::stream::{Arrival, RATE, at, frame, left_pose, play, ticks};

fn config() -> PlayoutConfig {
    PlayoutConfig::default()
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
    ) {
        let config = PlayoutConfig { smooth_window: super::stream::seconds(window), ..config() };
        let mut playout = Playout::new(config);
        let mut now = 2.0;
        for (frame, gap) in frames {
            now += gap;
            let _ = playout.push(at(now), &frame);
            let rendered = playout.render(at(now + ahead)).unwrap();
            prop_assert_eq!(rendered.frame.t.is_some(), frame.t.is_some());
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

    #[test]
    fn a_rendered_pose_is_where_the_hand_was_at_its_time(fates in network(180, 0.08)) {
        let arrivals = through(&fates);
        let played = play(config(), &arrivals, ticks(0.3, 1.9));
        prop_assert!(played.restarts.is_empty());
        for (now, rendered) in &played.renderings {
            let newest = arrivals.iter().filter(|(t, _)| t <= now).filter_map(|(_, f)| f.t).fold(0.0, f64::max);
            let shown = rendered.frame.t.unwrap().min(newest) * 1e-3;
            let off = rendered.frame.left.pose.position().distance(hand_at(shown));
            prop_assert!(off < 0.03, "{off} m off at {now}");
        }
    }

    #[test]
    fn duplicates_change_nothing(fates in network(120, 0.05)) {
        let twice = |f: &Fate| Fate { twice: f.twice.map(|_| f.late), ..f.clone() };
        let once = |f: &Fate| Fate { twice: None, ..f.clone() };
        let [once, twice] = [fates.iter().map(once).collect::<Vec<_>>(), fates.iter().map(twice).collect()]
            .map(|fates| play(config(), &through(&fates), ticks(0.2, 1.5)).renderings);
        for ((_, once), (_, twice)) in once.iter().zip(&twice) {
            prop_assert_eq!(once.frame.left, twice.frame.left);
        }
    }
}
