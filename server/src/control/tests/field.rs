//! From the hands of field users to robot commands, in virtual time, beside headsets, policies and stops.

use waldo_protocol::geometry::{Base, Pose};
use waldo_protocol::vr::{LeaseOp, LeaseRequest};

use super::programs::{POLICY, bent};
use super::*;
use crate::control::{FieldHand, FieldHands, FieldTarget, JointAction, Refused, SourceId};
use crate::robot::ArmCommand;

const F: SourceId = SourceId::field_user(1);

/// A hand moved and turned in the axes of the base, its grip held or not.
fn hand(by: DVec3, turned: DQuat, follows: bool) -> FieldHand {
    let start = DQuat::from_rotation_x(0.8);
    let pose = Pose::<Base>::new(DVec3::new(0.3, 0.0, 1.2) + by, turned * start).unwrap();
    FieldHand { pose, grips: follows, follows, grip: Some(1.0), rests: false }
}

fn open() -> FieldHands {
    [Some(hand(DVec3::ZERO, DQuat::IDENTITY, false)); 2]
}

fn held(by: DVec3) -> FieldHand {
    hand(by, DQuat::IDENTITY, true)
}

impl Bench {
    fn ask(&mut self, who: SourceId, hands: &FieldHands) {
        self.arbiter.lock().unwrap().on_field(self.now, who, hands, &mut self.events);
    }

    /// The same every tick for so long.
    fn field(&mut self, who: SourceId, hands: FieldHands, seconds: f64) {
        for _ in 0..(seconds * 120.0).round() as usize {
            self.ask(who, &hands);
            self.tick();
        }
    }

    /// Both hands go there in half a second, by equal steps, and stay for a while.
    fn carry(&mut self, by: DVec3, turned: DQuat) {
        for step in 1..=60 {
            let part = f64::from(step) / 60.0;
            let moved = hand(by * part, DQuat::IDENTITY.slerp(turned, part), true);
            self.field(F, [Some(moved); 2], 1.0 / 120.0);
        }
        self.field(F, [Some(hand(by, turned, true)); 2], 1.0);
    }

    /// Both grips are squeezed where the hands begin.
    fn grip(&mut self) {
        self.field(F, open(), 0.05);
        self.field(F, [Some(held(DVec3::ZERO)); 2], 0.05);
        assert!(self.engaged());
    }
}

/// The farthest that an arm may come while it brakes from full speed, rad.
fn braking_way() -> f64 {
    let joint = &model::description().arms[0].joints[3];
    joint.max_velocity.powi(2) / (2.0 * joint.max_acceleration) + joint.max_velocity / 30.0
}

#[test]
fn grippers_move_and_turn_as_the_hands_do_in_the_axes_of_the_base() {
    for (by, turned) in [
        (DVec3::new(0.08, 0.0, 0.0), DQuat::IDENTITY),
        (DVec3::new(0.0, 0.06, 0.05), DQuat::IDENTITY),
        (DVec3::ZERO, DQuat::from_rotation_z(0.3)),
        (DVec3::new(0.03, -0.03, 0.03), DQuat::from_rotation_y(-0.3)),
    ] {
        let mut bench = Bench::new();
        bench.grip();
        let before = [0, 1].map(|arm| bench.gripper(arm));
        bench.carry(by, turned);
        assert_eq!(bench.hold(), None);
        for (arm, before) in before.iter().enumerate() {
            let after = bench.gripper(arm);
            let moved = after.position() - before.position();
            assert!(moved.distance(by) < 1e-4, "moved {moved}, not {by}");
            let turn = after.orientation() * before.orientation().conjugate();
            assert!(turn.angle_between(turned) < 1e-3, "turned {turn}, not {turned}");
        }
    }
}

#[test]
fn a_squeeze_moves_nothing_wherever_the_hand_is() {
    let mut bench = Bench::new();
    bench.field(F, open(), 0.1);
    let far = hand(DVec3::new(0.4, -0.3, 0.2), DQuat::from_rotation_z(2.0), true);
    bench.field(F, [Some(far); 2], 1.0);
    assert!(bench.engaged());
    for (arm, rest) in bench.command().arms.iter().zip(rest_command().arms) {
        assert!(arm.joints.iter().zip(&rest.joints).all(|(is, was)| (is - was).abs() < 1e-9), "{arm:?}");
    }
}

#[test]
fn one_arm_brakes_when_its_grip_is_let_go_and_the_other_one_goes_on() {
    let mut bench = Bench::new();
    bench.grip();
    let both = |part: f64, right: bool| {
        let by = DVec3::new(0.15, 0.0, 0.05) * part;
        [Some(held(by)), Some(FieldHand { grips: right, follows: right, ..held(by) })]
    };
    for step in 0..30 {
        bench.field(F, both(f64::from(step) / 60.0, true), 1.0 / 120.0);
    }
    let let_go = bench.command().arms[1].joints[3];
    for step in 30..=60 {
        bench.field(F, both(f64::from(step) / 60.0, false), 1.0 / 120.0);
    }
    let stands = bench.command().arms[1].clone();
    let left = bench.gripper(0).position();
    bench.field(F, both(1.0, false), 1.0);
    assert_eq!(bench.command().arms[1], stands);
    assert!((stands.joints[3] - let_go).abs() <= braking_way());
    assert!(bench.engaged() && bench.gripper(0).position().distance(left) > 1e-3);
    // Squeezed again somewhere else, it goes on from where it stands.
    bench.field(F, both(0.2, true), 0.5);
    let again = bench.command().arms[1].clone();
    assert!(again.joints.iter().zip(&stands.joints).all(|(is, was)| (is - was).abs() < 1e-9), "{again:?} {stands:?}");
}

#[test]
fn a_gripper_is_closed_while_the_trigger_is_and_stays_as_it_was_when_let_go() {
    let mut bench = Bench::new();
    bench.grip();
    let closing = [Some(FieldHand { grip: Some(0.0), ..held(DVec3::ZERO) }), Some(held(DVec3::ZERO))];
    bench.field(F, closing, 0.1);
    assert_eq!((bench.command().arms[0].gripper, bench.command().arms[1].gripper), (0.0, 1.0));
    bench.field(F, open(), 0.1);
    assert_eq!(bench.command().arms[0].gripper, 0.0);
}

#[test]
fn a_hand_beyond_the_workspace_leads_the_gripper_to_its_wall_with_the_reason() {
    let mut bench = Bench::new();
    bench.grip();
    for step in 0..=240 {
        let by = DVec3::new(0.0, 0.0, -1.0) * f64::from(step) / 240.0;
        bench.field(F, [Some(held(by)), Some(held(DVec3::ZERO))], 1.0 / 120.0);
    }
    let arm = &model::description().arms[0];
    let gripper = bench.gripper(0).position();
    assert!(gripper.distance(gripper.clamp(arm.workspace_min, arm.workspace_max)) < 0.02, "{gripper}");
    assert_eq!(bench.clamp(), Some((HoldReason::Workspace, Hands::Left)));
}

#[test]
fn a_user_who_is_lost_leaves_the_arms_where_they_can_stand_soonest() {
    let mut bench = Bench::new();
    bench.grip();
    bench.field(F, [Some(held(DVec3::X * 0.3)); 2], 0.1);
    bench.ticks(0.28);
    assert!(bench.engaged());
    bench.ticks(0.04);
    let lost = bench.command().arms[0].joints[3];
    assert_eq!((bench.engaged(), bench.hold()), (false, Some(HoldReason::LinkStale)));
    bench.ticks(0.2);
    let stands = bench.command();
    bench.ticks(0.5);
    assert_eq!(bench.command(), stands);
    assert!((stands.arms[0].joints[3] - lost).abs() <= braking_way());
    assert_eq!(bench.script.lock().unwrap().holds.last(), Some(&HoldReason::LinkStale), "and the robot was told why");
}

#[test]
fn a_field_user_takes_the_arms_from_a_policy_where_they_are() {
    let mut bench = Bench::new();
    bench.policy(&bent(0.0, 1.0), 1.5);
    // Far ahead of what the joints can follow.
    bench.policy(&bent(-1.5, 1.0), 0.15);
    for hands in [open(), [None, Some(held(DVec3::ZERO))]] {
        bench.ask(F, &hands);
        bench.act(&bent(-1.5, 1.0)).ok();
        bench.tick();
    }
    assert_eq!(bench.arbiter.lock().unwrap().lease().driver, Some(F));
    let taken = bench.command();
    bench.field(F, [None, Some(held(DVec3::ZERO))], 2.0);
    for (arm, (now, taken)) in bench.command().arms.iter().zip(&taken.arms).enumerate() {
        let way = (now.joints[3] - taken.joints[3]).abs();
        assert!(way < braking_way(), "arm {arm} went on by {way}");
    }
    assert_eq!(bench.act(&bent(-1.5, 1.0)), Err(Refused::Operator));
}

#[test]
fn the_button_for_rest_brings_both_arms_there() {
    let mut bench = Bench::new();
    bench.grip();
    bench.carry(DVec3::new(0.1, 0.0, 0.05), DQuat::IDENTITY);
    let rest = FieldHand { rests: true, ..hand(DVec3::ZERO, DQuat::IDENTITY, false) };
    bench.field(F, [Some(rest), None], 3.0);
    for (at, rest) in bench.command().arms.iter().zip(rest_command().arms) {
        assert_eq!(at.joints, rest.joints);
    }
    assert_eq!(bench.script.lock().unwrap().resets, 1);
    bench.grip();
}

#[derive(Clone, Debug)]
enum Deed {
    Field { user: u64, hands: [Option<(Place, bool, bool, bool)>; 2] },
    FieldSilent(u64),
    FieldLeaves(u64),
    Person { by: [f64; 3], squeezed: bool, reset: bool },
    PersonLeaves,
    Lease { who: u64, op: LeaseOp },
    Act { arms: Vec<ArmCommand>, age_ms: u64 },
    Reset,
    Stop { clear: bool },
    Fails(bool),
    Silence,
}

type Place = ([f64; 3], [f64; 3]);

fn deed() -> impl Strategy<Value = Deed> {
    let user = 1u64..4;
    let reach = prop_oneof![12 => Just(0.3f64), 1 => Just(3.0), 1 => Just(900.0)];
    let place = (prop::array::uniform3(-1.0f64..1.0), reach, prop::array::uniform3(-3.0f64..3.0))
        .prop_map(|(by, reach, turn)| (by.map(|axis| axis * reach), turn));
    let button = prop::bool::weighted(0.05);
    let hand = prop::option::weighted(0.9, (place, prop::bool::weighted(0.7), any::<bool>(), button));
    let angle = prop_oneof![10 => -3.0f64..3.0, 1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -1e300])];
    let arm =
        (prop::collection::vec(angle.clone(), 7), angle).prop_map(|(joints, gripper)| ArmCommand { joints, gripper });
    let age_ms = prop_oneof![3 => Just(0u64), 1 => 0u64..3000];
    let person = (prop::array::uniform3(-0.5f64..0.5), prop::bool::weighted(0.4), prop::bool::weighted(0.05));
    let lease = (0u64..4, prop::sample::select(LeaseOp::ALL));
    prop_oneof![
        14 => (user.clone(), [hand.clone(), hand]).prop_map(|(user, hands)| Deed::Field { user, hands }),
        1 => user.clone().prop_map(Deed::FieldSilent),
        1 => user.prop_map(Deed::FieldLeaves),
        4 => person.prop_map(|(by, squeezed, reset)| Deed::Person { by, squeezed, reset }),
        1 => Just(Deed::PersonLeaves),
        1 => lease.prop_map(|(who, op)| Deed::Lease { who, op }),
        5 => (prop::collection::vec(arm, 2), age_ms).prop_map(|(arms, age_ms)| Deed::Act { arms, age_ms }),
        1 => Just(Deed::Reset),
        2 => prop::bool::weighted(0.7).prop_map(|clear| Deed::Stop { clear }),
        1 => any::<bool>().prop_map(Deed::Fails),
        1 => Just(Deed::Silence),
    ]
}

/// What a user asks for in one tick: hands that drift a little, so that they are seen to move.
fn asked(hands: [Option<(Place, bool, bool, bool)>; 2], tick: usize) -> FieldHands {
    hands.map(|hand| {
        let ((by, turn), follows, closes, rests) = hand?;
        let drift = DVec3::new(0.002, -0.001, 0.001) * tick as f64;
        let moved =
            self::hand(DVec3::from(by) + drift, DQuat::from_scaled_axis(DVec3::from(turn)), follows && tick > 0);
        Some(FieldHand { grip: Some(if closes { 0.0 } else { 1.0 }), rests, ..moved })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_field_users_people_policies_and_stops_do_only_the_holder_moves_the_arms_and_within_their_limits(
        deeds in prop::collection::vec((deed(), 1u8..40), 1..40),
    ) {
        let mut bench = Bench::new();
        let mut watch = Watch::new(&bench);
        // The newest word of each field user.
        let mut words: Vec<Option<(MonoTime, FieldHands)>> = vec![None; 4];
        for (deed, ticks) in deeds {
            let field = |user: u64| SourceId::field_user(user);
            match &deed {
                Deed::Stop { clear } => bench.stop(*clear),
                Deed::Reset => {
                    let _ = bench.arbiter.lock().unwrap().request_reset(bench.now, POLICY, &mut bench.events);
                }
                Deed::PersonLeaves => bench.arbiter.lock().unwrap().on_closed(bench.now, A, &mut bench.events),
                Deed::FieldLeaves(user) => {
                    bench.arbiter.lock().unwrap().on_closed(bench.now, field(*user), &mut bench.events);
                    words[*user as usize] = None;
                }
                Deed::FieldSilent(user) => {
                    bench.arbiter.lock().unwrap().on_field_silent(bench.now, field(*user), &mut bench.events);
                    words[*user as usize] = None;
                }
                Deed::Lease { who, op } => {
                    let who = if *who == 0 { A } else { field(*who) };
                    let request = LeaseRequest { op: *op, n: 1 };
                    bench.arbiter.lock().unwrap().on_lease(bench.now, who, request, &mut bench.events);
                }
                Deed::Fails(fails) => bench.fail(fails.then_some(Failure::Error)),
                _ => {}
            }
            let ticks = if matches!(deed, Deed::Silence) { usize::from(ticks) * 8 } else { usize::from(ticks) };
            for tick in 0..ticks {
                match &deed {
                    Deed::Field { user, hands } => {
                        let hands = asked(*hands, tick);
                        bench.ask(field(*user), &hands);
                        words[*user as usize] = Some((bench.now, hands));
                    }
                    Deed::Act { arms, age_ms } => {
                        let observed = Some(bench.now - Duration::from_millis(*age_ms));
                        let limit = Some(Duration::from_millis(500));
                        let action = JointAction { arms: arms.as_slice().into(), observed, holds_after: limit };
                        let _ = bench.arbiter.lock().unwrap().on_action(bench.now, POLICY, action, &mut bench.events);
                    }
                    Deed::Person { by, squeezed: held, reset } => {
                        let hands = VrFrame { reset: *reset, ..moved(DVec3::from(*by), DQuat::from_rotation_y(by[0])) };
                        bench.send(A, &if *held { squeezed(hands) } else { hands });
                    }
                    _ => {}
                }
                bench.tick();
                watch.look(&bench)?;
                let arbiter = bench.arbiter.lock().unwrap();
                if let Some(targets) = arbiter.field_targets() {
                    let driver = arbiter.lease().driver.expect("somebody leads the arms");
                    let word = words[driver.number as usize].as_ref();
                    let (when, hands) = word.expect("the driver has said something");
                    prop_assert!(bench.now.since(*when) < Duration::from_millis(300) + TICK, "for as long as they ask");
                    for (target, hand) in targets.hands.iter().zip(hands) {
                        let Some(FieldTarget { hand: led, .. }) = target else { continue };
                        let hand = hand.expect("a hand that is seen");
                        prop_assert!(hand.grips && hand.follows && hand.pose == *led, "another hand than the driver's");
                    }
                }
            }
        }
    }
}
