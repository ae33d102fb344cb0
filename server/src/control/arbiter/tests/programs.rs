//! A program drives, people take over, and the program goes on.

use std::sync::Arc;

use waldo_protocol::vr::Stop;

use super::*;
use crate::control::{HANDED_BACK_AFTER, JointAction, RAMP, Refused, ResetProgress, Resume};
use crate::robot::ArmCommand;

const POLICY: SourceId = SourceId::POLICY;
const REPLAY: SourceId = SourceId { kind: SourceKind::Replay, number: 7 };

/// An action that says where all joints shall be, computed from what was seen at that time.
fn action(to: f64, observed: Option<MonoTime>) -> JointAction {
    let arm = ArmCommand { joints: vec![to; 7], gripper: 0.5 };
    JointAction { arms: Arc::new([arm.clone(), arm]), observed, holds_after: Some(Duration::from_millis(500)) }
}

impl Room {
    fn resuming(resume: Resume) -> Self {
        Self { arbiter: Arbiter::default().resuming(resume), ..Self::new() }
    }

    fn act_seen(&mut self, who: SourceId, observed: Option<MonoTime>) -> Result<(), Refused> {
        self.arbiter.on_action(self.now, who, action(1.0, observed), &mut self.events)
    }

    /// The policy acts on what it sees at this moment.
    fn act(&mut self) -> Result<(), Refused> {
        self.act_seen(POLICY, Some(self.now))
    }

    /// The policy acts every 20 ms for so long; the last answer.
    fn act_for(&mut self, millis: u64) -> Result<(), Refused> {
        let mut answer = self.act();
        for _ in 0..millis / 20 {
            self.wait(20);
            answer = self.act();
        }
        answer
    }

    /// The same with a headset that does nothing but look.
    fn act_beside(&mut self, person: SourceId, millis: u64) -> Result<(), Refused> {
        let mut answer = self.act();
        for _ in 0..millis / 11 {
            self.send(person, frame());
            answer = self.act();
        }
        answer
    }

    fn moves(&self) -> bool {
        self.arbiter.joint_targets(self.now).is_some()
    }

    fn driver(&self) -> Option<SourceId> {
        self.arbiter.lease().driver
    }

    fn stop(&mut self, from: SourceId, clear: bool) -> bool {
        self.arbiter.on_stop(self.now, (from, Role::Driver), Stop { n: None, clear }, &mut self.events)
    }

    fn reset(&mut self) -> Result<(), Refused> {
        self.arbiter.request_reset(self.now, POLICY, &mut self.events)
    }

    /// The arm side takes the reset, moves to rest for two seconds, and is there.
    fn move_to_rest(&mut self) {
        assert!(self.arbiter.take_reset());
        self.robot_hold(Some(HoldReason::Resetting));
        self.wait(2000);
        self.robot_hold(None);
    }
}

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
