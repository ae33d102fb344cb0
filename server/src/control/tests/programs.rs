//! From the joint targets of a program to robot commands, in virtual time, with people who take over.

use waldo_protocol::vr::{Role, Stop};

use super::*;
use crate::control::{JointAction, Refused, SourceId};
use crate::robot::ArmCommand;

pub(super) const POLICY: SourceId = SourceId::POLICY;

impl Bench {
    /// The policy wants the arms there, and has seen all there is to see.
    pub(super) fn act(&mut self, arms: &[ArmCommand]) -> Result<(), Refused> {
        let action =
            JointAction { arms: arms.into(), observed: Some(self.now), holds_after: Some(Duration::from_millis(500)) };
        self.arbiter.lock().unwrap().on_action(self.now, POLICY, action, &mut self.events)
    }

    /// One action per tick for so long.
    pub(super) fn policy(&mut self, arms: &[ArmCommand], seconds: f64) {
        for _ in 0..(seconds * 120.0).round() as usize {
            self.act(arms).unwrap();
            self.tick();
        }
    }

    pub(super) fn stop(&mut self, clear: bool) {
        let stop = Stop { n: None, clear };
        self.arbiter.lock().unwrap().on_stop(self.now, (B, Role::Viewer), stop, &mut self.events);
    }

    pub(super) fn clamp(&self) -> Option<(HoldReason, Hands)> {
        self.arbiter.lock().unwrap().hold(self.now).map(|hold| (hold.reason, hold.hand))
    }
}

/// The rest posture with both elbows bent by so much, rad, and the grippers open by so much.
pub(super) fn bent(by: f64, gripper: f64) -> Vec<ArmCommand> {
    let mut arms = rest_command().arms;
    for arm in &mut arms {
        arm.joints[3] += by;
        arm.gripper = gripper;
    }
    arms
}

#[test]
fn joints_and_grippers_go_where_a_policy_wants_them() {
    let mut bench = Bench::new();
    bench.policy(&bent(-0.4, 0.2), 2.0);
    let command = bench.command();
    for (arm, wanted) in command.arms.iter().zip(bent(-0.4, 0.2)) {
        assert!(arm.joints.iter().zip(&wanted.joints).all(|(is, wanted)| (is - wanted).abs() < 1e-3), "{arm:?}");
        assert!((arm.gripper - 0.2).abs() < 1e-9);
    }
    assert_eq!(bench.hold(), None);
}

#[test]
fn the_first_action_begins_where_the_arms_are_and_takes_a_second() {
    let mut bench = Bench::new();
    let mut last = bench.pilot.status().joints[0][3];
    let mut fastest: f64 = 0.0;
    for tick in 0..120 {
        bench.policy(&bent(-0.4, 1.0), 1.0 / 120.0);
        let at = bench.command().arms[0].joints[3];
        let speed = (at - last).abs() * 120.0;
        assert!(speed < 0.7, "a smooth ramp over 0.4 rad has at most 0.6 rad/s, and this is {speed} in tick {tick}");
        fastest = fastest.max(speed);
        last = at;
    }
    assert!(fastest > 0.5, "{fastest}");
}

#[test]
fn a_target_beyond_a_joints_limit_is_clamped_with_the_reason() {
    let mut bench = Bench::new();
    let mut arms = bent(0.0, 1.0);
    let upper = model::description().arms[0].joints[6].upper;
    arms[0].joints[6] = upper + 1.0;
    bench.policy(&arms, 3.0);
    assert_eq!(bench.command().arms[0].joints[6], upper);
    assert_eq!(bench.clamp(), Some((HoldReason::Limit, Hands::Left)));
}

#[test]
fn a_target_outside_of_the_workspace_stops_the_arm_at_its_wall_with_the_reason() {
    let mut bench = Bench::new();
    // Upper arm and forearm straight down: the gripper would be in the table.
    let mut arms = bent(0.0, 1.0);
    arms[1].joints = vec![0.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0];
    bench.policy(&arms, 4.0);
    let arm = &model::description().arms[1];
    let gripper = forward(arm, &bench.command().arms[1].joints).position();
    let inside = gripper.clamp(arm.workspace_min, arm.workspace_max);
    assert!(gripper.distance(inside) < 0.02, "{gripper}");
    assert_eq!(bench.clamp(), Some((HoldReason::Workspace, Hands::Right)));
}

#[test]
fn a_policy_faster_than_the_arm_is_told_so() {
    let mut bench = Bench::new();
    bench.policy(&bent(0.0, 1.0), 1.5);
    for step in 0..240 {
        let mut arms = bent(0.0, 1.0);
        arms[0].joints[4] = if (step / 30) % 2 == 0 { -2.0 } else { 2.0 };
        bench.policy(&arms, 1.0 / 120.0);
    }
    assert_eq!(bench.clamp(), Some((HoldReason::Velocity, Hands::Left)));
}

#[test]
fn a_policy_that_falls_silent_leaves_the_arms_where_they_can_stand_soonest() {
    let mut bench = Bench::new();
    bench.policy(&bent(0.0, 1.0), 1.5);
    bench.act(&bent(-1.5, 1.0)).unwrap();
    bench.ticks(0.1);
    bench.script.lock().unwrap().holds.clear();
    bench.ticks(0.45);
    let lost = bench.command().arms[0].joints[3];
    bench.ticks(0.2);
    let held = bench.command();
    bench.ticks(0.5);
    assert_eq!(bench.command(), held);
    let joint = &model::description().arms[0].joints[3];
    let way = joint.max_velocity.powi(2) / (2.0 * joint.max_acceleration) + joint.max_velocity / 30.0;
    assert!((held.arms[0].joints[3] - lost).abs() <= way);
    assert_eq!(bench.hold(), Some(HoldReason::LinkStale));
    assert_eq!(bench.script.lock().unwrap().holds, [HoldReason::LinkStale], "and the robot was told why");
}

#[test]
fn a_person_takes_the_arms_where_they_are_and_not_where_the_policy_wanted_them() {
    let mut bench = Bench::new();
    bench.policy(&bent(0.0, 1.0), 1.5);
    // Far ahead of what the joints can follow.
    bench.policy(&bent(-1.5, 1.0), 0.15);
    for sent in [frame(), squeezed(frame())] {
        bench.send(A, &sent);
        bench.act(&bent(-1.5, 1.0)).ok();
        bench.tick();
    }
    assert!(bench.engaged());
    let taken = bench.command().arms[0].joints[3];
    bench.drive(A, &frame(), 2.0);
    let held = bench.command().arms[0].joints[3];
    let joint = &model::description().arms[0].joints[3];
    let way = joint.max_velocity.powi(2) / (2.0 * joint.max_acceleration) + joint.max_velocity / 30.0;
    assert!((held - taken).abs() < way, "{taken} {held}");
    let wanted = bent(-1.5, 1.0)[0].joints[3];
    assert!(held - wanted > 0.5, "{held} {wanted}");
}

#[test]
fn after_the_release_the_policy_leads_the_arms_back_within_a_second_and_without_a_leap() {
    let mut bench = Bench::new();
    let target = bent(-0.3, 1.0);
    bench.policy(&target, 2.0);
    bench.engage(A, &frame());
    bench.drive(A, &moved(DVec3::Z * -0.08, DQuat::IDENTITY), 1.5);
    bench.drive(A, &squeezed(moved(DVec3::Z * -0.08, DQuat::IDENTITY)), 0.1);
    let left = bench.command();
    let mut waited = 0.0;
    while bench.act(&target).is_err() {
        bench.drive(A, &frame(), 1.0 / 120.0);
        waited += 1.0 / 120.0;
    }
    assert!((1.0..1.05).contains(&waited), "{waited}");
    assert_eq!(bench.command(), left, "nothing moved meanwhile");
    let way = left.arms[0].joints.iter().zip(&target[0].joints).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(way > 0.1, "{way}");
    let mut last = left;
    for _ in 0..125 {
        bench.act(&target).unwrap();
        bench.tick();
        let now = bench.command();
        for (now, last) in now.arms[0].joints.iter().zip(&last.arms[0].joints) {
            let speed = (now - last).abs() * 120.0;
            assert!(speed <= 1.6 * way, "a smooth ramp peaks at one and a half times its mean: {speed} {way}");
        }
        last = now;
    }
    for (is, wanted) in last.arms[0].joints.iter().zip(&target[0].joints) {
        assert!((is - wanted).abs() < 5e-3, "{is} {wanted}");
    }
}

#[test]
fn a_reset_of_a_policy_brakes_before_it_moves_to_rest() {
    let mut bench = Bench::new();
    bench.policy(&bent(0.0, 1.0), 1.5);
    bench.policy(&bent(-1.5, 1.0), 0.1);
    let then = bench.command().arms[0].joints[3];
    bench.arbiter.lock().unwrap().request_reset(bench.now, POLICY, &mut bench.events).unwrap();
    bench.tick();
    assert_eq!(bench.hold(), Some(HoldReason::Resetting));
    let mut lowest = then;
    for _ in 0..360 {
        bench.tick();
        lowest = lowest.min(bench.command().arms[0].joints[3]);
    }
    let joint = &model::description().arms[0].joints[3];
    let way = joint.max_velocity.powi(2) / (2.0 * joint.max_acceleration) + joint.max_velocity / 30.0;
    assert!(then - lowest < way, "{then} {lowest}");
    assert_eq!(bench.command().arms[0].joints, rest_command().arms[0].joints);
    assert_eq!(bench.script.lock().unwrap().resets, 1);
    assert_eq!(bench.hold(), None);
}

#[test]
fn an_action_for_other_arms_moves_what_it_fits_and_breaks_nothing() {
    let mut bench = Bench::new();
    let few = [ArmCommand { joints: vec![0.1], gripper: f64::NAN }];
    bench.policy(&few, 2.0);
    let (now, rest) = (bench.command(), rest_command());
    assert_eq!(now.arms[0].joints[1..], rest.arms[0].joints[1..]);
    assert!((now.arms[0].joints[0] - 0.1).abs() < 1e-3);
    assert_eq!((now.arms[0].gripper, &now.arms[1]), (rest.arms[0].gripper, &rest.arms[1]));
}

#[derive(Clone, Debug)]
enum Deed {
    Act { arms: Vec<ArmCommand>, age_ms: u64 },
    Person { by: [f64; 3], squeezed: bool, reset: bool },
    Leave,
    Stop { clear: bool },
    Reset,
    Silence,
}

fn deed() -> impl Strategy<Value = Deed> {
    let angle = prop_oneof![
        10 => -3.0f64..3.0,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, f64::MIN_POSITIVE]),
    ];
    let arm =
        (prop::collection::vec(angle.clone(), 7), angle).prop_map(|(joints, gripper)| ArmCommand { joints, gripper });
    let age_ms = prop_oneof![3 => Just(0u64), 1 => 0u64..3000];
    let person = (prop::array::uniform3(-0.5f64..0.5), prop::bool::weighted(0.4), prop::bool::weighted(0.05));
    prop_oneof![
        12 => (prop::collection::vec(arm, 2), age_ms).prop_map(|(arms, age_ms)| Deed::Act { arms, age_ms }),
        6 => person.prop_map(|(by, squeezed, reset)| Deed::Person { by, squeezed, reset }),
        1 => Just(Deed::Leave),
        2 => prop::bool::weighted(0.7).prop_map(|clear| Deed::Stop { clear }),
        1 => Just(Deed::Reset),
        1 => Just(Deed::Silence),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_policies_people_and_stops_do_no_command_leaps_or_leaves_its_limits(
        deeds in prop::collection::vec((deed(), 1u8..40), 1..40),
    ) {
        let mut bench = Bench::new();
        let mut watch = Watch::new(&bench);
        for (deed, ticks) in deeds {
            if let Deed::Stop { clear } = deed {
                bench.stop(clear);
            }
            if matches!(deed, Deed::Reset) {
                let _ = bench.arbiter.lock().unwrap().request_reset(bench.now, POLICY, &mut bench.events);
            }
            if matches!(deed, Deed::Leave) {
                bench.arbiter.lock().unwrap().on_closed(bench.now, A, &mut bench.events);
            }
            let ticks = if matches!(deed, Deed::Silence) { usize::from(ticks) * 8 } else { usize::from(ticks) };
            for _ in 0..ticks {
                match &deed {
                    Deed::Act { arms, age_ms } => {
                        let observed = Some(bench.now - Duration::from_millis(*age_ms));
                        let limit = Some(Duration::from_millis(500));
                        let action = JointAction { arms: arms.as_slice().into(), observed, holds_after: limit };
                        let mut arbiter = bench.arbiter.lock().unwrap();
                        let heeded = arbiter.on_action(bench.now, POLICY, action, &mut bench.events);
                        let human = arbiter.lease().driver.is_some_and(|driver| driver.kind.is_human());
                        prop_assert!(!(heeded.is_ok() && (human || arbiter.stopped() || arbiter.engaged())));
                    }
                    Deed::Person { by, squeezed: held, reset } => {
                        let hands = VrFrame { reset: *reset, ..moved(DVec3::from(*by), DQuat::from_rotation_y(by[0])) };
                        bench.send(A, &if *held { squeezed(hands) } else { hands });
                    }
                    _ => {}
                }
                bench.tick();
                watch.look(&bench)?;
            }
        }
    }
}
