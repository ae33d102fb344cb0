//! People take over from a program, and it goes on.

use super::*;
use crate::control::{HANDED_BACK_AFTER, Refused, Resume};

#[test]
fn a_person_takes_over_by_engaging_and_drives_in_the_same_moment() {
    let mut room = Room::new();
    room.act_beside(A, 2000).unwrap();
    room.squeeze(A);
    assert!(room.arbiter.engaged());
    assert_eq!((room.driver(), room.moves()), (Some(A), false));
    assert_eq!(room.act(), Err(Refused::Operator));
    assert_eq!(room.reset(), Err(Refused::Operator));
    assert!(room.arbiter.targets(room.now).is_some());
}

#[test]
fn the_policy_goes_on_a_second_after_the_person_let_go_with_what_it_saw_since() {
    let mut room = Room::new();
    room.act_beside(A, 500).unwrap();
    room.engage(A);
    room.act_beside(A, 3000).unwrap_err();
    room.send(A, squeezed(frame()));
    assert!(!room.arbiter.engaged());
    for _ in 0..300 {
        room.send(A, squeezed(frame()));
        assert_eq!(room.act(), Err(Refused::Operator), "the grips are still held");
    }
    let let_go = room.now;
    while room.act() == Err(Refused::Operator) {
        room.send(A, frame());
    }
    assert_eq!(
        (room.driver(), room.act()),
        (None, Err(Refused::Old)),
        "seen in the moment of the release, not after it"
    );
    room.send(A, frame());
    assert_eq!(room.act(), Ok(()));
    let waited = room.now.since(let_go);
    assert!(waited >= HANDED_BACK_AFTER && waited < HANDED_BACK_AFTER + FRAME * 3, "{waited:?}");
    assert_eq!(room.driver(), Some(POLICY));
    let targets = room.arbiter.joint_targets(room.now).unwrap();
    assert_eq!(targets.part, 0.0, "ramped from where the arms are");
}

#[test]
fn what_was_seen_before_the_release_moves_nothing_and_old_clients_count_by_arrival() {
    let mut room = Room::new();
    room.act_beside(A, 500).unwrap();
    room.engage(A);
    room.send(A, squeezed(frame()));
    room.arbiter.on_closed(room.now, A, &mut room.events);
    let released = room.now;
    room.wait(10);
    assert_eq!(room.act_seen(POLICY, Some(released)), Err(Refused::Old));
    assert_eq!((room.driver(), room.moves()), (None, false), "and takes nothing");
    assert_eq!(room.act_seen(POLICY, None), Ok(()));
    assert!(room.moves());
}

#[test]
fn whoever_is_lost_while_engaged_has_released_nothing() {
    for closes in [true, false] {
        let mut room = Room::new();
        room.act_beside(A, 500).unwrap();
        room.engage(A);
        if closes {
            room.arbiter.on_closed(room.now, A, &mut room.events);
        }
        room.act_for(2500).unwrap_err();
        assert_eq!((room.driver(), room.act()), (None, Err(Refused::ResetFirst)));
        assert_eq!(room.reason(), Some(HoldReason::LinkStale));
        room.reset().unwrap();
        room.move_to_rest();
        assert_eq!((room.act(), room.reason()), (Ok(()), None));
        room.wait(600);
        assert_eq!(room.reason(), Some(HoldReason::LinkStale), "another one, of the policy");
    }
}

#[test]
fn a_short_loss_of_the_link_is_no_release() {
    let mut room = Room::new();
    room.act_beside(A, 500).unwrap();
    room.engage(A);
    room.send(A, squeezed(frame()));
    assert_eq!(room.act_for(1900), Err(Refused::Operator), "the grips were not seen released");
    room.send(A, squeezed(frame()));
    assert_eq!(room.act_beside(A, 900), Err(Refused::Operator));
}

#[test]
fn whoever_moves_the_base_has_not_let_go() {
    let mut room = Room::new();
    room.act_beside(A, 500).unwrap();
    room.engage(A);
    room.send(A, squeezed(frame()));
    room.send(A, frame());
    for _ in 0..300 {
        room.send(A, VrFrame { l_stick_y: -1.0, ..frame() });
        room.arbiter.cart(room.now, FRAME);
        assert_eq!(room.act(), Err(Refused::Operator));
    }
}

#[test]
fn letting_go_and_engaging_again_within_a_second_leaves_the_policy_out() {
    let mut room = Room::new();
    room.act_beside(A, 500).unwrap();
    room.engage(A);
    for _ in 0..5 {
        room.send(A, squeezed(frame()));
        assert_eq!(room.act_beside(A, 900), Err(Refused::Operator));
        room.engage(A);
    }
}

#[test]
fn who_asked_for_the_lease_in_words_keeps_it_until_they_release_it_in_words() {
    let mut room = Room::new();
    room.act_beside(A, 500).unwrap();
    let say = |room: &mut Room, op| {
        room.arbiter.on_lease(room.now, A, LeaseRequest { op, n: 1 }, &mut room.events);
    };
    say(&mut room, LeaseOp::Take);
    assert_eq!(room.driver(), Some(A));
    assert_eq!(room.act_beside(A, 5000), Err(Refused::Operator));
    say(&mut room, LeaseOp::Release);
    room.wait(1);
    assert_eq!(room.act(), Ok(()));
    // The same after it was taken by driving.
    room.engage(A);
    say(&mut room, LeaseOp::Claim);
    room.send(A, squeezed(frame()));
    assert_eq!(room.act_beside(A, 5000), Err(Refused::Operator));
}

#[test]
fn nobody_takes_it_from_a_person_who_drove_before_the_policy_came() {
    let mut room = Room::new();
    room.engage(A);
    room.send(A, squeezed(frame()));
    assert_eq!(room.act_beside(A, 5000), Err(Refused::Operator));
    room.wait(2000);
    assert_eq!(room.act(), Ok(()), "their headset sends nothing any more");
}

#[test]
fn a_press_for_rest_takes_over_and_the_policy_goes_on_a_second_after_the_arms_are_there() {
    let mut room = Room::new();
    room.act_beside(A, 500).unwrap();
    room.send(A, reset());
    assert_eq!((room.driver(), room.act()), (Some(A), Err(Refused::Operator)));
    assert!(room.arbiter.take_reset());
    room.robot_hold(Some(HoldReason::Resetting));
    assert_eq!(room.act_beside(A, 2000), Err(Refused::Operator));
    room.robot_hold(None);
    assert_eq!(room.act_beside(A, 980), Err(Refused::Operator));
    assert_eq!(room.act_beside(A, 50), Ok(()));
}

#[test]
fn an_idle_headset_disturbs_no_policy_and_is_told_no_hold() {
    let mut room = Room::new();
    room.act_beside(A, 100).unwrap();
    let far = |f: VrFrame| {
        let left = Controller { pose: pose([2.0, 1.1, -0.4], DQuat::IDENTITY), ..f.left };
        VrFrame { left, t: Some(99_000.0), ..f }
    };
    let stretch = room.arbiter.joint_targets(room.now).unwrap().stretch;
    room.send(A, far(frame()));
    room.act_beside(A, 100).unwrap();
    assert_eq!(room.arbiter.joint_targets(room.now).unwrap().stretch, stretch);
    assert_eq!(room.reason_for(A), None);
    room.arbiter.on_closed(room.now, A, &mut room.events);
    room.act().unwrap();
    assert_eq!(room.arbiter.joint_targets(room.now).unwrap().stretch, stretch);
}

#[test]
fn the_policy_must_reset_first_after_a_takeover_if_the_settings_say_so() {
    let mut room = Room::resuming(Resume::Reset);
    room.act_beside(A, 100).unwrap();
    room.engage(A);
    room.send(A, squeezed(frame()));
    let mut answer = Err(Refused::Operator);
    while answer == Err(Refused::Operator) {
        room.send(A, frame());
        answer = room.act();
    }
    assert_eq!(answer, Err(Refused::ResetFirst));
    room.wait(5000);
    assert_eq!(room.act(), Err(Refused::ResetFirst), "for as long as it takes");
    room.reset().unwrap();
    room.move_to_rest();
    assert_eq!(room.act(), Ok(()));
    room.wait(5000);
    assert_eq!(room.act(), Ok(()), "silence alone asks for none");
}
