//! The operator's side of the hosted wire: the vectors of clock, keys, sticks, stall gate, figures and latency stamp,
//! natively and in a browser.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use waldo_protocol::hosted::{
    ClockSync, HeldKeys, LinkFigures, LinkPath, OLD_TIME_BITS, Pace, Quality, SYNC, SpeedMode, StallGate, Velocities,
    VideoReport, battery_quality, codec_quality, end_to_end_quality, freezes_quality, gamepad_to_joy, is_bright,
    latency_of, loss_quality, stamp_cells, sticks_to_velocities,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

const TEXT: &str = include_str!("../../../tests/vectors/hosted.json");

/// Runs every entry whose name begins so and fails if their number is not the one this test claims to cover.
fn run(prefix: &str, count: usize, check: impl Fn(&Value, &Value)) {
    let all: Vec<Value> = serde_json::from_str(TEXT).unwrap();
    let entries: Vec<_> = all.iter().filter(|e| e["name"].as_str().unwrap().starts_with(prefix)).collect();
    assert_eq!(entries.len(), count, "number of {prefix} entries");
    for entry in entries {
        eprintln!("{}", entry["name"]);
        check(&entry["message"], &entry["expect"]);
    }
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance
}

fn velocities(twist: &Value) -> Velocities {
    let part = |name: &str, axis: usize| twist[name][axis].as_f64().unwrap();
    [
        part("linear", 0),
        part("linear", 1),
        part("linear", 2),
        part("angular", 0),
        part("angular", 1),
        part("angular", 2),
    ]
}

fn same(a: Velocities, b: Velocities) -> bool {
    a.iter().zip(b).all(|(a, b)| close(*a, b, 1e-9))
}

#[test]
fn the_clock_follows_the_quickest_answers() {
    run("clock_", 3, |message, expect| {
        let mut clock = ClockSync::default();
        for (pong, step) in message["pongs"].as_array().unwrap().iter().zip(expect["steps"].as_array().unwrap()) {
            let time = |name: &str| pong[name].as_f64().unwrap();
            let told = clock.on_pong(time("client_ts"), time("robot_ts"), time("recv_ts"));
            assert_eq!(told.is_some(), step["accepted"] == true);
            if let Some(told) = told {
                assert!(close(told.rtt_ms, step["rtt_ms"].as_f64().unwrap(), 1e-3));
                assert!(close(told.offset_ms, step["offset_ms"].as_f64().unwrap(), 1e-3));
                assert!(close(clock.offset() * 1000.0, told.offset_ms, 1e-9));
            }
        }
    });
}

#[test]
fn the_round_trip_that_is_beaten_ages_once_for_each_second() {
    let mut clock = ClockSync::default();
    assert!(clock.on_pong(0.0, 0.0, 0.020).is_some());
    for second in 1..=20 {
        let sent = f64::from(second);
        assert!(clock.on_pong(sent, sent, sent + 0.060).is_none(), "{second}: every answer counted the age anew");
    }
}

#[test]
fn pings_come_every_400_ms_until_five_were_answered() {
    let mut clock = ClockSync::default();
    let mut pings = Vec::new();
    for tick in 0..200 {
        let now = f64::from(tick) * 0.05;
        pings.extend(clock.poll(now));
    }
    assert!(pings.len() >= 24, "{} unanswered pings in ten seconds", pings.len());
    for answer in 0..5 {
        let sent = 10.0 + f64::from(answer) * 0.001;
        clock.on_pong(sent, sent, sent + 0.02 + f64::from(answer) * 0.01);
    }
    let later = (0..100).filter_map(|tick| clock.poll(10.2 + f64::from(tick) * 0.05)).count();
    assert!((1..=2).contains(&later), "{later}");
}

#[test]
fn stamps_lie_a_little_in_the_past_and_further_where_round_trips_vary() {
    let mut clock = ClockSync::default();
    assert!(close(clock.stamp(100.0), 99.995, 1e-9));
    clock.on_pong(100.0, 107.01, 100.02);
    assert!(close(clock.stamp(200.0), 206.995, 1e-6));
    clock.on_pong(100.4, 107.5, 100.48);
    assert!(close(clock.stamp(200.0), 206.97, 1e-6), "half of the 60 ms between them");
}

#[test]
fn an_answer_from_nowhere_moves_no_clock() {
    let mut clock = ClockSync::default();
    for (sent, robot, received) in [(10.0, 10.0, 9.0), (10.0, 10.0, 15.1), (10.0, f64::NAN, 10.1), (f64::NAN, 1.0, 1.0)]
    {
        assert_eq!(clock.on_pong(sent, robot, received), None);
    }
    assert_eq!((clock.rtt_ms(), clock.offset()), (None, 0.0));
}

fn held(message: &Value) -> HeldKeys {
    let mut keys = HeldKeys::default();
    for key in message["keys"].as_array().unwrap() {
        let code = match key.as_str().unwrap() {
            "Shift" => "ShiftLeft".to_owned(),
            "Control" => "ControlLeft".to_owned(),
            "Space" => "Space".to_owned(),
            letter => format!("Key{}", letter.to_uppercase()),
        };
        assert!(keys.set(&code, true));
    }
    keys
}

#[test]
fn keys_ask_for_what_the_map_says() {
    run("keys_", 11, |message, expect| {
        let keys = held(message);
        let asked = if message["generation"] == "A" {
            keys.normalized()
        } else if expect["frame_id"] == "eef_twist_arm" {
            keys.jog()
        } else if message["pose_mode"] == true {
            keys.body()
        } else {
            keys.drive(SpeedMode::parse(message["speed_mode"].as_str().unwrap()).unwrap())
        };
        assert!(same(asked, velocities(expect)), "{asked:?}");
    });
}

#[test]
fn keys_that_mean_nothing_are_none() {
    let mut keys = HeldKeys::default();
    assert!(!keys.set("KeyX", true));
    assert!(keys.set("Space", true) && !keys.any_motion());
    assert!(keys.set("KeyW", true) && keys.any_motion());
}

#[test]
fn sticks_ask_for_what_the_map_says() {
    run("vr_sticks_", 3, |message, expect| {
        let stick = |name: &str| [0, 1].map(|axis| message[name][axis].as_f64().unwrap());
        let pace = match message["grip"].as_str() {
            Some("left") => Pace::Half,
            Some("right") => Pace::Double,
            _ => Pace::Plain,
        };
        let mode = SpeedMode::parse(message["speed_mode"].as_str().unwrap()).unwrap();
        match sticks_to_velocities(stick("left_stick"), stick("right_stick"), pace, mode) {
            None => assert!(expect["twist"].is_null()),
            Some(asked) => assert!(same(asked, velocities(&expect["twist"])), "{asked:?}"),
        }
    });
}

#[test]
fn a_short_gamepad_is_padded_and_its_stick_is_found() {
    let (axes, buttons) = gamepad_to_joy(true, &[0.0, 0.0, 0.25, -0.5], &[(0.75, true), (1.0, true)]);
    assert_eq!(axes, [0.25, -0.5, 0.75, 1.0]);
    assert_eq!(buttons, [1, 1, 0, 0, 0, 0, 0]);
    let (axes, buttons) = gamepad_to_joy(false, &[0.25, f64::NAN], &[(0.0, false); 9]);
    assert_eq!(axes, [0.25, 0.0, 0.0, 0.0]);
    assert_eq!(buttons.len(), 9, "more are allowed");
}

#[test]
fn the_stall_gate_blocks_and_waits_for_the_release() {
    run("stall_", 2, |message, expect| {
        let mut gate = StallGate::default();
        for (sample, step) in message["samples"].as_array().unwrap().iter().zip(expect["steps"].as_array().unwrap()) {
            let number = |name: &str| sample[name].as_f64().unwrap();
            let blocked = gate.tick(number("media_time"), number("now_ms"), sample["keys_held"] == true);
            assert_eq!(blocked, step["blocked"] == true);
            assert_eq!((gate.is_stalled(), gate.is_armed()), (step["stalled"] == true, step["armed"] == true));
        }
    });
}

#[test]
fn a_release_can_be_demanded_at_any_time() {
    let mut gate = StallGate::default();
    gate.demand_release();
    assert!(gate.tick(-1.0, 0.0, true));
    assert!(!gate.tick(-1.0, 1.0, false));
    assert!(!gate.tick(-1.0, 2.0, true));
}

fn quality(name: &str) -> Quality {
    match name {
        "good" => Quality::Good,
        "warn" => Quality::Warn,
        "bad" => Quality::Bad,
        other => panic!("{other}"),
    }
}

#[test]
fn the_link_is_as_good_as_its_figures() {
    run("hud_", 5, |message, expect| {
        let number = |value: &Value| value.as_f64();
        let figures = LinkFigures {
            stalled: message["stalled"] == true,
            video: number(&message["video"]["fps"]).zip(number(&message["video"]["loss_pct"])),
            rtt_ms: number(&message["rtt_ms"]),
            command_ms: number(&message["cmd"]["latency_ms"]),
        };
        assert_eq!(figures.quality(), quality(expect["health"].as_str().unwrap()));
    });
    let unknown = LinkFigures { video: Some((15.0, 0.0)), ..LinkFigures::default() };
    assert_eq!(unknown.quality(), Quality::Bad, "an unknown round trip is the worst");
}

#[test]
fn figures_are_judged_row_by_row() {
    use Quality::{Bad, Good, Warn};
    assert_eq!([1.0, 1.1, 3.1].map(loss_quality), [Good, Warn, Bad]);
    assert_eq!([150.0, 151.0, 301.0].map(end_to_end_quality), [Good, Warn, Bad]);
    assert_eq!([8.0, 9.0, 21.0].map(freezes_quality), [Good, Warn, Bad]);
    assert_eq!([41, 40, 15].map(battery_quality), [Good, Warn, Bad]);
    assert_eq!(["H264", "VP8", ""].map(codec_quality), [Good, Warn, Good]);
    let paths = ["host", "srflx", "prflx", "relay", "?"].map(LinkPath::of_candidate);
    let labels = paths.map(|path| path.map_or("", LinkPath::label));
    assert_eq!(labels, ["direct", "STUN", "STUN", "TURN", ""]);
    assert_eq!([LinkPath::Stun, LinkPath::Turn].map(LinkPath::quality), [Good, Warn]);
}

fn cells(value: &Value) -> Vec<bool> {
    value.as_array().unwrap().iter().map(|bit| bit == 1).collect()
}

#[test]
fn the_latency_stamp_is_written_and_read() {
    run("stamp_encode", 2, |message, expect| {
        let written: Vec<_> = stamp_cells(message["unix_ms"].as_u64().unwrap()).collect();
        assert_eq!(written[..4], SYNC);
        assert_eq!(written[4..], cells(&expect["bits"]));
    });
    run("stamp_decode", 4, |message, expect| {
        let read = match message.get("cells") {
            Some(all) => cells(all),
            None => SYNC.into_iter().chain(cells(&message["bits"])).collect(),
        };
        let now = message["operator_now_ms"].as_f64().unwrap() + message["offset_ms"].as_f64().unwrap();
        let latency = latency_of(&read, now).unwrap_or(0.0);
        assert!(close(latency, expect["e2e_latency_ms"].as_f64().unwrap(), 1e-6), "{latency}");
    });
}

#[test]
fn a_stamp_is_read_across_its_wrap_and_in_its_older_form() {
    let taken = 1_699_997_548_543_u64;
    let padded: Vec<_> = stamp_cells(taken).chain([false; 30]).collect();
    let latency = latency_of(&padded, 1_699_997_548_643.0).unwrap();
    assert!(close(latency, 100.0, 1e-6), "{latency}");
    let old: Vec<_> = SYNC.into_iter().chain((0..OLD_TIME_BITS).rev().map(|bit| taken >> bit & 1 == 1)).collect();
    assert!(close(latency_of(&old, 1_699_997_548_600.0).unwrap(), 57.0, 1e-6));
    assert_eq!(latency_of(&[], 0.0), None);
    assert_eq!(latency_of(&SYNC, 0.0), None);
    assert!(is_bright([128, 128, 128]) && !is_bright([255, 0, 0]));
}

#[test]
fn figures_are_the_differences_of_two_reports() {
    run("video_stats_", 2, |message, expect| {
        let report = |name: &str| {
            let report = &message[name];
            let number = |name: &str| report[name].as_f64().unwrap_or_default();
            VideoReport {
                timestamp: number("timestamp"),
                frames_decoded: number("framesDecoded"),
                bytes_received: number("bytesReceived"),
                packets_lost: number("packetsLost"),
                packets_received: number("packetsReceived"),
                total_decode_time: number("totalDecodeTime"),
                frame_width: number("frameWidth"),
                frame_height: number("frameHeight"),
                jitter: number("jitter"),
                frames_dropped: number("framesDropped"),
                freeze_count: number("freezeCount"),
                jitter_buffer_delay: number("jitterBufferDelay"),
                jitter_buffer_emitted_count: number("jitterBufferEmittedCount"),
                decoder: report["decoderImplementation"].as_str().unwrap_or_default().to_owned(),
                codec_mime: message["codec_mime"].as_str().unwrap_or_default().to_owned(),
            }
        };
        let Some(figures) = report("current").since(&report("previous"), 0.0) else {
            assert!(expect.is_null());
            return;
        };
        let told = [
            ("fps", figures.fps),
            ("kbps", figures.kbps),
            ("width", f64::from(figures.width)),
            ("height", f64::from(figures.height)),
            ("loss_pct", figures.loss_pct),
            ("jitter_ms", figures.jitter_ms),
            ("frames_dropped", f64::from(figures.frames_dropped)),
            ("freezes", f64::from(figures.freezes)),
            ("jitter_buffer_ms", figures.jitter_buffer_ms),
            ("decode_ms", figures.decode_ms),
        ];
        for (name, value) in told {
            assert!(close(value, expect[name].as_f64().unwrap(), 1e-6), "{name}: {value}");
        }
        assert_eq!([figures.codec.as_str(), figures.decoder.as_str()], ["H264", "ExternalDecoder"]);
    });
}
