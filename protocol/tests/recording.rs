//! Decisions of the operator over links that lose frames, sockets and pages.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use waldo_protocol::vr::{
    ClientMessage, Edges, Episode, EpisodeOp, Interruption, RecordingEdges, SeqMark, VrFrame, VrState, dispatch,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

use VrState::{DataCollection, Recording, Saving, Teleop};

const SAVE: Episode = Episode::Save { review: false };
const SAVE_FOR_REVIEW: Episode = Episode::Save { review: true };

fn frame(seq: i64, state: VrState) -> VrFrame {
    let point = r#"{"x":0,"y":1,"z":0}"#;
    let ee = format!(r#"{{"position":{point},"quaternion":{{"x":0,"y":0,"z":0,"w":1}}}}"#);
    let text = format!(r#"{{"l_ee":{ee},"r_ee":{ee},"l_elbow":{point},"r_elbow":{point},"seq":{seq}}}"#);
    match dispatch(&text) {
        Ok(ClientMessage::Pose(frame)) => VrFrame { state, ..frame },
        other => panic!("{other:?}"),
    }
}

fn reset(seq: i64, state: VrState) -> VrFrame {
    VrFrame { reset: true, ..frame(seq, state) }
}

fn counted(reset_n: u32, ep_n: u32, ep_op: EpisodeOp) -> VrFrame {
    VrFrame { seq: None, reset_n: Some(reset_n), ep_n: Some(ep_n), ep_op: Some(ep_op), ..frame(0, Teleop) }
}

fn with_counters() -> RecordingEdges {
    let mut edges = RecordingEdges::default();
    edges.use_counters();
    edges
}

/// The edges of frames that all count.
fn observe(edges: &mut RecordingEdges, frames: impl IntoIterator<Item = VrFrame>) -> Vec<Edges> {
    frames.into_iter().map(|frame| edges.observe(&frame, true)).collect()
}

fn episodes(edges: &mut RecordingEdges, frames: impl IntoIterator<Item = VrFrame>) -> Vec<Episode> {
    observe(edges, frames).into_iter().filter_map(|e| e.episode).collect()
}

fn resets(edges: &mut RecordingEdges, frames: impl IntoIterator<Item = VrFrame>) -> usize {
    observe(edges, frames).into_iter().filter(|e| e.reset).count()
}

/// A stream that has just started an episode with its frame 2.
fn recording() -> RecordingEdges {
    let mut edges = RecordingEdges::default();
    assert_eq!(episodes(&mut edges, [frame(1, DataCollection), frame(2, Recording)]), [Episode::Start]);
    edges
}

#[test]
fn a_discard_takes_the_reset_of_its_press_with_it() {
    let mut edges = recording();
    let held = (3..13).map(|seq| reset(seq, DataCollection)).chain([frame(13, DataCollection)]);
    let seen = observe(&mut edges, held);
    assert_eq!(seen[0], Edges { episode: Some(Episode::Discard), ..Edges::default() });
    assert!(seen[1..].iter().all(|e| *e == Edges::default()));
    assert_eq!(resets(&mut edges, [reset(14, DataCollection)]), 1, "the next press is one");
}

#[test]
fn a_discard_whose_first_frame_is_lost_is_still_a_discard_while_reset_is_held() {
    assert_eq!(episodes(&mut recording(), [reset(5, DataCollection)]), [Episode::Discard]);
}

#[test]
fn a_save_after_lost_frames_is_marked_for_review() {
    assert_eq!(episodes(&mut recording(), [frame(3, DataCollection)]), [SAVE]);
    assert_eq!(episodes(&mut recording(), [frame(4, DataCollection)]), [SAVE_FOR_REVIEW]);
    assert_eq!(
        episodes(&mut recording(), [frame(9, Recording), frame(10, DataCollection)]),
        [SAVE],
        "frames lost in the middle decide nothing"
    );
}

#[test]
fn save_and_discard_without_a_start_are_none() {
    let mut edges = RecordingEdges::default();
    assert!(episodes(&mut edges, [frame(1, Teleop), frame(2, Recording), frame(3, DataCollection)]).is_empty());
    let mut edges = RecordingEdges::default();
    let seen = observe(&mut edges, [frame(1, Recording), reset(2, DataCollection)]);
    assert_eq!(seen[1], Edges { reset: true, ..Edges::default() }, "a reset that discards nothing is a reset");
}

#[test]
fn an_episode_that_the_server_ended_is_not_ended_again() {
    let mut edges = recording();
    edges.end();
    assert!(!edges.recording());
    assert!(episodes(&mut edges, [frame(3, Saving), frame(4, DataCollection)]).is_empty());
    let mut edges = recording();
    edges.end();
    assert!(episodes(&mut edges, [frame(3, Recording), frame(4, DataCollection)]).is_empty());
    assert_eq!(episodes(&mut edges, [frame(5, Recording), frame(6, DataCollection)]), [Episode::Start, SAVE]);
}

#[test]
fn a_discard_that_crosses_the_servers_own_end_of_the_episode_starts_no_rest_move() {
    let mut edges = recording();
    edges.end();
    let seen = observe(&mut edges, [frame(3, Recording), reset(4, DataCollection), reset(5, DataCollection)]);
    assert!(seen.iter().all(|e| *e == Edges::default()), "{seen:?}");
    assert_eq!(resets(&mut edges, [frame(6, DataCollection), reset(7, DataCollection)]), 1, "the next press is one");

    let mut edges = with_counters();
    let (start, discard) = (EpisodeOp::Start, EpisodeOp::Discard);
    assert_eq!(episodes(&mut edges, [counted(0, 0, discard), counted(0, 1, start)]), [Episode::Start]);
    edges.end();
    assert_eq!(observe(&mut edges, [counted(1, 2, discard)]), [Edges::default()]);
    assert_eq!(resets(&mut edges, [counted(2, 2, discard)]), 1);
}

#[test]
fn the_first_frame_of_another_stream_is_no_save() {
    let mut old = recording();
    assert!(old.interrupt(), "the episode is open and kept for review");
    let mut new = RecordingEdges::default();
    assert_eq!(observe(&mut new, [frame(1, DataCollection)]), [Edges::default()]);
}

#[test]
fn a_stream_that_comes_back_goes_on_recording() {
    let mut edges = recording();
    assert!(edges.interrupt());
    assert!(episodes(&mut edges, [frame(3, Recording)]).is_empty());
    assert!(edges.recording());
    assert_eq!(episodes(&mut edges, [frame(4, DataCollection)]), [SAVE]);
    assert!(!edges.interrupt(), "nothing is open now");
}

#[test]
fn a_save_decided_while_the_stream_was_gone_is_marked_for_review() {
    let mut edges = recording();
    edges.interrupt();
    assert_eq!(episodes(&mut edges, [VrFrame { seq: None, ..frame(0, DataCollection) }]), [SAVE_FOR_REVIEW]);
}

#[test]
fn who_leaves_in_the_middle_of_a_recording_interrupts_it_at_once_and_goes_on_when_back() {
    let mut edges = recording();
    // The last frame comes by the channel and again by the socket, without numbers in the first generation.
    let seen = observe(&mut edges, [reset(3, Recording), reset(3, Recording)]);
    assert_eq!(seen[0], Edges { reset: true, interruption: Some(Interruption::Begins), ..Edges::default() });
    assert_eq!(seen[1], Edges::default());
    assert!(edges.recording() && edges.interrupted());
    assert!(!edges.interrupt(), "the silence that follows is not another interruption");
    let seen = observe(&mut edges, [frame(4, Recording), frame(5, Recording), frame(6, DataCollection)]);
    assert_eq!(seen[0], Edges { interruption: Some(Interruption::Ends), ..Edges::default() });
    assert_eq!(seen[1..], [Edges::default(), Edges { episode: Some(SAVE), ..Edges::default() }]);
}

#[test]
fn with_counters_too_a_reset_that_decides_nothing_interrupts_and_a_discard_does_not() {
    let n = |reset_n, ep_n, ep_op, state| VrFrame { state, ..counted(reset_n, ep_n, ep_op) };
    let start = [n(0, 0, EpisodeOp::Save, DataCollection), n(0, 1, EpisodeOp::Start, Recording)];
    let mut edges = with_counters();
    observe(&mut edges, start);
    let left = observe(&mut edges, [n(1, 1, EpisodeOp::Start, Recording)]);
    assert_eq!((left[0].reset, left[0].interruption), (true, Some(Interruption::Begins)));
    let mut edges = with_counters();
    observe(&mut edges, start);
    let discarded = observe(&mut edges, [n(1, 2, EpisodeOp::Discard, DataCollection)]);
    assert_eq!(discarded, [Edges { episode: Some(Episode::Discard), ..Edges::default() }]);
}

#[test]
fn what_the_server_ended_by_a_push_is_not_interrupted() {
    let mut edges = recording();
    edges.end();
    assert_eq!(observe(&mut edges, [frame(3, Saving), frame(4, DataCollection)]), [Edges::default(); 2]);
    assert!(!edges.interrupt() && !edges.interrupted());
}

#[test]
fn a_lost_reset_pulse_is_known_by_its_counter_and_a_seen_one_counts_once() {
    let mut edges = with_counters();
    let n = |reset_n, reset| VrFrame { reset, ..counted(reset_n, 0, EpisodeOp::Start) };
    assert_eq!(resets(&mut edges, [n(3, false), n(3, false)]), 0);
    assert_eq!(resets(&mut edges, [n(4, false)]), 1, "the pulse was lost");
    assert_eq!(resets(&mut edges, [n(5, true), n(5, false), n(5, true)]), 1, "the pulse is not counted again");
    assert_eq!(resets(&mut edges, [n(9, false)]), 1, "several lost presses are one rest move");
}

#[test]
fn a_lost_discard_is_known_by_its_counter() {
    let mut edges = with_counters();
    let frames = [
        counted(0, 7, EpisodeOp::Save),
        counted(0, 8, EpisodeOp::Start),
        // The frame that carried the change of state and the reset was lost.
        counted(0, 9, EpisodeOp::Discard),
    ];
    assert_eq!(episodes(&mut edges, frames), [Episode::Start, Episode::Discard]);
}

#[test]
fn counters_replace_the_edges_of_the_state() {
    let mut edges = with_counters();
    let n = |ep_n, ep_op, state| VrFrame { state, ..counted(0, ep_n, ep_op) };
    let frames = [
        n(0, EpisodeOp::Save, DataCollection),
        n(1, EpisodeOp::Start, Recording),
        n(1, EpisodeOp::Start, DataCollection),
        n(2, EpisodeOp::Save, DataCollection),
        n(2, EpisodeOp::Save, Recording),
        VrFrame { ep_n: None, ep_op: None, ..n(0, EpisodeOp::Save, DataCollection) },
    ];
    assert_eq!(episodes(&mut edges, frames), [Episode::Start, SAVE]);
}

#[test]
fn counters_wrap_around() {
    let mut edges = with_counters();
    let frames = [counted(u32::MAX, u32::MAX, EpisodeOp::Save), counted(0, 0, EpisodeOp::Start)];
    let seen = observe(&mut edges, frames);
    assert_eq!(seen[1], Edges { reset: true, episode: Some(Episode::Start), ..Edges::default() });
}

#[test]
fn of_several_decisions_the_latest_counts_and_the_lost_ones_are_told() {
    let mut edges = with_counters();
    let frames = [counted(0, 0, EpisodeOp::Save), counted(0, 1, EpisodeOp::Start), counted(0, 4, EpisodeOp::Save)];
    let seen = observe(&mut edges, frames);
    assert_eq!(seen[2], Edges { episode: Some(SAVE_FOR_REVIEW), lost: 2, ..Edges::default() });
}

#[test]
fn counters_of_a_client_that_did_not_agree_on_them_are_skipped() {
    let mut edges = RecordingEdges::default();
    assert_eq!(resets(&mut edges, [counted(1, 1, EpisodeOp::Save), counted(2, 2, EpisodeOp::Start)]), 0);
    let pulse = VrFrame { reset: true, ..counted(2, 2, EpisodeOp::Start) };
    assert_eq!(resets(&mut edges, [pulse]), 1);
}

#[test]
fn pulses_count_until_the_first_counter_comes() {
    let mut edges = with_counters();
    assert_eq!(resets(&mut edges, [frame(1, Teleop), reset(2, Teleop), frame(3, Teleop)]), 1);
    let baseline = VrFrame { reset: true, ..counted(5, 0, EpisodeOp::Save) };
    assert_eq!(resets(&mut edges, [baseline, counted(5, 0, EpisodeOp::Save)]), 1);
}

#[test]
fn nothing_a_watching_stream_did_counts_when_it_drives() {
    let mut edges = RecordingEdges::default();
    for watched in [frame(1, DataCollection), frame(2, Recording), reset(3, Recording)] {
        assert_eq!(edges.observe(&watched, false), Edges::default());
    }
    assert_eq!(observe(&mut edges, [reset(4, Recording), frame(5, DataCollection)]), [Edges::default(); 2]);
}

#[test]
fn a_huge_seq_locks_out_no_other_stream() {
    let (mut spoiled, mut reloaded) = (SeqMark::default(), SeqMark::default());
    assert!(spoiled.admit(Some((1 << 53) - 1)));
    assert!(!spoiled.admit(Some(1)));
    assert!(reloaded.admit(Some(1)), "a stream of its own");
    let mut forgotten = SeqMark::default();
    assert!(forgotten.admit(Some(-5)) && forgotten.admit(Some(-4)) && !forgotten.admit(Some(-4)));
}

#[test]
fn the_same_frame_sent_three_times_rewinds_nothing() {
    let mut mark = SeqMark::default();
    let sent = [1, 1, 2, 1, 2, 3, 2, 3, 3];
    let admitted: Vec<i64> = sent.into_iter().filter(|seq| mark.admit(Some(*seq))).collect();
    assert_eq!(admitted, [1, 2, 3]);
}
