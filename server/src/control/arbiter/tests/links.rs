//! Links that fall silent, close or have clocks that jump.

use super::*;

fn at(ms: f64) -> VrFrame {
    VrFrame { t: Some(ms), ..frame() }
}

#[test]
fn silence_disengages_after_half_a_second_and_ends_the_role_after_two() {
    let mut room = Room::new();
    room.engage(A);
    room.wait(488);
    assert!(room.arbiter.engaged());
    room.wait(1);
    assert!(!room.arbiter.engaged());
    assert_eq!((room.reason(), room.arbiter.lease().driver), (Some(HoldReason::LinkStale), Some(A)));
    room.wait(1499);
    assert_eq!(room.arbiter.lease().driver, Some(A));
    room.wait(1);
    assert_eq!((room.reason(), room.arbiter.lease().driver), (Some(HoldReason::LinkStale), None));
}

#[test]
fn a_silence_counts_even_if_nobody_looked_at_the_clock() {
    let mut room = Room::new();
    room.engage(A);
    room.now = room.now + Duration::from_millis(600);
    room.send(A, squeezed(frame()));
    assert_eq!((room.tracking(), room.reason()), (vec![true, false], Some(HoldReason::ReleaseGrips)));
    room.send(A, frame());
    assert_eq!(room.reason(), None);
    room.send(A, squeezed(frame()));
    assert_eq!(room.tracking(), [true, false, true]);
}

#[test]
fn grips_released_before_a_silence_do_not_count_after_it() {
    let mut room = Room::new();
    room.send(A, frame());
    room.wait(600);
    room.send(A, squeezed(frame()));
    assert!(room.tracking().is_empty());
}

#[test]
fn a_closed_stream_disengages_and_leaves_at_once() {
    let mut room = Room::new();
    room.engage(A);
    room.events.clear();
    room.arbiter.on_closed(room.now, A, &mut room.events);
    assert_eq!(room.events[..2], [Event::Tracking(false), Event::Lease]);
    assert_eq!(room.reason(), Some(HoldReason::LinkStale));
    assert_eq!(room.arbiter.targets(room.now), None);
}

#[test]
fn a_jump_of_the_headsets_clock_disengages() {
    for jump in [400.0, -400.0, 1e9, -1e9] {
        let mut room = Room::new();
        room.send(A, at(0.0));
        room.send(A, squeezed(at(11.0)));
        for i in 2..300 {
            room.send(A, at(f64::from(i) * 11.0));
        }
        assert!(room.arbiter.engaged());
        room.send(A, at(300.0 * 11.0 + jump));
        assert_eq!((room.arbiter.engaged(), room.reason()), (false, Some(HoldReason::Clock)));
        room.send(A, at(301.0 * 11.0 + jump));
        room.send(A, squeezed(at(302.0 * 11.0 + jump)));
        assert!(room.arbiter.engaged(), "the new clock is as good as the old one");
        assert_eq!(room.reason(), None);
    }
}

#[test]
fn slow_drift_and_jitter_of_the_clock_are_no_jump() {
    let mut room = Room::new();
    room.send(A, at(0.0));
    room.send(A, squeezed(at(11.0)));
    for i in 2..2000 {
        let jitter = f64::from(i % 7) * 30.0;
        room.send(A, at(f64::from(i) * 11.05 - jitter));
    }
    assert!(room.arbiter.engaged());
}

#[test]
fn the_word_about_the_clock_fades() {
    let mut room = Room::new();
    room.send(A, at(0.0));
    room.send(A, squeezed(at(11.0)));
    room.send(A, at(9000.0));
    assert_eq!(room.reason(), Some(HoldReason::Clock));
    for _ in 0..300 {
        room.send(A, frame());
    }
    assert_eq!(room.reason(), None);
}

#[test]
fn a_press_while_the_link_was_dead_starts_nothing_when_it_is_back() {
    let mut room = Room::new();
    let counted = |n, state| VrFrame { reset_n: Some(n), state, ..frame() };
    room.arbiter.use_counters(room.now, A);
    room.send(A, counted(3, VrState::DataCollection));
    room.send(A, counted(3, VrState::Recording));
    room.arbiter.on_closed(room.now, A, &mut room.events);
    let edges = room.arbiter.take_interrupted().expect("in the middle of an episode");
    room.arbiter.resume(room.now, B, edges);
    room.send(B, counted(7, VrState::Recording));
    assert!(!room.arbiter.take_reset());
    room.send(B, counted(8, VrState::DataCollection));
    assert!(room.arbiter.take_reset());
    assert!(room.events.contains(&Event::Episode(Episode::Save { review: false })), "{:?}", room.events);
}
