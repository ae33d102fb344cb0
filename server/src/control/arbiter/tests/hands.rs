//! What the hands of the driver ask for.

use super::*;

fn left_at(x: f64, tracked: bool) -> VrFrame {
    let left = Controller { pose: pose([x, 1.0, 0.0], DQuat::IDENTITY), tracked, ..frame().left };
    VrFrame { left, ..frame() }
}

#[test]
fn targets_are_the_controllers_since_the_frame_that_engaged() {
    let mut room = Room::new();
    room.send(A, left_at(0.1, true));
    room.send(A, squeezed(left_at(0.2, true)));
    let first = room.arbiter.targets(room.now).expect("engaged").hands[0];
    assert_eq!((first.origin, first.grip), (first.controller, None));
    room.send(A, squeezed(left_at(0.3, true)));
    let next = *room.arbiter.targets(room.now).expect("engaged").hand(Hand::Left);
    assert_eq!((next.origin.position().x, next.controller.position().x, next.grip), (0.2, 0.3, Some(1.0)));
    assert_eq!(next.engagement, first.engagement);
}

#[test]
fn an_untracked_controller_freezes_its_target_and_gets_a_new_snapshot_when_it_returns() {
    let mut room = Room::new();
    room.engage(A);
    room.send(A, left_at(0.1, true));
    let before = room.arbiter.targets(room.now).expect("engaged").hands;
    room.send(A, left_at(0.5, false));
    let lost = room.arbiter.targets(room.now).expect("engaged").hands;
    assert_eq!((lost[0].controller, lost[0].tracked), (before[0].controller, false));
    let hold = room.arbiter.hold(room.now).expect("lost");
    assert_eq!((hold.reason, hold.hand), (HoldReason::TrackingLost, Hands::Left));
    assert_eq!(hold.severity, waldo_protocol::vr::Severity::Clamp);
    room.send(A, left_at(0.6, true));
    let found = room.arbiter.targets(room.now).expect("engaged").hands;
    assert!(found[0].engagement > before[0].engagement && found[0].tracked);
    assert_eq!((found[0].origin, found[0].controller.position().x), (found[0].controller, 0.6));
    assert_eq!(found[1], before[1]);
    assert_eq!(room.reason(), None);
}

#[test]
fn a_trigger_works_while_its_controller_is_not_tracked() {
    let mut room = Room::new();
    room.engage(A);
    let mut pulled = left_at(0.5, false);
    pulled.left.grip = 0.25;
    room.send(A, pulled);
    assert_eq!(room.arbiter.targets(room.now).expect("engaged").hands[0].grip, Some(0.25));
}

#[test]
fn a_hand_that_is_suddenly_elsewhere_disengages() {
    let mut room = Room::new();
    room.engage(A);
    room.send(A, left_at(0.3, true));
    assert!(room.arbiter.engaged(), "a glitch that the playout deals with");
    room.send(A, left_at(1.5, true));
    assert_eq!((room.arbiter.engaged(), room.reason()), (false, Some(HoldReason::Velocity)));
    room.send(A, left_at(1.5, true));
    room.send(A, squeezed(left_at(1.5, true)));
    assert!(room.arbiter.engaged(), "from there on, deliberately");
}
