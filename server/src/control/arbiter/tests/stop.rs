//! The stop latch.

use super::*;

#[test]
fn a_stop_holds_until_it_is_cleared_and_then_needs_released_grips() {
    let mut room = Room::new();
    room.engage(A);
    let stop = |n, clear| Stop { n: Some(n), clear };
    room.arbiter.on_stop(room.now, (B, Role::Driver), stop(1, false), &mut room.events);
    assert_eq!((room.arbiter.engaged(), room.reason()), (false, Some(HoldReason::Stopped)));
    room.squeeze(A);
    room.send(A, reset());
    assert!(!room.arbiter.engaged() && !room.arbiter.take_reset(), "a move to rest is motion too");
    room.arbiter.on_stop(room.now, (B, Role::Driver), stop(2, true), &mut room.events);
    assert!(room.arbiter.stopped(), "a driver is there, and only the driver clears");
    room.send(A, squeezed(frame()));
    room.arbiter.on_stop(room.now, (A, Role::Driver), stop(1, true), &mut room.events);
    room.send(A, squeezed(frame()));
    assert_eq!((room.arbiter.engaged(), room.reason()), (false, Some(HoldReason::ReleaseGrips)));
    room.engage(A);
}

#[test]
fn who_watches_over_the_robot_clears_a_stop_and_only_the_driver_can_move_it_then() {
    let mut room = Room::new();
    room.engage(A);
    let stop = |clear| Stop { n: None, clear };
    room.arbiter.on_stop(room.now, (A, Role::Driver), stop(false), &mut room.events);
    assert!(room.arbiter.on_stop(room.now, (B, Role::Viewer), stop(true), &mut room.events));
    room.send(A, squeezed(frame()));
    assert_eq!((room.arbiter.stopped(), room.arbiter.engaged()), (false, false), "not with grips that were held");
    room.send(B, frame());
    assert_eq!(room.send(B, squeezed(frame())), Admission::Watching);
    room.engage(A);
}

#[test]
fn a_late_copy_of_a_stop_does_not_stop_again() {
    let mut room = Room::new();
    room.send(A, frame());
    for (n, clear, stopped) in
        [(1, false, true), (2, true, false), (1, false, false), (3, false, true), (2, true, true)]
    {
        room.arbiter.on_stop(room.now, (A, Role::Driver), Stop { n: Some(n), clear }, &mut room.events);
        assert_eq!(room.arbiter.stopped(), stopped, "{n}");
    }
    let unnumbered = Stop { n: None, clear: true };
    room.arbiter.on_stop(room.now, (A, Role::Driver), unnumbered, &mut room.events);
    assert!(!room.arbiter.stopped());
}
