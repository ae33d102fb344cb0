//! What a headset makes of its buttons and of what the server says, natively and in a browser.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use waldo_protocol::vr::{
    ClockSync, Confirmation, EpisodeOp, HeadsetRecording, Mode, Pong, PressCounters, RecordingButtons, RecordingStep,
    ServerMessage, VrState,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

const NONE: RecordingButtons = RecordingButtons { x: false, y: false, a: false };
const X: RecordingButtons = RecordingButtons { x: true, ..NONE };
const Y: RecordingButtons = RecordingButtons { y: true, ..NONE };
const A: RecordingButtons = RecordingButtons { a: true, ..NONE };

/// A headset that sends 90 frames a second.
struct Headset {
    recording: HeadsetRecording,
    now: f64,
    can_send: bool,
}

impl Headset {
    fn new() -> Self {
        let mut headset = Self { recording: HeadsetRecording::default(), now: 1000.0, can_send: true };
        headset.recording.begin();
        headset.frame(NONE);
        headset
    }

    fn collecting() -> Self {
        let mut headset = Self::new();
        headset.recording.push_mode(Mode::DataCollection);
        headset.frame(NONE);
        headset
    }

    fn recording() -> Self {
        let mut headset = Self::collecting();
        headset.press(A);
        headset.pass(3100.0);
        assert_eq!(headset.recording.state(), VrState::Recording);
        headset
    }

    fn frame(&mut self, buttons: RecordingButtons) -> RecordingStep {
        self.now += 11.0;
        self.recording.frame(self.now, buttons, self.can_send)
    }

    /// Presses and releases; returns the frame of the press.
    fn press(&mut self, buttons: RecordingButtons) -> RecordingStep {
        let step = self.frame(buttons);
        self.frame(NONE);
        step
    }

    /// Lets time pass; returns how many frames carried a reset.
    fn pass(&mut self, ms: f64) -> usize {
        let end = self.now + ms;
        let mut resets = 0;
        while self.now < end {
            resets += usize::from(self.frame(NONE).reset);
        }
        resets
    }

    fn counters(&self) -> (u32, u32, Option<EpisodeOp>) {
        let PressCounters { reset_n, ep_n, ep_op } = self.recording.counters();
        (reset_n, ep_n, ep_op)
    }
}

#[test]
fn a_starts_a_countdown_of_three_seconds_and_then_a_recording() {
    let mut headset = Headset::collecting();
    assert!(headset.press(A).hud_changed);
    headset.pass(2900.0);
    assert_eq!(headset.frame(NONE).state, VrState::DataCollection);
    headset.pass(100.0);
    assert_eq!(headset.frame(NONE).state, VrState::Recording);
    assert_eq!(headset.counters(), (0, 1, Some(EpisodeOp::Start)));
}

#[test]
fn a_again_ends_the_countdown_and_x_ends_it_with_a_reset() {
    for (button, resets) in [(A, 0), (X, 1)] {
        let mut headset = Headset::collecting();
        headset.press(A);
        headset.pass(1000.0);
        headset.press(button);
        headset.pass(4000.0);
        assert_eq!(headset.recording.state(), VrState::DataCollection);
        assert_eq!(headset.counters(), (resets, 0, None));
    }
}

#[test]
fn saving_takes_two_presses_of_a_and_sends_no_reset() {
    let mut headset = Headset::recording();
    assert_eq!(headset.press(A).state, VrState::Recording);
    assert_eq!(headset.recording.confirmation(), Some(Confirmation::Save));
    let commit = headset.frame(A);
    assert_eq!((commit.state, commit.reset), (VrState::DataCollection, false));
    assert_eq!(headset.pass(500.0), 0);
    assert_eq!(headset.counters(), (0, 2, Some(EpisodeOp::Save)));
}

#[test]
fn discarding_takes_two_presses_of_x_and_resets_in_the_very_frame() {
    let mut headset = Headset::recording();
    assert_eq!(
        headset.press(X),
        RecordingStep { state: VrState::Recording, reset: false, leave: false, hud_changed: true }
    );
    let commit = headset.frame(X);
    assert_eq!((commit.state, commit.reset), (VrState::DataCollection, true));
    assert_eq!(1 + headset.pass(500.0), 10, "ten frames, should the first be lost");
    assert_eq!(headset.counters(), (0, 2, Some(EpisodeOp::Discard)), "the discard's reset is no press of its own");
}

#[test]
fn the_other_button_or_both_cancel_the_question_and_the_recording_goes_on() {
    for (ask, cancel) in [(A, X), (X, A), (A, RecordingButtons { x: true, ..A })] {
        let mut headset = Headset::recording();
        headset.press(ask);
        let step = headset.press(cancel);
        assert_eq!((step.state, step.reset, step.hud_changed), (VrState::Recording, false, true));
        assert_eq!(headset.recording.confirmation(), None);
        assert_eq!(headset.counters().1, 1);
    }
}

#[test]
fn a_state_pushed_from_outside_drops_the_question() {
    let mut headset = Headset::recording();
    headset.press(A);
    headset.recording.push_state(VrState::Saving);
    let step = headset.frame(NONE);
    assert_eq!((step.state, step.hud_changed), (VrState::Saving, true));
    assert_eq!(headset.recording.confirmation(), None);
}

#[test]
fn a_and_x_do_nothing_while_an_episode_is_being_saved_but_y_leaves() {
    let mut headset = Headset::recording();
    headset.recording.push_state(VrState::Saving);
    headset.frame(NONE);
    for button in [A, X] {
        let step = headset.press(button);
        assert_eq!((step.state, step.reset, step.hud_changed), (VrState::Saving, false, false));
    }
    let leave = headset.frame(Y);
    assert!(leave.leave && leave.reset);
    assert_eq!(headset.counters().0, 1);
}

#[test]
fn saving_that_was_pushed_and_ended_between_two_frames_still_ends_a_countdown() {
    let mut headset = Headset::collecting();
    headset.press(A);
    headset.recording.push_state(VrState::Saving);
    headset.recording.push_state(VrState::DataCollection);
    headset.pass(4000.0);
    assert_eq!(headset.recording.state(), VrState::DataCollection);
}

#[test]
fn a_does_nothing_in_teleop() {
    let mut headset = Headset::new();
    headset.recording.push_mode(Mode::Teleop);
    headset.press(A);
    headset.pass(4000.0);
    assert_eq!((headset.recording.state(), headset.counters().1), (VrState::Teleop, 0));
}

#[test]
fn x_held_for_long_is_one_reset_of_ten_frames() {
    let mut headset = Headset::new();
    let resets = (0..50).filter(|_| headset.frame(X).reset).count();
    assert_eq!((resets, headset.counters().0), (10, 1));
    assert_eq!(headset.pass(100.0), 0);
}

#[test]
fn a_press_that_no_frame_could_carry_waits_for_the_next() {
    let mut headset = Headset::new();
    headset.can_send = false;
    assert!(!headset.press(X).reset);
    headset.pass(300.0);
    headset.can_send = true;
    assert_eq!(headset.pass(500.0), 10);
    assert_eq!(headset.counters().0, 1);
}

#[test]
fn a_press_that_no_frame_could_carry_for_long_is_forgotten() {
    let mut headset = Headset::recording();
    headset.can_send = false;
    headset.press(X);
    headset.press(A);
    headset.pass(600.0);
    headset.can_send = true;
    assert_eq!(headset.pass(500.0), 0);
    assert_eq!((headset.recording.confirmation(), headset.counters().0), (None, 0));
}

#[test]
fn a_countdown_that_ended_while_nothing_could_be_sent_starts_no_recording() {
    let mut headset = Headset::collecting();
    headset.press(A);
    headset.can_send = false;
    headset.pass(5000.0);
    headset.can_send = true;
    headset.pass(100.0);
    assert_eq!((headset.recording.state(), headset.counters().1), (VrState::DataCollection, 0));
}

#[test]
fn a_reset_that_was_cut_off_by_a_silence_does_not_go_on_after_it() {
    let mut headset = Headset::new();
    assert!(headset.frame(X).reset);
    headset.can_send = false;
    headset.pass(2000.0);
    headset.can_send = true;
    assert_eq!(headset.pass(500.0), 0);
}

#[test]
fn the_first_frame_that_is_counted_carries_no_press() {
    let mut headset = Headset::new();
    headset.recording.begin_counting();
    assert!(!headset.frame(X).reset);
    assert_eq!(headset.counters().0, 0);
    assert!(headset.frame(X).reset);
    assert_eq!(headset.counters().0, 1);
}

#[test]
fn y_together_with_a_decision_decides_nothing() {
    let mut headset = Headset::recording();
    headset.press(A);
    let step = headset.frame(RecordingButtons { y: true, ..A });
    assert_eq!((step.state, step.reset, step.leave), (VrState::Recording, true, true));
    assert_eq!(headset.counters(), (1, 1, Some(EpisodeOp::Start)));
}

#[test]
fn y_that_no_frame_can_carry_leaves_all_the_same() {
    let mut headset = Headset::new();
    headset.can_send = false;
    assert!(headset.frame(Y).leave);
    assert_eq!(headset.counters().0, 0);
}

#[test]
fn buttons_that_are_down_when_the_presentation_begins_do_nothing() {
    let mut headset = Headset::collecting();
    headset.recording.begin();
    let held = RecordingButtons { x: true, y: true, a: true };
    let step = headset.frame(held);
    assert!(!step.leave && !step.reset && !step.hud_changed);
}

#[test]
fn a_presentation_that_ends_takes_its_question_back() {
    let mut headset = Headset::recording();
    headset.press(X);
    assert!(headset.recording.begin());
    assert_eq!(
        headset.recording.hud(headset.now),
        json!({"confirm": null, "countdownRemainingMs": null}).as_object().cloned()
    );
    assert_eq!(headset.recording.state(), VrState::Recording);
}

#[test]
fn the_question_and_the_countdown_are_published_as_the_wire_names_them() {
    let mut headset = Headset::collecting();
    headset.frame(A);
    let hud = |headset: &Headset| Value::from(headset.recording.hud(headset.now).unwrap());
    assert_eq!(hud(&headset), json!({"confirm": null, "countdownRemainingMs": 3000.0}));
    let mut headset = Headset::recording();
    headset.press(X);
    assert_eq!(hud(&headset), json!({"confirm": "discard", "countdownRemainingMs": null}));
}

#[test]
fn the_published_examples_of_modes_and_states_hold() {
    let all: Vec<Value> = serde_json::from_str(include_str!("../../tests/vectors/vr.json")).unwrap();
    let examples = all.iter().filter(|e| e["direction"] == "s2c" && e["expect"].get("state").is_some());
    let mut seen = 0;
    for example in examples {
        seen += 1;
        let (name, given, expect) = (&example["name"], &example["given"], &example["expect"]);
        let mut headset = match given["state"].as_str() {
            Some("recording") => Headset::recording(),
            Some("data_collection") => Headset::collecting(),
            Some("saving") => {
                let mut headset = Headset::recording();
                headset.recording.push_state(VrState::Saving);
                headset
            }
            _ => Headset::new(),
        };
        if given.get("countdown_ms").is_some() {
            headset.press(A);
            headset.pass(1500.0);
        }
        let before = headset.frame(NONE).state;
        let text = example["message"].as_str().map_or_else(|| example["message"].to_string(), str::to_owned);
        match ServerMessage::decode(&text) {
            Some(ServerMessage::Mode(mode)) => headset.recording.push_mode(mode),
            Some(ServerMessage::State(state)) => headset.recording.push_state(state),
            Some(other) => panic!("{name}: {other:?}"),
            None => {}
        }
        let state = headset.frame(NONE).state;
        let wanted = expect["state"].as_str().unwrap();
        assert_eq!(state.name(), if wanted == "unchanged" { before.name() } else { wanted }, "{name}");
        if expect.get("countdown").is_some() {
            assert_eq!(headset.recording.countdown(headset.now), None, "{name}");
        }
        let pressed = headset.press(A);
        match expect["a_button"].as_str().or(expect["record_button"].as_str()) {
            Some("works" | "enabled") => assert!(pressed.hud_changed, "{name}"),
            Some("blocked" | "disabled") => assert!(!pressed.hud_changed, "{name}"),
            _ => {}
        }
    }
    assert_eq!(seen, 7);
}

/// The server's clock is 5000 ms ahead.
fn pong(n: i64, t: f64, there: f64) -> Pong {
    Pong { n, t, rx: t + there + 5000.0, tx: t + there + 5001.0 }
}

#[test]
fn the_exchange_with_the_smallest_round_trip_of_the_last_ten_counts() {
    let mut clock = ClockSync::default();
    // Slow on the way there, but for one exchange that is even.
    for i in 1..=10 {
        let now = f64::from(i) * 1000.0;
        let ping = clock.poll(now).unwrap();
        let there = if i == 1 { 2.0 } else { 40.0 };
        clock.on_pong(&pong(ping.n, ping.t, there), now + there + 1.0 + 2.0);
    }
    let estimate = clock.estimate().unwrap();
    assert_eq!((estimate.offset_ms, estimate.round_trip_ms), (5000.0, 4.0));
    let ping = clock.poll(11_000.0).unwrap();
    clock.on_pong(&pong(ping.n, ping.t, 40.0), 11_043.0);
    assert_eq!(clock.estimate().unwrap().round_trip_ms, 42.0, "the eleventh pushed the first one out");
}

#[test]
fn pings_are_a_second_apart_and_end_after_three_without_an_answer() {
    let mut clock = ClockSync::default();
    let sent: Vec<f64> = (0..100).map(|i| f64::from(i) * 100.0).filter(|now| clock.poll(*now).is_some()).collect();
    assert_eq!(sent, [0.0, 1000.0, 2000.0]);
    clock.on_pong(&pong(2, 1000.0, 1.0), 9000.0);
    assert!(clock.poll(10_000.0).is_some(), "a late answer is one");
}

#[test]
fn pongs_that_nobody_asked_for_change_nothing() {
    let mut clock = ClockSync::default();
    clock.on_pong(&pong(1, 0.0, 1.0), 3.0);
    clock.poll(0.0);
    clock.on_pong(&pong(1, 0.5, 1.0), 3.0);
    clock.on_pong(&pong(7, 0.0, 1.0), 3.0);
    assert_eq!(clock.estimate(), None);
    clock.on_pong(&pong(1, 0.0, 1.0), 3.0);
    clock.on_pong(&pong(1, 0.0, -100.0), 3.0);
    assert_eq!(clock.estimate().unwrap().round_trip_ms, 2.0);
}
