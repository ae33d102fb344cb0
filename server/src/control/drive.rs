//! What a driver wants, as joint angles: through the clutch and the inverse kinematics for hands, directly for programs.

use std::time::Duration;

use waldo_protocol::vr::{Clutch, HoldReason};

use super::ik::Solver;
use super::{JointTargets, Targets};
use crate::robot::kinematics::forward;
use crate::robot::{Arm, ArmCommand, Command};

/// One arm's way from a hand to joint angles.
pub(super) struct ArmDrive {
    solver: Solver,
    /// The engagement it belongs to, and its snapshot.
    clutch: Option<(u64, Clutch)>,
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
        let clutch = match self.clutch {
            Some((engagement, clutch)) if engagement == hand.engagement => clutch,
            _ => {
                let gripper = forward(arm, &wanted.joints);
                self.solver.begin(gripper);
                Clutch::engage(hand.origin, gripper, targets.scale)
            }
        };
        self.clutch = Some((hand.engagement, clutch));
        if let Some(opening) = hand.grip.filter(|g| g.is_finite()) {
            wanted.gripper = opening.clamp(0.0, 1.0);
        }
        self.solver.step(&mut wanted.joints, clutch.target(hand.controller), dt)
    }
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
