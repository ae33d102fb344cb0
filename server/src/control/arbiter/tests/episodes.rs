//! Episodes of operators who leave, whose links break, or who give way.

use super::*;

const SAVE: Event = Event::Episode(Episode::Save { review: false });

fn in_state(state: VrState) -> VrFrame {
    VrFrame { state, ..frame() }
}

impl Room {
    fn record(&mut self, who: SourceId) {
        self.send(who, in_state(VrState::DataCollection));
        self.send(who, in_state(VrState::Recording));
        assert!(self.events.contains(&Event::Episode(Episode::Start)));
    }

    /// What was told of episodes since the last call.
    fn episodes(&mut self) -> Vec<Event> {
        let told = |e: &Event| matches!(e, Event::Episode(_) | Event::Interrupted(_) | Event::Resumed(_)).then_some(*e);
        let found = self.events.iter().filter_map(told).collect();
        self.events.clear();
        found
    }
}

#[test]
fn the_recording_of_a_driver_whose_socket_closes_goes_on_with_the_next_one() {
    let mut room = Room::new();
    room.engage(A);
    room.record(A);
    room.episodes();
    room.arbiter.on_closed(room.now, A, &mut room.events);
    assert_eq!(room.episodes(), [Event::Interrupted(A)]);
    let edges = room.arbiter.take_interrupted().expect("open for the same stream");
    room.arbiter.resume(room.now, B, edges);
    room.send(B, in_state(VrState::Recording));
    room.send(B, in_state(VrState::DataCollection));
    assert_eq!(room.episodes(), [Event::Resumed(B), SAVE]);
}

#[test]
fn a_silent_recording_is_interrupted_after_two_seconds_and_goes_on_whether_its_stream_drove_or_not() {
    for drives in [true, false] {
        let mut room = Room::new();
        if drives {
            room.engage(A);
        }
        room.record(A);
        room.episodes();
        room.wait(1_980);
        assert_eq!(room.episodes(), []);
        room.wait(20);
        assert_eq!(room.episodes(), [Event::Interrupted(A)], "{drives}");
        room.wait(60_000);
        room.send(A, in_state(VrState::Recording));
        room.send(A, in_state(VrState::DataCollection));
        assert_eq!(room.episodes(), [Event::Resumed(A), SAVE], "{drives}");
    }
}

#[test]
fn a_recording_is_interrupted_as_soon_as_its_operator_leaves_and_they_are_told_until_they_are_back() {
    let mut room = Room::new();
    room.engage(A);
    room.record(A);
    room.episodes();
    room.send(A, VrFrame { reset: true, ..in_state(VrState::Recording) });
    assert_eq!(room.episodes(), [Event::Interrupted(A)]);
    assert!(room.arbiter.take_reset(), "the arms go to rest all the same");
    let hold = room.arbiter.hold_for(room.now, A).expect("a word to the operator");
    assert_eq!((hold.reason, hold.severity), (HoldReason::Interrupted, waldo_protocol::vr::Severity::Info));
    room.wait(10_000);
    assert_eq!(room.episodes(), [], "leaving and falling silent are one interruption");
    room.send(A, in_state(VrState::Recording));
    assert_eq!((room.episodes(), room.reason_for(A)), (vec![Event::Resumed(A)], None));
}

#[test]
fn a_recording_without_a_lease_is_interrupted_when_somebody_else_engages() {
    let mut room = Room::new();
    room.record(A);
    room.send(B, frame());
    room.episodes();
    room.send(B, squeezed(frame()));
    assert_eq!(room.episodes(), [Event::Interrupted(A)]);
    room.send(A, in_state(VrState::Recording));
    room.arbiter.on_closed(room.now, B, &mut room.events);
    room.send(A, in_state(VrState::DataCollection));
    assert_eq!(room.episodes(), [], "what it decided while somebody else drove would not be known");
}

#[test]
fn who_gives_the_lease_back_goes_on_recording() {
    let mut room = Room::new();
    room.engage(A);
    room.record(A);
    room.episodes();
    room.arbiter.on_lease(room.now, A, LeaseRequest { op: LeaseOp::Release, n: 1 }, &mut room.events);
    room.send(A, in_state(VrState::DataCollection));
    assert_eq!(room.episodes(), [SAVE]);
}

#[test]
fn a_start_ends_every_other_episode() {
    let mut room = Room::new();
    room.record(A);
    room.record(B);
    room.episodes();
    room.send(A, in_state(VrState::DataCollection));
    assert_eq!(room.episodes(), [], "it would save the episode of the other one");
    room.send(B, in_state(VrState::DataCollection));
    assert_eq!(room.episodes(), [SAVE]);
}
