use proptest::prelude::*;

use super::*;
use crate::robot::kinematics::forward;
use crate::robot::sim::model;

const TICK: Duration = Duration::from_nanos(1_000_000_000 / 120);

fn arm() -> Arm {
    model::description().arms[0].clone()
}

fn pose(position: DVec3, orientation: DQuat) -> Pose<Base> {
    Pose::new(position, orientation).unwrap()
}

/// Angles inside of the limits, each a share of its range.
fn posture(arm: &Arm, shares: &[f64]) -> Vec<f64> {
    arm.joints.iter().zip(shares).map(|(j, s)| j.lower + s * (j.upper - j.lower)).collect()
}

/// Ticks until the arm stands still; the reason it gives then.
fn settle(solver: &mut Solver, joints: &mut [f64], target: Pose<Base>, seconds: usize) -> Option<HoldReason> {
    let mut reason = None;
    for _ in 0..120 * seconds {
        reason = solver.step(joints, target, TICK);
    }
    reason
}

fn misses(arm: &Arm, joints: &[f64], target: Pose<Base>) -> (f64, f64) {
    let at = forward(arm, joints);
    (at.position().distance(target.position()), at.orientation().angle_between(target.orientation()))
}

#[test]
fn at_the_target_nothing_moves_at_all() {
    let arm = arm();
    let mut solver = Solver::new(&arm);
    let mut joints = posture(&arm, &[0.5, 0.4, 0.6, 0.5, 0.4, 0.6, 0.5]);
    let before = joints.clone();
    let here = forward(&arm, &joints);
    solver.begin(here);
    assert_eq!(settle(&mut solver, &mut joints, here, 1), None);
    assert_eq!(joints, before);
}

#[test]
fn a_target_beyond_the_workspace_is_approached_and_held_at_the_wall() {
    let arm = arm();
    let mut solver = Solver::new(&arm);
    let mut joints = arm.rest.clone();
    let rest = forward(&arm, &joints);
    let below = rest.position().with_z(arm.workspace_min.z - 0.2);
    assert_eq!(settle(&mut solver, &mut joints, pose(below, rest.orientation()), 3), Some(HoldReason::Workspace));
    let end = forward(&arm, &joints).position();
    assert!(end.distance(below.with_z(arm.workspace_min.z)) < 2e-3, "{end}");
    let held = joints.clone();
    settle(&mut solver, &mut joints, pose(below, rest.orientation()), 1);
    assert!(joints.iter().zip(&held).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn a_hand_beyond_a_wall_slides_the_gripper_along_it() {
    let arm = arm();
    let mut solver = Solver::new(&arm);
    let mut joints = arm.rest.clone();
    let turn = forward(&arm, &joints).orientation();
    let low = arm.workspace_min.z;
    for (x, y) in [(0.4, 0.3), (0.55, 0.05), (0.35, 0.35), (0.5, 0.2)] {
        settle(&mut solver, &mut joints, pose(DVec3::new(x, y, low - 0.3), turn), 2);
        let end = forward(&arm, &joints).position();
        assert!(end.distance(DVec3::new(x, y, low)) < 1e-3, "{end} at {x} {y}");
    }
}

#[test]
fn an_arm_that_starts_outside_of_the_workspace_is_not_pulled_in() {
    let mut arm = arm();
    arm.workspace_min.z = 1.3;
    let mut solver = Solver::new(&arm);
    let mut joints = arm.rest.clone();
    let rest = forward(&arm, &joints);
    solver.begin(rest);
    assert_eq!(solver.step(&mut joints, rest, TICK), None);
    assert_eq!(joints, arm.rest);
}

#[test]
fn out_of_reach_the_arm_stretches_and_stands_still() {
    let mut arm = arm();
    (arm.workspace_min, arm.workspace_max) = (DVec3::splat(-5.0), DVec3::splat(5.0));
    let mut solver = Solver::new(&arm);
    let mut joints = arm.rest.clone();
    let far = pose(DVec3::new(3.0, 0.2, 1.0), forward(&arm, &joints).orientation());
    let reason = settle(&mut solver, &mut joints, far, 5);
    assert!(matches!(reason, Some(HoldReason::Workspace | HoldReason::Limit | HoldReason::Solver)), "{reason:?}");
    let held = joints.clone();
    for _ in 0..240 {
        solver.step(&mut joints, far, TICK);
        assert!(joints.iter().zip(&held).all(|(a, b)| (a - b).abs() < 1e-3), "{joints:?} {held:?}");
    }
    // And it comes back.
    let rest = forward(&arm, &arm.rest);
    settle(&mut solver, &mut joints, rest, 5);
    let (off, turned) = misses(&arm, &joints, rest);
    assert!(off < 1e-3 && turned < 1e-2, "{off} {turned}");
}

#[test]
fn a_fast_target_is_followed_at_the_velocity_limit_with_a_word() {
    let arm = arm();
    let mut solver = Solver::new(&arm);
    let mut joints = arm.rest.clone();
    let rest = forward(&arm, &joints);
    let target = pose(rest.position() + DVec3::new(0.1, 0.1, 0.1), rest.orientation());
    assert_eq!(solver.step(&mut joints, target, TICK), Some(HoldReason::Velocity));
    assert_ne!(joints, arm.rest);
}

#[test]
fn the_way_to_a_near_target_is_straight() {
    let arm = arm();
    let mut solver = Solver::new(&arm);
    let mut joints = arm.rest.clone();
    let from = forward(&arm, &joints);
    let to = from.position() + DVec3::new(0.1, -0.05, 0.15);
    let along = (to - from.position()).normalize();
    let mut worst = 0.0_f64;
    for _ in 0..120 {
        solver.step(&mut joints, pose(to, from.orientation()), TICK);
        worst = worst.max((forward(&arm, &joints).position() - from.position()).reject_from(along).length());
    }
    assert!(worst < 4e-3, "{worst}");
}

#[test]
fn angles_that_are_not_numbers_are_left_alone() {
    let arm = arm();
    let mut solver = Solver::new(&arm);
    let target = forward(&arm, &arm.rest);
    let mut joints = arm.rest.clone();
    joints[2] = f64::NAN;
    assert_eq!(solver.step(&mut joints, target, TICK), Some(HoldReason::Solver));
    assert_eq!(joints[0], arm.rest[0]);
    assert_eq!(solver.step(&mut joints[..3], target, TICK), Some(HoldReason::Solver));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn reachable_targets_are_reached(
        offsets in prop::array::uniform7(-0.6f64..0.6),
        side in 0usize..2,
    ) {
        let arm = model::description().arms[side].clone();
        let there: Vec<f64> = arm.rest.iter().zip(offsets).map(|(r, o)| r + o).collect();
        let target = forward(&arm, &there);
        let position = target.position();
        prop_assume!(position == position.clamp(arm.workspace_min, arm.workspace_max));
        let mut solver = Solver::new(&arm);
        let mut joints = arm.rest.clone();
        let reason = settle(&mut solver, &mut joints, target, 3);
        let (off, turned) = misses(&arm, &joints, target);
        prop_assert!(off < 1e-4 && turned < 1e-3, "{reason:?}: {off} m, {turned} rad");
        prop_assert_eq!(reason, None);
    }

    #[test]
    fn whatever_is_asked_limits_velocities_and_the_workspace_hold(
        start in prop::array::uniform7(0.0f64..=1.0),
        targets in prop::collection::vec((prop::array::uniform3(-1.0f64..1.0), prop::array::uniform4(-1.0f64..1.0), 0usize..4), 1..5),
        millis in 0u64..20,
    ) {
        let arm = arm();
        let mut solver = Solver::new(&arm);
        let mut joints = posture(&arm, &start);
        solver.begin(forward(&arm, &joints));
        let excess = |joints: &[f64]| {
            let p = forward(&arm, joints).position();
            p.distance(p.clamp(arm.workspace_min, arm.workspace_max))
        };
        let most = excess(&joints).max(MARGIN);
        let dt = Duration::from_millis(millis);
        for (position, orientation, scale) in targets {
            let position = DVec3::from(position) * [1.0, 3.0, 100.0, 1000.0][scale];
            let Ok(target) = Pose::new(position, DQuat::from_array(orientation)) else { continue };
            for _ in 0..100 {
                let before = joints.clone();
                solver.step(&mut joints, target, dt);
                for ((joint, was), is) in arm.joints.iter().zip(&before).zip(&joints) {
                    prop_assert!(is.is_finite());
                    prop_assert!((joint.lower..=joint.upper).contains(is), "{}: {is}", joint.name);
                    prop_assert!((is - was).abs() <= joint.max_velocity * dt.as_secs_f64() + 1e-12);
                }
                prop_assert!(excess(&joints) <= most + 1e-9);
            }
        }
    }
}
