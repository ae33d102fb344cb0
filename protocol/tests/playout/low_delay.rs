//! The low-delay profile: as little lag as one frame costs, and the same glitches erased.

use std::f64::consts::TAU;
use std::time::Duration;

use glam::{DQuat, DVec3};
use waldo_protocol::vr::{Hand, Playout, PlayoutConfig, PlayoutProfile, VrFrame};

use super::stream::{
    Arrival, Played, RATE, at, every_phase, frame, left_at, left_pose, play, stream, stream_at, ticks,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

pub(crate) fn config() -> PlayoutConfig {
    PlayoutConfig { profile: PlayoutProfile::LowDelay, ..PlayoutConfig::default() }
}

/// Frames of a left hand on its way through space, 3 ms after they were captured.
fn moving(seconds: f64, way: impl Fn(f64) -> DVec3) -> Vec<Arrival> {
    stream((seconds * RATE) as usize, 0.003, |i| left_pose(way(i as f64 / RATE), DQuat::IDENTITY))
}

/// A hand at rest, but for `length` frames from frame 150 on.
fn glitch(length: usize, place: impl Fn(usize) -> DVec3) -> Vec<Arrival> {
    let inside = |i: usize| (150..150 + length).contains(&i);
    stream(250, 0.0, |i| left_pose(if inside(i) { place(i) } else { DVec3::ZERO }, DQuat::IDENTITY))
}

/// The farthest that the left hand is ever rendered from where it was `lag` seconds before.
fn farthest_off(played: &Played, lag: f64, way: impl Fn(f64) -> DVec3) -> f64 {
    played.left().map(|(time, p)| p.distance(way(time - lag))).fold(0.0, f64::max)
}

/// The longest way between two renderings of the left hand.
fn longest_step(played: &Played) -> f64 {
    let places: Vec<DVec3> = played.left().map(|(_, p)| p).collect();
    places.windows(2).map(|pair| pair[0].distance(pair[1])).fold(0.0, f64::max)
}

#[test]
fn a_clean_link_costs_less_than_twenty_milliseconds() {
    for speed in [0.05, 0.5, 3.0] {
        let played = play(config(), &moving(3.0, |t| DVec3::X * speed * t), every_phase(1.0, 2.9));
        for (time, p) in played.left() {
            let lag = time - p.x / speed;
            assert!((0.017..0.02).contains(&lag), "{lag} s at {speed} m/s, 0.003 s of it the network's");
        }
    }
}

#[test]
fn turns_and_triggers_cost_no_more() {
    let frames = stream(270, 0.003, |i| {
        let mut frame = left_pose(DVec3::ZERO, DQuat::from_rotation_z(i as f64 / RATE * 2.0));
        frame.left.grip = 1.0 - i as f64 / 270.0;
        frame
    });
    for (time, rendered) in play(config(), &frames, every_phase(1.0, 2.9)).renderings {
        let turned = DQuat::from_rotation_z((time - 0.018) * 2.0);
        assert!(rendered.frame.left.pose.orientation().dot(turned).abs() > 1.0 - 1e-6, "at {time}");
        let grip = 1.0 - (time - 0.018) * RATE / 270.0;
        assert!((rendered.frame.left.grip - grip).abs() < 1e-6, "at {time}");
    }
}

#[test]
fn excursions_of_up_to_eight_frames_are_erased_at_every_phase() {
    for length in 1..=8 {
        for (name, frames) in [
            ("sideways", glitch(length, |_| DVec3::X * 0.4)),
            ("to and fro", glitch(length, |i| DVec3::Y * if i % 2 == 0 { 0.4 } else { -0.4 })),
            ("all around", glitch(length, |i| DQuat::from_rotation_z(i as f64) * DVec3::X * 0.4)),
            ("creeping on", glitch(length, |i| DVec3::Z * (0.4 + 0.01 * (i - 150) as f64))),
        ] {
            let times = every_phase(1.0, 2.7).chain(ticks(1.0, 2.7));
            let mut times: Vec<f64> = times.collect();
            times.sort_by(f64::total_cmp);
            let farthest = play(config(), &frames, times).farthest();
            assert!(farthest < 1e-9, "{length} frames {name}: {farthest}");
        }
    }
}

#[test]
fn other_frame_rates_have_the_same_lag_and_the_same_glitches_erased() {
    for rate in [72.0, 80.0, 120.0] {
        let steady = stream_at(rate, 200, 0.003, |i| left_at(i as f64 / rate));
        let played = play(config(), &steady, every_phase(1.0, 1.6));
        assert!(farthest_off(&played, 0.018, |t| DVec3::X * t) < 1e-6, "{rate} Hz");
        let glitch = stream_at(rate, 200, 0.0, |i| left_at(if (100..108).contains(&i) { 0.4 } else { 0.0 }));
        assert!(play(config(), &glitch, every_phase(0.5, 1.6)).farthest() < 1e-9, "{rate} Hz");
    }
}

#[test]
fn excursions_are_erased_although_every_fifth_frame_is_lost() {
    for (length, phase) in (1..=8).flat_map(|length| (0..5).map(move |phase| (length, phase))) {
        let mut frames = glitch(length, |_| DVec3::X * 0.4);
        let mut i = 0;
        frames.retain(|_| {
            i += 1;
            i % 5 != phase
        });
        assert!(play(config(), &frames, every_phase(1.0, 2.7)).farthest() < 1e-9, "{length} frames, phase {phase}");
    }
}

#[test]
fn a_glitch_of_the_elbow_is_erased_and_costs_the_hand_nothing() {
    let frames = stream(270, 0.003, |i| {
        let mut frame = left_at(i as f64 / RATE);
        frame.left.elbow.x = if (150..158).contains(&i) { 0.4 } else { 0.0 };
        frame
    });
    for (time, rendered) in play(config(), &frames, every_phase(1.0, 2.9)).renderings {
        assert!(rendered.frame.left.elbow.length() < 1e-9);
        assert!((rendered.frame.left.pose.position().x - (time - 0.018)).abs() < 1e-6);
    }
}

#[test]
fn a_glitch_in_the_middle_of_a_motion_only_pauses_it() {
    for speed in [0.5, 2.0] {
        let way = |t: f64| DVec3::X * 0.3 * (speed / 0.3 * t).sin();
        let aside = |i: usize| DVec3::Y * if (150..158).contains(&i) { 0.4 } else { 0.0 };
        let frames = stream(270, 0.003, |i| left_pose(way(i as f64 / RATE) + aside(i), DQuat::IDENTITY));
        let played = play(config(), &frames, every_phase(1.0, 2.9));
        let pause = 9.0 / RATE;
        for (time, p) in played.left() {
            assert!(p.y.abs() < 1e-9, "{p} at {time}");
            let off = p.distance(way(time - 0.018));
            let during = (150.0 / RATE..150.0 / RATE + pause + 0.15).contains(&time);
            assert!(off < if during { speed * pause } else { 0.01 }, "{off} m off at {time}, {speed} m/s");
        }
        assert!(longest_step(&played) < 0.005 + speed * 1e-3, "{}", longest_step(&played));
    }
}

#[test]
fn what_a_person_does_is_not_held() {
    for (radius, hertz) in [(0.3, 1.0), (0.3, 2.0), (0.5, 1.5), (0.1, 4.0), (0.05, 8.0)] {
        let w = hertz * TAU;
        let (speed, acceleration) = (radius * w, radius * w * w);
        let line = |t: f64| DVec3::X * radius * (w * t).sin();
        let circle = |t: f64| radius * DVec3::new((w * t).sin(), (w * t).cos(), 0.0);
        for way in [&line as &dyn Fn(f64) -> DVec3, &circle] {
            let off = farthest_off(&play(config(), &moving(3.0, way), every_phase(0.5, 2.9)), 0.02, way);
            assert!(off < 0.02, "{off} m off at up to {speed} m/s and {acceleration} m/s²");
        }
    }
}

#[test]
fn a_hand_that_starts_and_stops_within_a_frame_is_followed() {
    for speed in [1.0, 3.0, 6.0] {
        let way = |t: f64| DVec3::X * speed * (t - 1.0).clamp(0.0, 0.1);
        let played = play(config(), &moving(2.0, way), every_phase(0.5, 1.9));
        let farthest = played.farthest();
        assert!(farthest < speed * 0.1 + 0.02, "overshoots to {farthest} m at {speed} m/s");
        // The start alone may be taken for a glitch: nobody is at 6 m/s from one frame to the next.
        let off = farthest_off(&play(config(), &moving(2.0, way), every_phase(1.2, 1.9)), 0.018, way);
        assert!(off < if speed < 4.0 { 0.01 } else { 0.1 }, "{off} m off after the stop at {speed} m/s");
    }
}

#[test]
fn a_fast_hand_that_hits_an_obstacle_and_rebounds_is_not_held() {
    // 50 m/s² up to 5 m/s, and from one frame to the next 1 m/s backwards.
    let way = |t: f64| {
        let (start, hit) = ((t - 1.0).clamp(0.0, 0.1), t - 1.3);
        DVec3::X * (25.0 * start * start + 5.0 * (t - 1.1).clamp(0.0, 0.2) - hit.max(0.0))
    };
    let played = play(config(), &moving(2.0, way), every_phase(1.0, 1.9));
    let off = farthest_off(&played, 0.018, way);
    assert!(off < 0.045, "{off}");
    let played = play(config(), &moving(2.0, way), every_phase(1.36, 1.9));
    let off = farthest_off(&played, 0.018, way);
    assert!(off < 0.02, "{off} m off after the hit");
}

#[test]
fn a_glitch_that_slides_back_is_erased() {
    let config = PlayoutConfig { min_delay: Duration::from_millis(100), ..config() };
    let frames = stream(250, 0.0, |i| left_at(if i < 150 { 0.0 } else { (0.4 - 0.05 * (i - 150) as f64).max(0.0) }));
    let farthest = play(config, &frames, every_phase(1.0, 2.7)).farthest();
    assert!(farthest < 0.03, "{farthest}");
}

#[test]
fn a_step_that_lasts_is_followed_without_a_step() {
    for length in [0.05, 0.4, 2.0] {
        let frames = stream(300, 0.0, |i| left_at(if i >= 150 { length } else { 0.0 }));
        let played = play(config(), &frames, every_phase(1.0, 3.3));
        let after = |part: f64| played.left().find(|(_, p)| p.x >= part * length).unwrap().0 - 150.0 / RATE;
        assert!(after(0.5) < 0.15, "half way after {} s", after(0.5));
        assert!(after(0.99) < 0.3, "there after {} s", after(0.99));
        assert!(played.farthest() < length * 1.001);
        assert!(longest_step(&played) < length * 0.02, "{} of {length} in one millisecond", longest_step(&played));
    }
}

#[test]
fn a_glitch_right_before_a_step_that_lasts_is_not_followed_with_it() {
    for min_delay in [Duration::ZERO, Duration::from_millis(100)] {
        let place = |i| {
            if i < 150 {
                0.0
            } else if i < 157 {
                0.4
            } else {
                -0.4
            }
        };
        let frames = stream(250, 0.0, |i| left_at(place(i)));
        let played = play(PlayoutConfig { min_delay, ..config() }, &frames, every_phase(1.0, 2.7));
        let most = played.left().map(|(_, p)| p.x).fold(0.0, f64::max);
        assert!(most < 1e-9, "{most} with a delay of {min_delay:?}");
        assert!((played.before(2.7).frame.left.pose.position().x + 0.4).abs() < 1e-3);
    }
}

#[test]
fn without_doubt_a_glitch_shows() {
    let config = PlayoutConfig { outlier_k: 0.0, ..config() };
    assert!(play(config, &glitch(6, |_| DVec3::X * 0.4), every_phase(1.0, 2.7)).farthest() > 0.2);
}

#[test]
fn bursts_are_played_out_evenly_once_they_are_known() {
    let mut frames = moving(10.0, |t| DVec3::X * 0.5 * t);
    for (arrival, _) in &mut frames {
        *arrival = (*arrival / 0.15).ceil() * 0.15;
    }
    let played = play(config(), &frames, every_phase(0.0, 9.9));
    assert!(longest_step(&played) < 0.005, "{}", longest_step(&played));
    let settled: Vec<DVec3> = played.left().filter(|(time, _)| *time > 3.0).map(|(_, p)| p).collect();
    for pair in settled.windows(2) {
        let speed = (pair[1].x - pair[0].x) * 1e3;
        assert!((0.4..0.6).contains(&speed), "{speed} m/s");
    }
}

/// The left hand moves at 1 m/s, but for `lost` frames from frame 100 on, in which tracking puts it anywhere; it is
/// found where it moved to meanwhile, with an offset.
fn lost_for(lost: usize, offset: f64) -> Vec<Arrival> {
    stream(300 + lost, 0.003, move |i| {
        let inside = (100..100 + lost).contains(&i);
        let mut frame = left_at(if inside { 50.0 } else { i as f64 / RATE + if i >= 100 { offset } else { 0.0 } });
        frame.left.tracked = !inside;
        frame
    })
}

#[test]
fn a_short_loss_of_tracking_is_bridged() {
    for lost in [1, 5, 12] {
        let played = play(config(), &lost_for(lost, 0.0), every_phase(0.0, 3.2));
        assert!(played.renderings.iter().all(|(_, r)| r.frame.left.tracked && r.held(Hand::Left).is_none()));
        assert!(longest_step(&played) < 0.004, "{} m after {lost} frames", longest_step(&played));
        assert!(played.farthest() < 4.0, "never where it was not tracked");
    }
}

#[test]
fn a_hand_that_was_moved_unseen_shows_its_way_only_as_untracked() {
    for (lost, offset) in [(15, 0.1), (90, 0.5), (90, -3.0)] {
        let played = play(config(), &lost_for(lost, offset), every_phase(0.0, 3.5));
        assert!(longest_step(&played) < 0.06, "{} m", longest_step(&played));
        let mut untracked = 0;
        for pair in played.renderings.windows(2) {
            let (before, after) = (pair[0].1.frame.left, pair[1].1.frame.left);
            untracked += u32::from(!after.tracked);
            if before.tracked && after.tracked {
                let step = before.pose.position().distance(after.pose.position());
                assert!(step < 0.0025, "{step} m at {}", pair[0].0);
            }
        }
        assert!(untracked >= 200, "{untracked} ms");
        let end = played.before(3.2).frame.left;
        assert!(end.tracked && (end.pose.position().x - (3.2 - 0.018 + offset)).abs() < 1e-3, "{end:?}");
    }
}

#[test]
fn how_long_a_hand_is_held_is_told() {
    let played = play(config(), &lost_for(90, 0.0), ticks(0.0, 3.5));
    let rendered = played.before(180.0 / RATE);
    let held = rendered.held(Hand::Left).unwrap().as_secs_f64();
    assert!((held - (81.0 / RATE - 0.018)).abs() < 0.01, "{held}");
    assert!((rendered.frame.left.pose.position().x - 99.0 / RATE).abs() < 1e-3);
    assert_eq!((rendered.frame.left.tracked, rendered.held(Hand::Right)), (false, None));
}

#[test]
fn a_hand_lost_and_found_within_one_burst_counts_as_untracked_for_a_while() {
    let mut frames = lost_for(16, 0.3);
    for (arrival, _) in &mut frames[95..120] {
        *arrival = 120.0 / RATE;
    }
    let played = play(config(), &frames, ticks(0.0, 3.0));
    assert!(played.renderings.iter().filter(|(_, r)| !r.frame.left.tracked).count() > 20);
    for pair in played.renderings.windows(2) {
        let (before, after) = (pair[0].1.frame.left, pair[1].1.frame.left);
        let step = before.pose.position().distance(after.pose.position());
        assert!(!(before.tracked && after.tracked) || step < 0.03, "{step} m at {}", pair[0].0);
    }
}

#[test]
fn a_hand_that_was_never_tracked_passes_through() {
    let mut frames = moving(2.0, |t| DVec3::X * t);
    for (_, frame) in &mut frames {
        frame.left.tracked = false;
    }
    let rendered = *play(config(), &frames, ticks(0.0, 1.9)).before(1.9);
    assert!((rendered.frame.left.pose.position().x - 1.88).abs() < 0.02);
    assert_eq!((rendered.frame.left.tracked, rendered.held(Hand::Left)), (false, None));
}

#[test]
fn after_a_jump_of_the_clock_the_new_pose_is_rendered_at_once() {
    let mut frames = stream(200, 0.0, |i| left_at(if i < 100 { 0.0 } else { 1.0 }));
    for (_, frame) in &mut frames[100..] {
        frame.t = frame.t.map(|t| t - 500.0);
    }
    let jump = frames[100].0;
    let played = play(config(), &frames, every_phase(0.5, 2.0));
    assert_eq!(played.restarts, [jump]);
    let new = |time: f64| if at(time) < at(jump) { 0.0 } else { 1.0 };
    assert!(played.left().all(|(time, p)| (p.x - new(time)).abs() < 1e-9));
}

#[test]
fn the_first_and_the_last_frame_stay() {
    let mut playout = Playout::new(config());
    assert_eq!(playout.render(at(0.0)), None);
    let first = VrFrame { t: Some(7.0), ..left_at(0.5) };
    assert!(!playout.push(at(0.0), &first));
    for wait in [Duration::ZERO, Duration::from_secs(3600)] {
        let rendered = playout.render(at(0.0) + wait).unwrap().frame;
        assert_eq!(VrFrame { t: first.t, ..rendered }, first);
    }
    assert!(!playout.push(at(0.0), &VrFrame { t: Some(7.0), ..frame() }), "the same frame again says nothing");
    assert_eq!(playout.render(at(1.0)).unwrap().frame.left, first.left);
}
