//! The compatible profile: what it erases, what it follows, and how late.

use std::time::Duration;

use glam::{DQuat, DVec3};
use waldo_protocol::vr::{ClientMessage, Hand, Playout, PlayoutConfig, PlayoutProfile, VrFrame, VrState, dispatch};

use super::stream::{Arrival, RATE, at, every_phase, frame, left_at, left_pose, play, stream, ticks};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn config() -> PlayoutConfig {
    PlayoutConfig::default()
}

fn at_every_phase(frames: &[Arrival]) -> f64 {
    play(config(), frames, every_phase(0.0, frames.last().unwrap().0)).farthest()
}

fn glitch(length: usize) -> Vec<Arrival> {
    stream(300, 0.0, |i| left_at(if (150..150 + length).contains(&i) { 0.4 } else { 0.0 }))
}

/// The largest lag behind a hand that moves at 0.5 m/s, in milliseconds, in the last third of a stream.
fn lag(frames: &[Arrival]) -> f64 {
    let end = frames.last().unwrap().0;
    let played = play(config(), frames, ticks(0.0, end));
    played.left().filter(|(t, _)| *t > end * 2.0 / 3.0).map(|(t, p)| (t - p.x / 0.5) * 1e3).fold(0.0, f64::max)
}

#[test]
fn excursions_of_up_to_eight_frames_are_erased_at_every_phase() {
    for length in 1..=8 {
        assert!(at_every_phase(&glitch(length)) < 1e-9, "{length} frames");
    }
}

#[test]
fn longer_excursions_are_followed() {
    assert!(play(config(), &glitch(9), ticks(0.0, 3.3)).farthest() < 1e-9, "nine frames, rendered at 120 Hz");
    assert!(at_every_phase(&glitch(9)) < 0.38);
    for length in 10..14 {
        assert!(at_every_phase(&glitch(length)) > 0.39, "{length} frames");
    }
}

#[test]
fn a_glitch_of_the_elbow_alone_is_erased_too() {
    let frames = stream(300, 0.0, |i| {
        let mut frame = left_at(0.0);
        frame.left.elbow.x = if (150..156).contains(&i) { 0.4 } else { 0.0 };
        frame
    });
    let played = play(config(), &frames, ticks(0.0, 3.3));
    assert!(played.renderings.iter().all(|(_, r)| r.frame.left.elbow.length() < 1e-9));
}

#[test]
fn without_the_outlier_test_a_glitch_shows() {
    let config = PlayoutConfig { outlier_k: 0.0, ..config() };
    assert!(play(config, &glitch(6), ticks(0.0, 3.3)).farthest() > 0.2);
}

#[test]
fn jitter_adds_its_own_length_to_the_lag() {
    let jittery: Vec<Arrival> = {
        let mut frames = stream(900, 0.003, |i| left_at(0.5 * i as f64 / RATE));
        for (i, (arrival, _)) in frames.iter_mut().enumerate() {
            // The golden ratio spreads them evenly without a pattern.
            *arrival += 0.02 * (i as f64 * 0.618_034).fract();
        }
        frames.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        frames
    };
    let jittery = lag(&jittery);
    assert!((80.0..86.0).contains(&jittery), "{jittery} ms");
}

#[test]
fn the_delay_grows_at_once_and_falls_slowly_when_the_jitter_is_over() {
    let mut playout = Playout::new(config());
    let delays = stream(270, 0.0, |_| frame()).into_iter().enumerate().map(|(i, (arrival, frame))| {
        let late = if i == 45 { 0.1 } else { 0.0 };
        assert!(!playout.push(at(arrival + late), &frame));
        playout.delay().as_secs_f64()
    });
    let delays: Vec<f64> = delays.collect();
    assert!(delays[44] < 1e-6 && (delays[45] - 0.1).abs() < 1e-6);
    // The late frame arrived with frame 54, two seconds before frame 234.
    assert!((delays[225] - 0.1).abs() < 1e-6, "{}", delays[225]);
    let fallen = delays[245];
    assert!((0.01..0.09).contains(&fallen), "{fallen}");
    assert!((delays[246] / fallen - 0.95).abs() < 1e-6, "5 % with each frame");
}

#[test]
fn bursts_are_played_out_evenly_once_they_are_known() {
    let mut frames = stream(900, 0.003, |i| left_at(0.5 * i as f64 / RATE));
    for (arrival, _) in &mut frames {
        *arrival = (*arrival / 0.15).ceil() * 0.15;
    }
    let lag = lag(&frames);
    assert!((200.0..216.0).contains(&lag), "{lag} ms");

    let played = play(config(), &frames, ticks(0.0, 10.0));
    let left: Vec<(f64, DVec3)> = played.left().filter(|(t, _)| *t > 3.0 && *t < 9.0).collect();
    for pair in left.windows(2) {
        let speed = (pair[1].1.x - pair[0].1.x) * 120.0;
        assert!((0.4..0.6).contains(&speed), "{speed} m/s at {}", pair[0].0);
    }
}

#[test]
fn unstamped_bursts_are_not_blended() {
    let mut frames = stream(300, 0.0, |i| left_at(i as f64));
    for (arrival, frame) in &mut frames {
        *arrival = (*arrival / 0.15).ceil() * 0.15;
        frame.t = None;
    }
    let played = play(config(), &frames, ticks(0.0, 3.0));
    for (time, rendered) in &played.renderings {
        let newest = frames.iter().rev().find(|(arrival, _)| at(*arrival) <= at(*time)).unwrap();
        assert_eq!(rendered.frame, newest.1);
    }
}

#[test]
fn a_clock_that_jumps_forward_is_told_and_costs_no_delay() {
    let frames = stream(400, 0.003, |i| left_at(if i < 200 { 0.0 } else { 1.0 }));
    let jump = frames[200].0;
    let jumped = |(arrival, frame): Arrival| {
        let ahead = if arrival < jump { 0.0 } else { 3000.0 };
        (arrival, VrFrame { t: frame.t.map(|t| t + ahead), ..frame })
    };
    let frames: Vec<Arrival> = frames.into_iter().map(jumped).collect();
    let mut playout = Playout::new(config());
    for (i, (arrival, frame)) in frames.iter().enumerate() {
        assert_eq!(playout.push(at(*arrival), frame), i == 200);
        assert!(playout.delay() < Duration::from_nanos(10), "{:?}", playout.delay());
    }
    let played = play(config(), &frames, ticks(jump, jump + 1.0));
    assert!(played.left().all(|(_, p)| p.x == 1.0));
}

#[test]
fn a_stream_that_comes_back_with_another_clock_keeps_nothing_of_the_old_one() {
    for profile in [PlayoutProfile::Compatible, PlayoutProfile::LowDelay] {
        for away in [0.3, 1.0, 1.9, 2.5, 60.0] {
            let mut playout = Playout::new(PlayoutConfig { profile, ..config() });
            for (arrival, frame) in stream(90, 0.003, |_| left_at(0.0)) {
                assert!(!playout.push(at(arrival), &frame));
            }
            for (i, (arrival, frame)) in stream(90, 1.0 + away, |_| left_at(1.0)).into_iter().enumerate() {
                // A reloaded page counts from its own start.
                let frame = VrFrame { t: frame.t.map(|t| t - 4000.0), ..frame };
                assert_eq!(playout.push(at(arrival), &frame), i == 0, "{profile:?} after {away} s");
                let x = playout.render(at(arrival)).unwrap().frame.left.pose.position().x;
                assert!((x - 1.0).abs() < 1e-9, "{x}: {profile:?} after {away} s");
            }
        }
    }
}

#[test]
fn frames_that_begin_or_cease_to_be_stamped_begin_anew() {
    let mut playout = Playout::new(config());
    let stamped = |t| VrFrame { t, ..frame() };
    assert!(!playout.push(at(0.0), &stamped(None)));
    assert!(!playout.push(at(0.1), &stamped(None)));
    assert!(playout.push(at(0.2), &stamped(Some(1000.0))));
    assert!(!playout.push(at(0.3), &stamped(Some(1100.0))));
    assert!(playout.push(at(0.4), &stamped(None)));
    assert!(!playout.push(at(0.5), &stamped(Some(f64::MAX))), "a stamp without milliseconds is none");
}

#[test]
fn a_turn_and_a_trigger_are_rendered_while_positions_stand_still() {
    let turned = |i| {
        let mut frame = left_pose(DVec3::ZERO, DQuat::from_rotation_z(if i < 100 { 0.0 } else { 3.0 }));
        frame.left.grip = if i < 100 { 1.0 } else { 0.0 };
        frame
    };
    let left = play(config(), &stream(200, 0.0, turned), ticks(0.0, 2.2)).before(2.2).frame.left;
    assert!(left.pose.orientation().angle_between(DQuat::from_rotation_z(3.0)) < 1e-6);
    assert!(left.grip < 1e-9);
}

#[test]
fn a_quaternion_and_its_negative_are_the_same_turn() {
    let turn = |i: usize| DQuat::from_rotation_y(0.02 * i as f64);
    for profile in [PlayoutProfile::Compatible, PlayoutProfile::LowDelay] {
        let config = PlayoutConfig { profile, ..config() };
        let signs: [fn(usize) -> bool; 2] = [|_| false, |i| i % 3 == 0];
        let [plain, mixed] = signs.map(|flipped| {
            let turned = |i| left_pose(DVec3::ZERO, if flipped(i) { -turn(i) } else { turn(i) });
            play(config, &stream(100, 0.0, turned), ticks(0.0, 1.0)).renderings
        });
        for ((_, plain), (time, mixed)) in plain.iter().zip(&mixed) {
            let (plain, mixed) = (plain.frame.left.pose.orientation(), mixed.frame.left.pose.orientation());
            assert!(plain.dot(mixed).abs() > 1.0 - 1e-12, "{profile:?} at {time}");
        }
    }
}

#[test]
fn a_frame_with_a_bad_number_does_not_spoil_the_window() {
    let mut playout = Playout::new(config());
    let mut refused = 0;
    for (i, (arrival, frame)) in stream(60, 0.0, |_| left_at(0.25)).into_iter().enumerate() {
        let mut text = String::new();
        frame.encode(&mut text);
        let bad = ["1e999", "\"nan\"", "1e9"];
        if i % 10 == 9 {
            text = text.replacen("0.25", bad[i / 10 % 3], 1);
        }
        match dispatch(&text) {
            Ok(ClientMessage::Pose(frame)) => assert!(!playout.push(at(arrival), &frame)),
            Ok(other) => panic!("{other:?}"),
            Err(_) => refused += 1,
        }
        let x = playout.render(at(arrival)).unwrap().frame.left.pose.position().x;
        assert!((x - 0.25).abs() < 1e-12, "{x}");
    }
    assert_eq!(refused, 6);
}

#[test]
fn buttons_sticks_state_and_counters_are_of_the_latest_frame() {
    let quiet = stream(100, 0.0, |_| frame());
    let mut playout = Playout::new(config());
    for (arrival, frame) in &quiet {
        assert!(!playout.push(at(*arrival), frame));
    }
    let mut latest = VrFrame {
        l_stick_y: -0.5,
        reset: true,
        state: VrState::Recording,
        seq: Some(7),
        elbow_est: true,
        reset_n: Some(3),
        ep_n: Some(4),
        ep_op: Some(waldo_protocol::vr::EpisodeOp::Save),
        t: Some(1e5 / RATE),
        ..frame()
    };
    latest.left.lock = true;
    latest.right.stick_x = 0.75;
    latest.right.stick_click = true;
    assert!(!playout.push(at(100.0 / RATE), &latest));
    let rendered = playout.render(at(100.0 / RATE)).unwrap().frame;
    assert!(rendered.t < latest.t, "poses are played out later");
    assert_eq!(VrFrame { t: latest.t, ..rendered }, latest);
}

/// The left hand moves to 1 m, is lost for `lost` frames in which its position drifts, and is found at 2 m.
fn lost_for(lost: usize) -> Vec<Arrival> {
    stream(300 + lost, 0.0, move |i| {
        let mut frame = left_at(match i {
            0..100 => i as f64 / 100.0,
            _ if i < 100 + lost => 1.0 + (i - 100) as f64,
            _ => 2.0,
        });
        frame.left.tracked = !(100..100 + lost).contains(&i);
        frame
    })
}

#[test]
fn dead_reckoned_poses_are_never_followed() {
    let frames = lost_for(90);
    let played = play(config(), &frames, ticks(0.0, 4.0));
    assert!(played.left().all(|(_, p)| p.x <= 0.99 + 1e-9 || p.x >= 2.0 - 1e-9));
    let held = played.before(150.0 / RATE);
    assert_eq!((held.frame.left.pose.position().x, held.frame.left.tracked), (0.99, false));
    assert!(held.frame.right.tracked && held.held(Hand::Right).is_none());
    let since = held.held(Hand::Left).unwrap().as_secs_f64();
    assert!((since - (51.0 / RATE - 0.06)).abs() < 0.01, "{since}");
}

#[test]
fn a_pose_that_jumps_after_a_loss_is_told_in_the_same_rendering() {
    let played = play(config(), &lost_for(90), ticks(0.0, 4.0));
    for pair in played.renderings.windows(2) {
        let (before, after) = (pair[0].1.frame.left, pair[1].1.frame.left);
        let jumped = before.pose.position().distance(after.pose.position()) > 0.05;
        assert_eq!(jumped, !before.tracked && after.tracked, "at {}", pair[0].0);
    }
}

#[test]
fn a_short_loss_is_bridged() {
    let played = play(config(), &lost_for(9), ticks(0.0, 3.0));
    assert!(played.renderings.iter().all(|(_, r)| r.frame.left.tracked));
    assert!(played.left().all(|(_, p)| p.x <= 2.0 + 1e-9));
}

#[test]
fn a_hand_that_was_never_tracked_passes_through() {
    let frames = stream(200, 0.0, |i| {
        let mut frame = left_at(i as f64 / 200.0);
        frame.left.tracked = false;
        frame
    });
    let rendered = *play(config(), &frames, ticks(0.0, 2.0)).before(2.0);
    assert!(rendered.frame.left.pose.position().x > 0.8);
    assert_eq!((rendered.frame.left.tracked, rendered.held(Hand::Left)), (false, None));
}

#[test]
fn without_smoothing_a_loss_is_held_too() {
    for (stamped, window) in [(true, Duration::ZERO), (false, config().smooth_window)] {
        let mut frames = lost_for(90);
        for (_, frame) in &mut frames {
            frame.t = frame.t.filter(|_| stamped);
        }
        let config = PlayoutConfig { smooth_window: window, ..config() };
        let rendered = *play(config, &frames, ticks(0.0, 1.5)).before(1.5);
        assert_eq!((rendered.frame.left.pose.position().x, rendered.frame.left.tracked), (0.99, false));
        assert!(rendered.held(Hand::Left).unwrap() > Duration::from_millis(300));
    }
}

#[test]
fn a_disabled_playout_gives_the_latest_frame() {
    let config = PlayoutConfig { enabled: false, ..config() };
    let frames = lost_for(9);
    let played = play(config, &frames, ticks(0.0, 3.0));
    for (time, rendered) in &played.renderings {
        let newest = frames.iter().rev().find(|(arrival, _)| at(*arrival) <= at(*time)).unwrap();
        assert_eq!(rendered.frame, newest.1);
    }
}

#[test]
fn a_late_frame_finds_its_place() {
    let mut frames = stream(100, 0.0, |i| left_at(i as f64 / RATE));
    frames[90].0 = frames[99].0;
    let late = frames.remove(90);
    frames.push(late);
    let rendered = play(config(), &frames, [frames[99].0]).renderings[0].1.frame;
    let shown = rendered.t.unwrap() * 1e-3;
    assert!((rendered.left.pose.position().x - shown).abs() < 1e-6, "{rendered:?}");
    assert!((shown - (frames[99].0 - 0.16)).abs() < 1e-6, "its lateness is the delay from now on: {shown}");
}

#[test]
fn nothing_is_rendered_before_the_first_frame_and_the_last_one_stays() {
    let mut playout = Playout::new(config());
    assert_eq!(playout.render(at(0.0)), None);
    for (arrival, frame) in stream(30, 0.0, |_| left_at(0.5)) {
        assert!(!playout.push(at(arrival), &frame));
    }
    let left = playout.render(at(3600.0)).unwrap().frame.left;
    assert_eq!((left.pose.position().x, left.tracked), (0.5, true));
}
