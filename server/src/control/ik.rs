//! Inverse kinematics: the next joint angles on the way to a gripper pose, from the present ones.
//!
//! Damped least squares after Levenberg and Marquardt: the damping grows with the error, so that the solver is exact
//! near the target and calm at singularities and out of reach. Each tick aims at a point a little ahead on the straight
//! way to the target and takes a step only if it brings the gripper nearer to it. At a boundary nothing does, and the arm
//! holds still there.

#[cfg(test)]
mod tests;

use std::time::Duration;

use glam::{DQuat, DVec3};
use nalgebra::{Matrix6, Vector6};
use waldo_protocol::geometry::{Base, Pose, rotation_vector};
use waldo_protocol::vr::HoldReason;

use crate::robot::Arm;
use crate::robot::kinematics::{ArmFrames, Transform};

/// Metres that weigh as much as one radian: about the length of a forearm.
const RADIAN_WEIGHT: f64 = 0.3;

/// How far ahead of the gripper one tick aims, metres and radians. Far more than one tick of motion, little enough that
/// the way there is almost straight.
const LEAD: (f64, f64) = (0.03, 0.12);

/// A weighted error below this is none; the arm does not move at all.
const AT_TARGET: f64 = 1e-6;

/// A weighted error above this, left over by the solver, is told to the operator.
const MISSED: f64 = 2e-3;

/// A target farther outside of the workspace than this is told to the operator, metres.
const OUTSIDE: f64 = 1e-3;

/// The gripper mount never gets farther out of the workspace than this, metres. Wide enough for the slight bend of a fast
/// motion along a wall.
const MARGIN: f64 = 5e-3;

/// The least part of the squared error that a step must take away. Without it the arm creeps at a boundary.
const PROGRESS: f64 = 1e-5;

const ITERATIONS: usize = 12;

/// Pull of the free motion (what moves the elbow and not the gripper) towards rest, per second, at full speed.
const REST_PULL: f64 = 0.5;

/// Weighted error of one tick from which on the pull to rest is at its full strength: with a hand that stands still, the
/// elbow stands still too.
const FULL_PULL_ERROR: f64 = 2e-3;

/// Solves one arm, tick by tick. Allocates only when it is made.
pub struct Solver {
    arm: Arm,
    /// Corners of the box in which targets lie: the workspace, and where the motion began.
    reach: (DVec3, DVec3),
    frames: ArmFrames,
    /// Weighted Jacobian, one column per joint.
    columns: Vec<Vector6<f64>>,
    /// Joints that a limit stops in the present iteration.
    stopped: Vec<bool>,
    goal: Vec<f64>,
    trial: Vec<f64>,
    delta: Vec<f64>,
}

impl Solver {
    /// A solver for this arm.
    pub fn new(arm: &Arm) -> Self {
        let n = arm.joints.len();
        Self {
            arm: arm.clone(),
            reach: (arm.workspace_min, arm.workspace_max),
            frames: ArmFrames::at(arm, &arm.rest),
            columns: vec![Vector6::zeros(); n],
            stopped: vec![false; n],
            goal: vec![0.0; n],
            trial: vec![0.0; n],
            delta: vec![0.0; n],
        }
    }

    /// Begins a new motion from this gripper mount pose: targets may lie there even if it is outside of the workspace, so
    /// that an arm that starts outside is not pulled in by a jerk.
    pub fn begin(&mut self, gripper: Pose<Base>) {
        let p = gripper.position();
        self.reach = (self.arm.workspace_min.min(p), self.arm.workspace_max.max(p));
    }

    /// Moves `joints` (rad, one per joint of the arm) one tick of length `dt` towards the pose of the gripper mount.
    ///
    /// No joint moves faster than its limit: the whole arm slows down, so that its direction holds. Joints inside their
    /// limits stay inside, joints outside do not go farther. The gripper mount does not leave the workspace by more than
    /// a few millimetres. What cannot be reached is approached and held; the reason is returned. Joints that are not
    /// finite are left alone.
    pub fn step(&mut self, joints: &mut [f64], target: Pose<Base>, dt: Duration) -> Option<HoldReason> {
        if joints.len() != self.arm.joints.len() || !joints.iter().all(|q| q.is_finite()) {
            return Some(HoldReason::Solver);
        }
        let within = target.position().clamp(self.reach.0, self.reach.1);
        let outside = (within.distance(target.position()) > OUTSIDE).then_some(HoldReason::Workspace);
        self.frames.update(&self.arm, joints);
        let start = self.frames.gripper();
        let target = Transform { rotation: target.orientation(), translation: within };
        let way = Error::between(start, target);
        if dt.is_zero() || way.weighted().norm() < AT_TARGET {
            return outside;
        }
        let aim = way.lead(start);
        let before = Error::between(start, aim).weighted().norm_squared();

        self.goal.copy_from_slice(joints);
        self.pull_to_rest(dt, before.sqrt());
        let missed = self.descend(joints, aim);
        let part = self.slow_down(joints, dt);

        for (i, start) in joints.iter().enumerate() {
            // Rounding must not carry a joint over its limit.
            let (lower, upper) = self.limits(i, *start);
            self.trial[i] = (start + part * (self.goal[i] - start)).clamp(lower, upper);
        }
        self.frames.update(&self.arm, &self.trial);
        let end = self.frames.gripper();
        let after = Error::between(end, aim).weighted().norm_squared();
        let escapes = self.excess(end) > self.excess(start).max(MARGIN);
        // Written so that a result which is not a number is no progress.
        let progress = after < before * (1.0 - PROGRESS);
        if escapes || !progress {
            let blocked = if escapes { HoldReason::Workspace } else { HoldReason::Solver };
            return missed.or(outside).or(Some(blocked));
        }
        joints.copy_from_slice(&self.trial);
        missed.or(outside).or((part < 1.0).then_some(HoldReason::Velocity))
    }

    /// Adds to `goal` what brings the joints nearer to rest without moving the gripper.
    fn pull_to_rest(&mut self, dt: Duration, error: f64) {
        self.update_columns();
        let pull = REST_PULL * dt.as_secs_f64() * (error / FULL_PULL_ERROR).min(1.0);
        let mut moved = Vector6::zeros();
        for i in 0..self.goal.len() {
            self.delta[i] = pull * (self.arm.rest[i] - self.goal[i]);
            moved += self.columns[i] * self.delta[i];
        }
        let Some(back) = self.damped(moved, 1e-6, |_| true) else { return };
        for i in 0..self.goal.len() {
            let (lower, upper) = self.limits(i, self.goal[i]);
            self.goal[i] = (self.goal[i] + self.delta[i] - self.columns[i].dot(&back)).clamp(lower, upper);
        }
    }

    /// Iterates `goal` until the gripper is at `aim` or no step helps; the reason if a noticeable error is left.
    fn descend(&mut self, from: &[f64], aim: Transform) -> Option<HoldReason> {
        let mut damping = 0.5;
        self.frames.update(&self.arm, &self.goal);
        let mut error = Error::between(self.frames.gripper(), aim).weighted();
        for _ in 0..ITERATIONS {
            if error.norm() < AT_TARGET / 10.0 {
                break;
            }
            self.update_columns();
            if !self.try_step(from, error, damping * error.norm_squared() + 1e-9) {
                break;
            }
            self.frames.update(&self.arm, &self.trial);
            let next = Error::between(self.frames.gripper(), aim).weighted();
            if next.norm_squared() < error.norm_squared() {
                error = next;
                damping /= 4.0;
                std::mem::swap(&mut self.goal, &mut self.trial);
            } else {
                damping *= 10.0;
                self.frames.update(&self.arm, &self.goal);
            }
        }
        if error.norm() < MISSED {
            return None;
        }
        self.update_columns();
        let free = self.columns.iter().zip(&self.stopped).filter(|(_, stopped)| !**stopped);
        let slope = free.map(|(c, _)| c.dot(&error).powi(2)).sum::<f64>().sqrt();
        Some(if self.stopped.contains(&true) {
            HoldReason::Limit
        } else if slope < 0.1 * error.norm() {
            HoldReason::Workspace
        } else {
            HoldReason::Solver
        })
    }

    /// Sets `trial` to the damped least squares step from `goal`. A joint that would leave its limits stops there, and the
    /// others take over its share. False if the numbers make no sense.
    fn try_step(&mut self, from: &[f64], error: Vector6<f64>, damping: f64) -> bool {
        self.stopped.fill(false);
        let mut rest = error;
        for _ in 0..=self.goal.len() {
            let Some(pull) = self.damped(rest, damping, |i| !self.stopped[i]) else { return false };
            let mut news = false;
            for (i, start) in from.iter().enumerate() {
                if self.stopped[i] {
                    continue;
                }
                let (lower, upper) = self.limits(i, *start);
                let wanted = self.goal[i] + self.columns[i].dot(&pull);
                self.trial[i] = wanted.clamp(lower, upper);
                if wanted < lower || wanted > upper {
                    self.stopped[i] = true;
                    rest -= self.columns[i] * (self.trial[i] - self.goal[i]);
                    news = true;
                }
            }
            if !news {
                break;
            }
        }
        self.trial.iter().all(|q| q.is_finite())
    }

    /// `(J Jᵀ + damping·1)⁻¹ error` over the joints that `free` names.
    fn damped(&self, error: Vector6<f64>, damping: f64, free: impl Fn(usize) -> bool) -> Option<Vector6<f64>> {
        let mut normal = Matrix6::identity() * damping;
        for (i, column) in self.columns.iter().enumerate() {
            if free(i) {
                normal += column * column.transpose();
            }
        }
        normal.cholesky().map(|c| c.solve(&error))
    }

    /// The Jacobian at the posture that `frames` holds.
    fn update_columns(&mut self) {
        for (column, twist) in self.columns.iter_mut().zip(self.frames.jacobian()) {
            let (v, w) = (twist.linear, twist.angular * RADIAN_WEIGHT);
            *column = Vector6::new(v.x, v.y, v.z, w.x, w.y, w.z);
        }
    }

    /// The part of the way from `joints` to `goal` that no joint's velocity limit forbids.
    fn slow_down(&self, joints: &[f64], dt: Duration) -> f64 {
        let mut part = 1.0_f64;
        for ((joint, q), goal) in self.arm.joints.iter().zip(joints).zip(&self.goal) {
            let (way, most) = ((goal - q).abs(), joint.max_velocity * dt.as_secs_f64());
            if way > most {
                part = part.min(most / way);
            }
        }
        part
    }

    /// The limits of a joint, widened to where it is.
    fn limits(&self, joint: usize, angle: f64) -> (f64, f64) {
        let joint = &self.arm.joints[joint];
        (joint.lower.min(angle), joint.upper.max(angle))
    }

    /// How far the gripper mount is outside of the workspace, metres.
    fn excess(&self, gripper: Transform) -> f64 {
        let p = gripper.translation;
        p.distance(p.clamp(self.arm.workspace_min, self.arm.workspace_max))
    }
}

/// What is missing from one pose to another, in the base.
#[derive(Clone, Copy)]
struct Error {
    linear: DVec3,
    /// Rotation vector, rad.
    angular: DVec3,
}

impl Error {
    fn between(from: Transform, to: Transform) -> Self {
        let turn = to.rotation * from.rotation.conjugate();
        Self { linear: to.translation - from.translation, angular: rotation_vector(turn) }
    }

    fn weighted(&self) -> Vector6<f64> {
        let (v, w) = (self.linear, self.angular * RADIAN_WEIGHT);
        Vector6::new(v.x, v.y, v.z, w.x, w.y, w.z)
    }

    /// The pose on the way that lies at most [`LEAD`] ahead of `from`.
    fn lead(&self, from: Transform) -> Transform {
        let part = (LEAD.0 / self.linear.length()).min(LEAD.1 / self.angular.length()).min(1.0);
        Transform {
            rotation: (DQuat::from_scaled_axis(self.angular * part) * from.rotation).normalize(),
            translation: from.translation + self.linear * part,
        }
    }
}
