use glam::{DQuat, DVec3};
use waldo_protocol::vr::{Controller, Hand, Hands, LeaseOp, LeaseRequest, LeaseState, VrState};

use self::room::{Room, action};
use super::*;
use crate::control::tests::{frame, pose, squeezed};

mod episodes;
mod field;
mod hands;
mod lease;
mod links;
mod programs;
mod properties;
mod room;
mod stop;
mod takeovers;

const A: SourceId = SourceId::person(1);
const B: SourceId = SourceId::person(2);
const POLICY: SourceId = SourceId::POLICY;
const REPLAY: SourceId = SourceId { kind: SourceKind::Replay, number: 7 };
const FRAME: Duration = Duration::from_millis(11);

fn reset() -> VrFrame {
    VrFrame { reset: true, ..frame() }
}

#[test]
fn the_first_stream_that_engages_drives() {
    let mut room = Room::new();
    assert_eq!(room.send(A, frame()), Admission::Admitted);
    assert_eq!(room.send(B, frame()), Admission::Admitted);
    assert_eq!(room.arbiter.lease().driver, None);
    room.engage(B);
    assert_eq!(room.events, [Event::Lease, Event::Tracking(true)]);
    assert_eq!(room.arbiter.lease().driver, Some(B));
    assert_eq!(room.send(A, frame()), Admission::Watching);
}

#[test]
fn letting_go_keeps_the_driver_role() {
    let mut room = Room::new();
    room.engage(A);
    room.send(A, squeezed(frame()));
    assert!(!room.arbiter.engaged());
    assert_eq!(room.squeeze(B), Admission::Watching);
    assert_eq!((room.arbiter.lease().driver, room.arbiter.engaged()), (Some(A), false));
}

#[test]
fn who_tries_to_drive_beside_the_driver_is_told() {
    let mut room = Room::new();
    room.engage(A);
    room.send(B, frame());
    assert_eq!(room.reason_for(B), None);
    room.send(B, squeezed(frame()));
    assert_eq!((room.reason_for(B), room.reason_for(A)), (Some(HoldReason::NotDriver), None));
    let told = room.arbiter.hold_for(room.now + Duration::from_millis(89), B).expect("still squeezing");
    assert_eq!((told.severity, told.since_ms), (waldo_protocol::vr::Severity::Hold, 100.0));
    room.send(B, frame());
    assert_eq!(room.reason_for(B), None);
}

#[test]
fn grips_held_while_the_driver_leaves_do_not_engage() {
    let mut room = Room::new();
    room.engage(A);
    room.squeeze(B);
    room.arbiter.on_closed(room.now, A, &mut room.events);
    assert_eq!(room.arbiter.lease().driver, None);
    room.send(B, squeezed(frame()));
    assert!(!room.arbiter.engaged());
    assert_eq!(room.reason_for(B), Some(HoldReason::ReleaseGrips));
    room.engage(B);
    assert_eq!(room.arbiter.lease().driver, Some(B));
}

#[test]
fn a_reset_disengages_and_is_latched_once_however_long_it_is_held() {
    let mut room = Room::new();
    room.engage(A);
    room.events.clear();
    for _ in 0..10 {
        room.send(A, reset());
    }
    assert_eq!((&room.events[..], room.arbiter.resets()), (&[Event::Tracking(false)][..], 1));
    assert!(room.arbiter.take_reset());
    assert!(!room.arbiter.take_reset());
    room.send(A, frame());
    room.send(A, reset());
    assert!(room.arbiter.take_reset());
    assert_eq!(room.arbiter.resets(), 2);
}

#[test]
fn a_reset_beats_a_squeeze_in_the_same_frame_and_blocks_until_it_is_taken() {
    let mut room = Room::new();
    room.send(A, frame());
    room.send(A, squeezed(reset()));
    assert_eq!((room.arbiter.resets(), room.arbiter.engaged()), (1, false));
    room.squeeze(A);
    assert!(!room.arbiter.engaged());
    room.arbiter.take_reset();
    room.engage(A);
}

#[test]
fn only_the_driver_resets_while_there_is_one() {
    let mut room = Room::new();
    room.send(B, reset());
    assert!(room.arbiter.take_reset());
    room.send(B, frame());
    room.engage(A);
    room.send(B, reset());
    assert!(room.arbiter.engaged() && !room.arbiter.take_reset());
    // Held until the driver has left, it is still no edge.
    room.arbiter.on_closed(room.now, A, &mut room.events);
    room.send(B, reset());
    assert!(!room.arbiter.take_reset());
}

#[test]
fn while_the_robot_holds_nobody_engages_and_grips_held_to_its_end_do_not_either() {
    let mut room = Room::new();
    room.engage(A);
    room.robot_hold(Some(HoldReason::Resetting));
    assert_eq!((room.tracking(), room.reason()), (vec![true, false], Some(HoldReason::Resetting)));
    room.squeeze(A);
    room.robot_hold(None);
    room.send(A, squeezed(frame()));
    assert_eq!((room.arbiter.engaged(), room.reason()), (false, Some(HoldReason::ReleaseGrips)));
    room.engage(A);
}

#[test]
fn grips_held_from_the_first_frame_engage_nothing() {
    let mut room = Room::new();
    room.send(A, squeezed(frame()));
    room.send(A, squeezed(frame()));
    assert_eq!((room.tracking(), room.reason_for(A)), (vec![], Some(HoldReason::ReleaseGrips)));
    assert_eq!((room.reason(), room.reason_for(B)), (Some(HoldReason::ReleaseGrips), None));
    room.engage(A);
}

#[test]
fn clamps_name_the_hand_and_come_after_holds() {
    let mut room = Room::new();
    room.engage(A);
    let (limit, reach) = (Some(HoldReason::Limit), Some(HoldReason::Workspace));
    for (clamps, expected) in
        [([None, limit], Hands::Right), ([reach, limit], Hands::Left), ([limit, limit], Hands::Both)]
    {
        room.arbiter.set_clamps(room.now, clamps);
        room.now = room.now + Duration::from_millis(150);
        assert_eq!(room.arbiter.hold(room.now).map(|h| h.hand), Some(expected));
    }
    assert!(room.arbiter.engaged());
    room.robot_hold(Some(HoldReason::Fault));
    assert_eq!(room.reason(), Some(HoldReason::Fault));
}

#[test]
fn a_full_table_lets_newcomers_watch_until_somebody_falls_silent() {
    let mut room = Room::new();
    room.engage(A);
    for n in 1..MAX_STREAMS as u64 {
        assert_eq!(room.send(SourceId::person(100 + n), frame()), Admission::Watching);
        room.send(A, frame());
    }
    assert_eq!(room.arbiter.streams.len(), MAX_STREAMS);
    room.send(B, frame());
    assert_eq!(room.arbiter.stream(B).map(|s| s.id), None);
    for _ in 0..200 {
        room.send(A, frame());
    }
    room.send(B, frame());
    assert_eq!(room.arbiter.stream(B).map(|s| s.id), Some(B));
    assert_eq!((room.arbiter.streams.len(), room.arbiter.engaged()), (MAX_STREAMS, true));
}
