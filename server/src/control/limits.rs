//! The last stage before the robot: however the wanted posture jumps, the command moves within the limits of the joints.

use std::time::Duration;

use crate::robot::motion::Motion;
use crate::robot::{Arm, ArmCommand, Command};

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
        for ((arm, motions), wanted) in arms.iter().zip(&self.joints).zip(&mut wanted.arms) {
            for ((joint, motion), wanted) in arm.joints.iter().zip(motions).zip(&mut wanted.joints) {
                let way = motion.velocity * motion.velocity.abs() / (2.0 * joint.max_acceleration);
                *wanted =
                    (motion.position + way).clamp(joint.lower.min(motion.position), joint.upper.max(motion.position));
            }
        }
    }

    /// Moves `command` by one tick towards `wanted`. No joint is faster than it may be, nor changes its speed faster, and
    /// it brakes in time. Grippers follow at once: their own drives limit them.
    pub(super) fn step(&mut self, arms: &[Arm], command: &mut Command, wanted: &Command, dt: Duration) {
        let seconds = dt.as_secs_f64();
        for (((arm, motions), command), wanted) in
            arms.iter().zip(&mut self.joints).zip(&mut command.arms).zip(&wanted.arms)
        {
            command.gripper = wanted.gripper;
            let joints = arm.joints.iter().zip(motions).zip(&mut command.joints).zip(&wanted.joints);
            for (((joint, motion), command), target) in joints {
                motion.step(*target, joint.max_velocity, joint.max_acceleration, seconds);
                *command = motion.position;
            }
        }
    }
}
