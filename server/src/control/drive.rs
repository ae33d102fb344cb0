//! What a driver wants, as joint angles: through the clutch and the inverse kinematics for hands, directly for programs.

use std::time::Duration;

use glam::{DQuat, DVec3};
use waldo_protocol::geometry::{Base, MAX_COORDINATE, Pose, rotation_vector};
use waldo_protocol::vr::{Clutch, HoldReason, MotionScale};

use super::ik::Solver;
use super::{FieldTarget, JointTargets, Targets};
use crate::robot::kinematics::forward;
use crate::robot::{Arm, ArmCommand, Command};

/// One arm's way from a hand to joint angles.
pub(super) struct ArmDrive {
    solver: Solver,
    /// Where the gripper was when the arm began to follow, with the number of the engagement.
    clutch: Option<(u64, Pose<Base>)>,
}

impl ArmDrive {
    pub(super) fn new(arm: &Arm) -> Self {
        Self { solver: Solver::new(arm), clutch: None }
    }

    /// Moves what is wanted by one step. The clutch takes the gripper from there, never from measured joints: the sag of a
    /// real arm would add up with each engagement.
    pub(super) fn follow(
        &mut self,
        arm: &Arm,
        targets: &Targets,
        wanted: &mut ArmCommand,
        dt: Duration,
    ) -> Option<HoldReason> {
        let hand = targets.hand(arm.hand);
        let gripper = self.gripper(arm, hand.engagement, wanted);
        let target = Clutch::engage(hand.origin, gripper, targets.scale).target(hand.controller);
        self.lead(wanted, target, hand.grip, dt)
    }

    /// The same for the hand of a field user: the gripper moves as the hand does, in the axes of the base.
    pub(super) fn follow_field(
        &mut self,
        arm: &Arm,
        (hand, scale): (&FieldTarget, MotionScale),
        wanted: &mut ArmCommand,
        dt: Duration,
    ) -> Option<HoldReason> {
        let gripper = self.gripper(arm, hand.engagement, wanted);
        self.lead(wanted, carried(hand, gripper, scale), hand.grip, dt)
    }

    /// Where the gripper was when this engagement began.
    fn gripper(&mut self, arm: &Arm, engagement: u64, wanted: &ArmCommand) -> Pose<Base> {
        match self.clutch {
            Some((known, gripper)) if known == engagement => gripper,
            _ => {
                let gripper = forward(arm, &wanted.joints);
                self.solver.begin(gripper);
                self.clutch.insert((engagement, gripper)).1
            }
        }
    }

    fn lead(
        &mut self,
        wanted: &mut ArmCommand,
        target: Pose<Base>,
        grip: Option<f64>,
        dt: Duration,
    ) -> Option<HoldReason> {
        if let Some(opening) = grip.filter(|g| g.is_finite()) {
            wanted.gripper = opening.clamp(0.0, 1.0);
        }
        self.solver.step(&mut wanted.joints, target, dt)
    }
}

/// Where a gripper shall be that moves as a hand has moved since it was at its origin. Every coordinate stays within
/// [`MAX_COORDINATE`]; a scale that is not finite moves nothing.
fn carried(hand: &FieldTarget, gripper: Pose<Base>, scale: MotionScale) -> Pose<Base> {
    let moved = hand.hand.position() - hand.origin.position();
    let turned = rotation_vector(hand.hand.orientation() * hand.origin.orientation().conjugate());
    let (limit, position) = (DVec3::splat(MAX_COORDINATE), gripper.position() + moved * scale.pos);
    let orientation = DQuat::from_scaled_axis(turned * scale.rot) * gripper.orientation();
    // A clamp would turn not-a-number into a corner of the range.
    let position = if position.is_finite() { position.clamp(-limit, limit) } else { gripper.position() };
    Pose::new(position, orientation).unwrap_or(gripper)
}

/// A program's way from joint targets to joint angles.
#[derive(Debug, Default)]
pub(super) struct JointDrive {
    /// Where a stretch of motion began, with its number.
    from: Option<(u64, Vec<ArmCommand>)>,
}

impl JointDrive {
    /// Sets what is wanted. `limited` is told, per arm, that a target lies beyond the limit of its joint: the limit is
    /// wanted instead. Targets that are not finite, or not there, change nothing.
    pub(super) fn follow(
        &mut self,
        arms: &[Arm],
        targets: &JointTargets,
        wanted: &mut Command,
        mut limited: impl FnMut(&Arm, HoldReason),
    ) {
        let from = match &self.from {
            Some((stretch, from)) if *stretch == targets.stretch => from,
            _ => &self.from.insert((targets.stretch, wanted.arms.clone())).1,
        };
        for (((arm, from), to), wanted) in arms.iter().zip(from).zip(targets.arms.iter()).zip(&mut wanted.arms) {
            let mix = |from: f64, to: f64| from + (to - from) * targets.part;
            let joints = arm.joints.iter().zip(&from.joints).zip(&to.joints).zip(&mut wanted.joints);
            for (((joint, from), to), wanted) in joints.filter(|((_, to), _)| to.is_finite()) {
                let within = to.clamp(joint.lower, joint.upper);
                if within != *to {
                    limited(arm, HoldReason::Limit);
                }
                *wanted = mix(*from, within);
            }
            if to.gripper.is_finite() {
                wanted.gripper = mix(from.gripper, to.gripper.clamp(0.0, 1.0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pose(position: DVec3, orientation: DQuat) -> Pose<Base> {
        Pose::new(position, orientation).unwrap()
    }

    #[test]
    fn a_gripper_is_carried_as_the_hand_moves_whatever_both_look_at() {
        let (at, turn) = (DVec3::new(1.0, 2.0, 3.0), DQuat::from_rotation_z(0.4));
        let origin = pose(at, DQuat::from_rotation_x(1.1));
        let hand = pose(at + DVec3::X * 0.2, turn * origin.orientation());
        let gripper = pose(DVec3::new(0.4, 0.2, 1.0), DQuat::from_rotation_y(-0.7));
        let target = FieldTarget { engagement: 1, origin, hand, grip: None };
        let there = carried(&target, gripper, MotionScale { pos: 0.5, rot: 0.5 });
        assert!(there.position().distance(DVec3::new(0.5, 0.2, 1.0)) < 1e-12, "{there:?}");
        let turned = there.orientation() * gripper.orientation().conjugate();
        assert!(turned.angle_between(DQuat::from_rotation_z(0.2)) < 1e-7, "{there:?}");
        let still = carried(&FieldTarget { hand: origin, ..target }, gripper, MotionScale::default());
        assert!(
            still.position() == gripper.position() && still.orientation().angle_between(gripper.orientation()) < 1e-7
        );
        assert_eq!(carried(&target, gripper, MotionScale { pos: f64::NAN, rot: f64::NAN }), gripper);
    }
}
