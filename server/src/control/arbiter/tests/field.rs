//! Field users: grips that are held while an arm follows, beside headsets and programs.

use waldo_protocol::geometry::{Base, Pose};
use waldo_protocol::vr::Stop;

use super::*;
use crate::control::{FieldHand, FieldHands, MAX_FIELD_USERS, Refused};

const F: SourceId = SourceId::field_user(1);
const G: SourceId = SourceId::field_user(2);

/// A hand in front of the robot, so far ahead, metres.
fn hand(ahead: f64, follows: bool) -> FieldHand {
    let pose = Pose::<Base>::new(DVec3::new(0.4 + ahead, 0.0, 1.0), DQuat::IDENTITY).unwrap();
    FieldHand { pose, grips: follows, follows, grip: Some(1.0), rests: false }
}

fn hands(left: bool, right: bool) -> FieldHands {
    [Some(hand(0.0, left)), Some(hand(0.0, right))]
}

const OPEN: (bool, bool) = (false, false);
const BOTH: (bool, bool) = (true, true);

impl Room {
    fn field(&mut self, who: SourceId, hands: FieldHands) {
        self.arbiter.on_field(self.now, who, &hands, &mut self.events);
        self.now = self.now + FRAME;
    }

    fn grips(&mut self, who: SourceId, (left, right): (bool, bool)) {
        self.field(who, hands(left, right));
    }

    /// Both grips, seen released before.
    fn grip(&mut self, who: SourceId) {
        self.grips(who, OPEN);
        self.grips(who, BOTH);
    }

    fn follows(&self) -> [bool; 2] {
        self.arbiter.field_targets().map_or([false; 2], |targets| targets.hands.map(|hand| hand.is_some()))
    }
}

#[test]
fn each_grip_takes_the_lease_and_moves_its_own_arm_for_as_long_as_it_is_held() {
    let mut room = Room::new();
    room.grips(F, OPEN);
    assert_eq!((room.driver(), room.arbiter.engaged()), (None, false));
    room.grips(F, (true, false));
    assert_eq!((room.driver(), room.follows()), (Some(F), [true, false]));
    room.grips(F, BOTH);
    assert_eq!(room.follows(), [true, true]);
    room.grips(F, (false, true));
    assert_eq!((room.follows(), room.tracking()), ([false, true], vec![true]));
    room.grips(F, OPEN);
    assert_eq!((room.follows(), room.tracking()), ([false; 2], vec![true, false]));
    assert_eq!((room.driver(), room.reason()), (Some(F), None), "letting go keeps the lease, as on the VR wire");
}

#[test]
fn the_frame_that_engages_moves_nothing_and_each_squeeze_begins_anew() {
    let mut room = Room::new();
    room.grips(F, OPEN);
    room.field(F, [Some(hand(0.1, true)), None]);
    let first = room.arbiter.field_targets().unwrap().hands[0].unwrap();
    assert_eq!((first.origin, first.hand, first.grip), (hand(0.1, true).pose, hand(0.1, true).pose, None));
    room.field(F, [Some(FieldHand { grip: Some(0.0), ..hand(0.2, true) }), None]);
    let next = room.arbiter.field_targets().unwrap().hands[0].unwrap();
    assert_eq!((next.origin, next.hand, next.grip), (first.origin, hand(0.2, true).pose, Some(0.0)));
    assert_eq!(next.engagement, first.engagement);
    room.field(F, [Some(hand(0.5, false)), None]);
    room.field(F, [Some(hand(0.6, true)), None]);
    let again = room.arbiter.field_targets().unwrap().hands[0].unwrap();
    assert!(again.engagement > next.engagement && again.origin == again.hand);
}

#[test]
fn grips_held_from_the_first_moment_move_nothing_until_released() {
    let mut room = Room::new();
    for _ in 0..3 {
        room.grips(F, BOTH);
    }
    assert_eq!((room.driver(), room.reason_for(F)), (None, Some(HoldReason::ReleaseGrips)));
    room.grips(F, (false, true));
    room.grips(F, BOTH);
    assert_eq!(room.follows(), [true, false], "each hand for itself");
}

#[test]
fn a_hand_that_is_not_seen_lets_go_of_its_arm_alone() {
    let mut room = Room::new();
    room.grip(F);
    room.field(F, [None, Some(hand(0.0, true))]);
    assert_eq!(room.follows(), [false, true]);
    room.grips(F, BOTH);
    assert_eq!(room.follows(), [false, true], "its grip was not seen released");
    room.grips(F, (false, true));
    room.grips(F, BOTH);
    assert_eq!(room.follows(), [true, true]);
}

#[test]
fn a_silence_of_a_third_of_a_second_lets_go_and_after_two_seconds_the_lease_is_free() {
    let mut room = Room::new();
    room.grip(F);
    room.wait(288);
    assert_eq!(room.follows(), [true, true]);
    room.wait(1);
    assert_eq!((room.follows(), room.reason()), ([false; 2], Some(HoldReason::LinkStale)));
    room.wait(1699);
    assert_eq!(room.driver(), Some(F));
    room.wait(1);
    assert_eq!(room.driver(), None);
    room.grips(F, BOTH);
    assert_eq!(room.follows(), [false; 2], "held all the time, or pressed unseen");
    room.grip(F);
    assert_eq!((room.follows(), room.reason()), ([true, true], None));
}

#[test]
fn whoever_knows_that_a_user_asks_for_nothing_lets_go_at_once() {
    let mut room = Room::new();
    room.grip(F);
    room.arbiter.on_field_silent(room.now, G, &mut room.events);
    assert_eq!(room.follows(), [true, true], "not this one");
    room.arbiter.on_field_silent(room.now, F, &mut room.events);
    assert_eq!((room.follows(), room.reason()), ([false; 2], Some(HoldReason::LinkStale)));
    room.grips(F, BOTH);
    assert_eq!(room.follows(), [false; 2]);
}

#[test]
fn a_stop_lets_go_and_after_it_grips_must_be_seen_released() {
    let mut room = Room::new();
    room.grip(F);
    room.stop(B, false);
    assert_eq!((room.follows(), room.reason_for(F)), ([false; 2], Some(HoldReason::Stopped)));
    room.grip(F);
    room.field(F, [Some(FieldHand { rests: true, ..hand(0.0, false) }), None]);
    assert!(!room.arbiter.engaged() && !room.arbiter.take_reset(), "a move to rest is motion too");
    room.grips(F, BOTH);
    let clear = Stop { n: None, clear: true };
    assert!(!room.arbiter.on_stop(room.now, (B, Role::Driver), clear, &mut room.events), "somebody else drives");
    assert!(room.arbiter.on_stop(room.now, (B, Role::Viewer), clear, &mut room.events));
    room.grips(F, BOTH);
    assert_eq!((room.follows(), room.reason_for(F)), ([false; 2], Some(HoldReason::ReleaseGrips)));
    room.grip(F);
    assert_eq!(room.follows(), [true, true]);
}

#[test]
fn one_field_user_drives_and_the_others_are_told_so() {
    let mut room = Room::new();
    room.grip(F);
    room.grip(G);
    room.field(G, [Some(FieldHand { rests: true, ..hand(0.3, true) }), None]);
    assert_eq!((room.driver(), room.reason_for(G)), (Some(F), Some(HoldReason::NotDriver)));
    assert!(!room.arbiter.take_reset());
    let targets = room.arbiter.field_targets().unwrap().hands.map(|hand| hand.unwrap().hand);
    assert_eq!(targets, [hand(0.0, true).pose; 2]);
    room.arbiter.on_closed(room.now, F, &mut room.events);
    assert_eq!((room.driver(), room.follows()), (None, [false; 2]));
    room.grips(G, BOTH);
    assert_eq!((room.driver(), room.reason_for(G)), (None, Some(HoldReason::ReleaseGrips)));
    room.grip(G);
    assert_eq!(room.driver(), Some(G));
}

#[test]
fn a_person_in_vr_and_a_field_user_take_nothing_from_each_other_unasked() {
    let mut room = Room::new();
    room.engage(A);
    room.grip(F);
    assert_eq!((room.driver(), room.follows(), room.reason_for(F)), (Some(A), [false; 2], Some(HoldReason::NotDriver)));
    assert!(room.arbiter.targets(room.now).is_some());
    room.arbiter.on_closed(room.now, A, &mut room.events);
    room.grip(F);
    assert_eq!(room.squeeze(A), Admission::Watching);
    assert_eq!((room.driver(), room.reason_for(A)), (Some(F), Some(HoldReason::NotDriver)));
    assert!(room.arbiter.targets(room.now).is_none() && room.follows() == [true, true]);
}

#[test]
fn a_field_user_has_no_word_for_a_request_and_so_agrees_to_it_after_ten_seconds() {
    let mut room = Room::new();
    room.grip(F);
    room.send(A, frame());
    room.arbiter.on_lease(room.now, A, LeaseRequest { op: LeaseOp::Take, n: 1 }, &mut room.events);
    let asked = room.now;
    while room.driver() == Some(F) {
        assert_eq!(room.follows(), [true, true]);
        room.send(A, frame());
        room.grips(F, BOTH);
    }
    let waited = room.now.since(asked);
    assert!((TAKEOVER_AFTER..TAKEOVER_AFTER + FRAME * 3).contains(&waited), "{waited:?}");
    assert_eq!((room.driver(), room.follows(), room.tracking()), (Some(A), [false; 2], vec![true, false]));
    assert_eq!(room.reason_for(F), Some(HoldReason::NotDriver));
    room.engage(A);
}

#[test]
fn a_field_user_takes_over_from_a_policy_which_goes_on_a_second_after_they_let_go() {
    let mut room = Room::new();
    room.act_for(500).unwrap();
    room.grips(F, OPEN);
    room.act().expect("who only looks takes nothing");
    room.grips(F, (false, true));
    assert_eq!((room.driver(), room.follows(), room.moves()), (Some(F), [false, true], false));
    assert_eq!(room.act(), Err(Refused::Operator));
    for _ in 0..300 {
        room.grips(F, (false, true));
        assert_eq!(room.act(), Err(Refused::Operator), "a grip is still held");
    }
    let let_go = room.now;
    while room.act() == Err(Refused::Operator) {
        room.grips(F, OPEN);
    }
    let waited = room.now.since(let_go);
    assert!((HANDED_BACK_AFTER..HANDED_BACK_AFTER + FRAME * 3).contains(&waited), "{waited:?}");
    room.grips(F, OPEN);
    assert_eq!((room.act(), room.driver()), (Ok(()), Some(POLICY)));
}

#[test]
fn a_policy_must_reset_first_if_the_field_user_who_took_over_was_lost() {
    for closes in [true, false] {
        let mut room = Room::new();
        room.act_for(500).unwrap();
        room.grip(F);
        assert_eq!(room.driver(), Some(F));
        if closes {
            room.arbiter.on_closed(room.now, F, &mut room.events);
        }
        room.act_for(2500).unwrap_err();
        assert_eq!((room.driver(), room.act()), (None, Err(Refused::ResetFirst)));
    }
}

#[test]
fn a_hand_that_is_not_seen_any_more_has_released_nothing() {
    let mut room = Room::new();
    room.act_for(500).unwrap();
    room.grip(F);
    for _ in 0..300 {
        room.field(F, [None, None]);
        assert_eq!((room.follows(), room.act()), ([false; 2], Err(Refused::Operator)));
    }
    let mut gone = room;
    gone.arbiter.on_field_silent(gone.now, F, &mut gone.events);
    gone.wait(2100);
    assert_eq!((gone.driver(), gone.act()), (None, Err(Refused::ResetFirst)));
}

#[test]
fn the_button_for_rest_counts_once_from_who_may_drive_and_takes_over_from_a_policy() {
    let resting = || [Some(FieldHand { rests: true, ..hand(0.0, false) }), Some(hand(0.0, false))];
    let mut room = Room::new();
    room.act().unwrap();
    room.field(F, resting());
    assert!(!room.arbiter.take_reset(), "nobody knows when it was pressed");
    room.grips(F, OPEN);
    for _ in 0..10 {
        room.field(F, resting());
    }
    assert_eq!((room.driver(), room.arbiter.resets(), room.act()), (Some(F), 1, Err(Refused::Operator)));
    assert!(room.arbiter.take_reset());
    room.robot_hold(Some(HoldReason::Resetting));
    room.grip(F);
    assert_eq!((room.follows(), room.reason_for(F)), ([false; 2], Some(HoldReason::Resetting)));
    room.robot_hold(None);
    room.grips(F, BOTH);
    assert_eq!((room.follows(), room.reason_for(F)), ([false; 2], Some(HoldReason::ReleaseGrips)));
    room.grip(F);
    assert_eq!(room.follows(), [true, true]);
}

#[test]
fn a_hand_that_is_suddenly_elsewhere_lets_go_of_both_arms() {
    let mut room = Room::new();
    room.grip(F);
    room.field(F, [Some(hand(0.3, true)), Some(hand(0.0, true))]);
    assert_eq!(room.follows(), [true, true], "a hand gets there");
    room.field(F, [Some(hand(1.4, true)), Some(hand(0.0, true))]);
    assert_eq!((room.follows(), room.reason()), ([false; 2], Some(HoldReason::Velocity)));
    room.field(F, [Some(hand(1.4, true)), Some(hand(0.0, true))]);
    assert_eq!(room.follows(), [false; 2]);
    room.grip(F);
    assert_eq!(room.follows(), [true, true]);
}

#[test]
fn a_full_table_lets_field_users_watch_until_somebody_falls_silent() {
    let mut room = Room::new();
    room.grip(F);
    for n in 1..MAX_FIELD_USERS as u64 {
        room.grips(SourceId::field_user(100 + n), OPEN);
        room.grips(F, BOTH);
    }
    room.grip(G);
    assert_eq!(room.arbiter.field.newest(G), None);
    for _ in 0..200 {
        room.grips(F, BOTH);
    }
    room.grip(G);
    assert!(room.arbiter.field.newest(G).is_some());
    assert_eq!((room.driver(), room.follows()), (Some(F), [true, true]));
}
