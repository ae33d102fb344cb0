//! A program drives.

use super::*;
use crate::control::{RAMP, Refused, ResetProgress, Resume};

#[test]
fn the_first_action_takes_the_lease_and_moves_the_arms_within_a_second() {
    let mut room = Room::new();
    assert_eq!(room.act(), Ok(()));
    assert_eq!((room.driver(), &room.events[..]), (Some(POLICY), &[Event::Lease][..]));
    let began = room.now;
    let mut last = 0.0;
    while room.now.since(began) <= RAMP {
        let part = room.arbiter.joint_targets(room.now).unwrap().part;
        assert!((0.0..0.04).contains(&(part - last)), "{last} {part}");
        last = part;
        room.act_for(20).unwrap();
    }
    assert_eq!(last, 1.0);
}

#[test]
fn a_silent_policy_is_held_with_the_reason_until_it_acts_again_and_begins_anew() {
    let mut room = Room::new();
    room.act_for(2000).unwrap();
    room.wait(499);
    assert!(room.moves());
    let before = room.arbiter.joint_targets(room.now).unwrap();
    room.wait(1);
    assert!(!room.moves());
    assert_eq!(room.reason(), Some(HoldReason::LinkStale));
    assert!(room.arbiter.hold(room.now).unwrap().text.contains("policy"));
    room.act().unwrap();
    let after = room.arbiter.joint_targets(room.now).unwrap();
    assert_eq!((room.reason(), after.part), (None, 0.0));
    assert!(after.stretch > before.stretch);
}

#[test]
fn a_policy_that_stays_silent_loses_the_lease_and_holds_nobody_up_any_more() {
    let mut room = Room::new();
    room.act().unwrap();
    room.wait(1999);
    assert_eq!(room.driver(), Some(POLICY));
    room.wait(1);
    assert_eq!((room.driver(), room.reason()), (None, None));
}

#[test]
fn a_policy_that_waits_for_the_robot_is_not_held_between_its_steps() {
    let mut room = Room::new();
    let patient = JointAction { holds_after: None, ..action(1.0, None) };
    room.arbiter.on_action(room.now, POLICY, patient, &mut room.events).unwrap();
    room.wait(9_999);
    assert!(room.moves());
    room.wait(1);
    assert_eq!((room.moves(), room.driver()), (false, None));
}

#[test]
fn whoever_knows_that_the_policy_is_silent_holds_the_arms_at_once() {
    let mut room = Room::new();
    room.act().unwrap();
    room.arbiter.on_program_silent(room.now, REPLAY, &mut room.events);
    assert!(room.moves(), "not this one");
    room.arbiter.on_program_silent(room.now, POLICY, &mut room.events);
    assert_eq!((room.moves(), room.reason()), (false, Some(HoldReason::LinkStale)));
}

#[test]
fn a_stop_holds_the_policy_until_it_is_cleared_and_seen_to_be() {
    for resume in [Resume::Newer, Resume::Reset] {
        let mut room = Room::resuming(resume);
        room.act_beside(A, 100).unwrap();
        assert!(room.stop(A, false));
        assert_eq!((room.act(), room.moves()), (Err(Refused::Held(HoldReason::Stopped)), false));
        assert_eq!(room.reset(), Err(Refused::Held(HoldReason::Stopped)));
        assert_eq!(room.act_for(3000), Err(Refused::Held(HoldReason::Stopped)));
        let before = room.now;
        assert!(room.stop(A, true), "any person may clear it while a program drives");
        assert!(!room.moves());
        let expected = if resume == Resume::Reset { Refused::ResetFirst } else { Refused::Old };
        assert_eq!(room.act_seen(POLICY, Some(before)), Err(expected));
        room.wait(5);
        assert_eq!(room.act().is_ok(), resume == Resume::Newer);
    }
}

#[test]
fn a_reset_moves_to_rest_and_what_was_seen_on_the_way_counts() {
    let mut room = Room::new();
    room.act().unwrap();
    room.reset().unwrap();
    assert_eq!((room.arbiter.reset_progress(), room.moves()), (ResetProgress::Asked, false));
    assert_eq!(room.act(), Err(Refused::Held(HoldReason::Resetting)));
    assert_eq!(room.reset(), Err(Refused::Held(HoldReason::Resetting)));
    let asked = room.now;
    room.wait(1);
    let seen = room.now;
    room.move_to_rest();
    assert_eq!((room.arbiter.reset_progress(), room.driver()), (ResetProgress::Done, Some(POLICY)));
    assert_eq!(room.act_seen(POLICY, Some(asked)), Err(Refused::Old), "of the episode before");
    assert_eq!(room.act_seen(POLICY, Some(seen)), Ok(()));
}

#[test]
fn a_reset_that_is_stopped_fails_or_is_taken_over_says_so() {
    let ask = || {
        let mut room = Room::new();
        room.reset().unwrap();
        assert!(room.arbiter.take_reset());
        room.robot_hold(Some(HoldReason::Resetting));
        room
    };
    let failed = |room: &Room| match room.arbiter.reset_progress() {
        ResetProgress::Failed(reason) => reason,
        other => panic!("{other:?}"),
    };
    let mut stopped = ask();
    stopped.stop(B, false);
    assert_eq!(failed(&stopped), HoldReason::Stopped);
    let mut broken = ask();
    broken.robot_hold(Some(HoldReason::Fault));
    assert_eq!(failed(&broken), HoldReason::Fault);
    assert_eq!(broken.act(), Err(Refused::Held(HoldReason::Fault)));
    assert_eq!(broken.reset(), Ok(()), "which ends a fault");
    let mut taken = ask();
    taken.send(A, reset());
    assert_eq!(failed(&taken), HoldReason::NotDriver);
    taken.robot_hold(None);
    assert_eq!(failed(&taken), HoldReason::NotDriver);
}

#[test]
fn programs_rank_among_each_other() {
    let mut room = Room::new();
    assert_eq!(room.act_seen(REPLAY, None), Ok(()));
    assert_eq!(room.act(), Ok(()), "a policy counts more than a replay");
    assert_eq!(room.act_seen(REPLAY, None), Err(Refused::Program));
    assert_eq!(room.arbiter.request_reset(room.now, REPLAY, &mut room.events), Err(Refused::Program));
}

#[test]
fn a_policy_changes_neither_the_scale_of_motion_nor_anybodys_episode() {
    let mut room = Room::new();
    let scale = MotionScale { pos: 0.5, rot: 1.0 };
    room.arbiter.set_scale(A, scale);
    room.send(A, VrFrame { state: VrState::Recording, ..frame() });
    room.events.clear();
    room.act().unwrap();
    assert_eq!(room.events, [Event::Lease]);
    assert_eq!(room.arbiter.scale(), scale);
    let finer = MotionScale { pos: 0.2, rot: 1.0 };
    assert_eq!(room.arbiter.set_scale(A, finer), finer, "while a program drives, too");
    room.engage(A);
    assert_eq!(room.arbiter.scale(), finer);
}
