//! Figures and counters of commands.

use serde_json::Value;
use waldo_protocol::hosted::{Arrival, CommandKind, CommandStatistics, Dropped, MAX_STREAMS};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{entries, number};

fn arrival(kind: CommandKind, seq: i32, at: f64) -> Arrival<'static> {
    Arrival { kind, frame_id: "keyboard", seq, stamp: at - 0.04, at, bytes: 81 }
}

/// Feeds twists with these numbers, 10 ms apart.
fn numbered(statistics: &mut CommandStatistics, numbers: &[i32]) {
    for (i, seq) in numbers.iter().enumerate() {
        statistics.arrived(arrival(CommandKind::Twist, *seq, i as f64 * 0.01));
    }
}

fn close(value: &Value, figure: f64) -> bool {
    (number(value) - figure).abs() < 1e-3 + 1e-6 * figure.abs()
}

#[test]
fn figures_of_the_vectors() {
    for entry in entries("cmd_stats_", 3) {
        let mut statistics = CommandStatistics::default();
        for sample in entry["message"]["samples"].as_array().unwrap() {
            statistics.arrived(Arrival {
                stamp: number(&sample["stamp"]),
                at: number(&sample["arrival"]),
                bytes: sample["bytes"].as_u64().unwrap() as usize,
                ..arrival(CommandKind::Twist, 0, 0.0)
            });
        }
        let expect = &entry["expect"];
        let Some(figures) = statistics.figures() else {
            assert!(expect["snapshot"].is_null() && expect.get("rate_hz").is_none(), "{entry}");
            continue;
        };
        assert!((number(&expect["latency_ms"]) - figures.latency_ms).abs() < 1e-6, "{entry}: {figures:?}");
        assert!((number(&expect["jitter_ms"]) - figures.jitter_ms).abs() < 1e-6, "{entry}: {figures:?}");
        assert!(close(&expect["rate_hz"], figures.rate_hz.unwrap()), "{entry}: {figures:?}");
        assert!(close(&expect["throughput_bps"], figures.throughput_bps.unwrap()), "{entry}: {figures:?}");
    }
}

#[test]
fn commands_that_arrive_at_once_have_no_rate() {
    let mut statistics = CommandStatistics::default();
    statistics.arrived(arrival(CommandKind::Twist, 0, 1.0));
    statistics.arrived(arrival(CommandKind::Twist, 0, 1.0));
    let figures = statistics.figures().unwrap();
    assert_eq!((figures.rate_hz, figures.throughput_bps), (None, None));
}

#[test]
fn figures_are_of_the_last_120_arrivals() {
    let mut statistics = CommandStatistics::default();
    for i in 0..200 {
        let at = if i < 80 { f64::from(i) } else { 80.0 + f64::from(i - 80) * 0.01 };
        statistics.arrived(arrival(CommandKind::Twist, 0, at));
    }
    assert!((statistics.figures().unwrap().rate_hz.unwrap() - 100.0).abs() < 1e-6);
}

#[test]
fn poses_stand_in_when_no_twist_has_come_for_a_second() {
    let mut statistics = CommandStatistics::default();
    for i in 0..10 {
        statistics.arrived(arrival(CommandKind::Pose, 0, f64::from(i) * 0.0125));
    }
    assert!((statistics.figures().unwrap().rate_hz.unwrap() - 80.0).abs() < 1e-6);
    for i in 0..10 {
        statistics.arrived(arrival(CommandKind::Twist, 0, 0.2 + f64::from(i) * 0.02));
    }
    assert!((statistics.figures().unwrap().rate_hz.unwrap() - 50.0).abs() < 1e-6);
    for i in 0..10 {
        statistics.arrived(arrival(CommandKind::Joy, 0, 2.0 + f64::from(i) * 0.01));
    }
    assert!((statistics.figures().unwrap().rate_hz.unwrap() - 100.0).abs() < 1e-6);
}

#[test]
fn missing_numbers_are_lost_and_those_that_come_late_are_not() {
    let mut statistics = CommandStatistics::default();
    numbered(&mut statistics, &[1, 2, 5, 3, 6, 0, 0]);
    let counters = statistics.counters();
    assert_eq!((counters.received, counters.numbered), (7, 5));
    assert_eq!((counters.lost, counters.reordered), (1, 1));
    assert!((counters.loss_pct() - 100.0 / 6.0).abs() < 1e-9);
}

#[test]
fn numbers_wrap_at_31_bits_and_leave_out_zero() {
    let mut statistics = CommandStatistics::default();
    numbered(&mut statistics, &[i32::MAX - 1, i32::MAX, 1, 2, i32::MAX]);
    assert_eq!((statistics.counters().lost, statistics.counters().reordered), (0, 1));
}

#[test]
fn each_stream_counts_on_its_own_and_a_new_channel_begins_anew() {
    let mut statistics = CommandStatistics::default();
    numbered(&mut statistics, &[100, 101]);
    statistics.arrived(Arrival { frame_id: "vr", ..arrival(CommandKind::Twist, 1, 0.1) });
    statistics.arrived(Arrival { frame_id: "vr", ..arrival(CommandKind::Pose, 7, 0.1) });
    assert_eq!(statistics.counters().lost, 0);
    statistics.restart();
    numbered(&mut statistics, &[1, 2, 4]);
    assert_eq!((statistics.counters().lost, statistics.counters().reordered), (1, 0));
}

#[test]
fn strange_addresses_do_not_fill_the_memory() {
    let mut statistics = CommandStatistics::default();
    let long = "x".repeat(100_000);
    for i in 0..100 * MAX_STREAMS {
        let frame_id = format!("stream {i}");
        statistics.arrived(Arrival { frame_id: &frame_id, ..arrival(CommandKind::Joy, 5, i as f64) });
        statistics.arrived(Arrival { frame_id: &long, ..arrival(CommandKind::Joy, 5, f64::NAN) });
    }
    assert_eq!(statistics.counters().received, 200 * MAX_STREAMS as u64);
    assert!(statistics.figures().is_none());
}

#[test]
fn the_true_jitter_is_that_of_the_transit_time() {
    let mut statistics = CommandStatistics::default();
    // 16 ms of deviation once, then none: a sixteenth of it, decaying.
    for (at, sent) in [(0.0, -0.04), (0.01, -0.03), (0.036, -0.02), (0.046, -0.01)] {
        statistics.arrived(Arrival { stamp: sent, ..arrival(CommandKind::Twist, 0, at) });
    }
    assert!((statistics.figures().unwrap().jitter_rfc3550_ms - 15.0 / 16.0).abs() < 1e-9);
}

#[test]
fn what_is_left_out_is_counted_by_its_reason() {
    let mut statistics = CommandStatistics::default();
    let reasons = [Dropped::Stale, Dropped::Stale, Dropped::Future, Dropped::JoyContract, Dropped::Latched];
    reasons.into_iter().for_each(|why| statistics.dropped(why));
    statistics.malformed();
    let counters = statistics.counters();
    assert_eq!((counters.dropped_stale, counters.dropped_future, counters.dropped_invalid), (2, 1, 2));
}
