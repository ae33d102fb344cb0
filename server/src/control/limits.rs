//! The last stage before the robot: however the wanted posture jumps, the command moves within the limits of the joints.

use std::time::Duration;

use crate::robot::kinematics::forward;
use crate::robot::motion::Motion;
use crate::robot::{Arm, ArmCommand, Command, Joint};

/// The gripper mount may stop so far out of its workspace, metres.
const MARGIN: f64 = 0.008;

/// Places of the way of an arm that brakes, at which it is looked at.
const BRAKING_POINTS: u8 = 4;

/// What is commanded, on its way to what is wanted.
#[derive(Debug)]
pub(super) struct Limits {
    joints: Vec<Vec<Motion>>,
}

impl Limits {
    /// Begins with a robot that stands still at this command.
    pub(super) fn new(at: &Command) -> Self {
        let arm = |arm: &ArmCommand| arm.joints.iter().copied().map(Motion::at_rest).collect();
        Self { joints: at.arms.iter().map(arm).collect() }
    }

    /// Sets what is wanted to where each joint can stand still soonest.
    pub(super) fn brake(&self, arms: &[Arm], wanted: &mut Command) {
        for which in 0..arms.len() {
            self.brake_arm(which, arms, wanted);
        }
    }

    /// The same for one arm.
    pub(super) fn brake_arm(&self, which: usize, arms: &[Arm], wanted: &mut Command) {
        if let (Some(arm), Some(motions), Some(wanted)) =
            (arms.get(which), self.joints.get(which), wanted.arms.get_mut(which))
        {
            wanted.joints = stops(arm, motions);
        }
    }

    /// Moves `command` by one tick towards `wanted`. No joint is faster than it may be, nor changes its speed faster, and
    /// it brakes in time. Grippers follow at once: their own drives limit them.
    ///
    /// Joints that lag behind differently lead the gripper on another way than the one that was wanted. If it could no
    /// longer stop inside of its workspace on that way, the arm brakes, and what is wanted is where it will stand. Unless
    /// `guarded`: a move to rest may lead through places that hands may not.
    pub(super) fn step(
        &mut self,
        arms: &[Arm],
        command: &mut Command,
        wanted: &mut Command,
        guarded: bool,
        dt: Duration,
    ) {
        let seconds = dt.as_secs_f64();
        for (((arm, motions), command), wanted) in
            arms.iter().zip(&mut self.joints).zip(&mut command.arms).zip(&mut wanted.arms)
        {
            command.gripper = wanted.gripper;
            let mut next = stepped(arm, motions, &wanted.joints, seconds);
            if guarded {
                let allowed = farthest(arm, motions).max(MARGIN);
                if farthest(arm, &next) > allowed {
                    next.clone_from(motions);
                    for (joint, motion) in arm.joints.iter().zip(&mut next) {
                        motion.brake(joint.max_acceleration, seconds);
                    }
                    wanted.joints = stops(arm, &next);
                }
            }
            *motions = next;
            for ((joint, command), motion) in arm.joints.iter().zip(&mut command.joints).zip(motions.iter_mut()) {
                // A limit of angle counts more than one of acceleration; a joint that began outside goes no farther.
                *command = motion.position.clamp(joint.lower.min(*command), joint.upper.max(*command));
                if *command != motion.position {
                    // It stands there, and does not come back by itself from where it was not sent.
                    *motion = Motion::at_rest(*command);
                }
            }
        }
    }
}

/// The joints one tick further on their way to these angles.
fn stepped(arm: &Arm, motions: &[Motion], wanted: &[f64], seconds: f64) -> Vec<Motion> {
    let step = |((joint, motion), target): ((&Joint, &Motion), &f64)| {
        let mut motion = *motion;
        motion.step(*target, joint.max_velocity, joint.max_acceleration, seconds);
        motion
    };
    arm.joints.iter().zip(motions).zip(wanted).map(step).collect()
}

/// Where each joint can stand still soonest.
fn stops(arm: &Arm, motions: &[Motion]) -> Vec<f64> {
    braked(arm, motions, f64::INFINITY)
}

/// Where each joint is after so many seconds of braking.
fn braked(arm: &Arm, motions: &[Motion], seconds: f64) -> Vec<f64> {
    let brake = |(joint, motion): (&Joint, &Motion)| {
        let time = seconds.min(motion.velocity.abs() / joint.max_acceleration);
        let way = time * (motion.velocity - motion.velocity.signum() * joint.max_acceleration * time / 2.0);
        (motion.position + way).clamp(joint.lower.min(motion.position), joint.upper.max(motion.position))
    };
    arm.joints.iter().zip(motions).map(brake).collect()
}

/// How far out of the workspace the gripper mount gets if all joints brake now, metres.
///
/// Where it stands then is not all: joints that stop one after the other lead it there on a bent way.
fn farthest(arm: &Arm, motions: &[Motion]) -> f64 {
    let time = |(joint, motion): (&Joint, &Motion)| motion.velocity.abs() / joint.max_acceleration;
    let longest = arm.joints.iter().zip(motions).map(time).fold(0.0, f64::max);
    let points = (1..=BRAKING_POINTS).map(|point| longest * f64::from(point) / f64::from(BRAKING_POINTS));
    points.map(|seconds| outside(arm, &braked(arm, motions, seconds))).fold(0.0, f64::max)
}

/// How far the gripper mount is out of the workspace with these angles, metres.
fn outside(arm: &Arm, joints: &[f64]) -> f64 {
    let gripper = forward(arm, joints).position();
    gripper.distance(gripper.clamp(arm.workspace_min, arm.workspace_max))
}
