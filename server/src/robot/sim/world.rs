//! The simulated world: arms that follow commands, grippers that grasp, things that fall. Pure; time is an argument.

use glam::DVec3;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::HoldReason;

use super::base::BaseState;
use super::model::{FINGERTIP, MAX_ACCELERATION, MAX_GAP};
use super::object::{self, Object};
use crate::robot::kinematics::{ArmFrames, Transform};
use crate::robot::motion::Motion;
use crate::robot::{Applied, Arm, ArmCommand, BaseCommand, Command, Description, RobotError};
use crate::sensors::{ArmReading, BaseReading};

/// No step of the simulation is longer, seconds.
const MAX_STEP: f64 = 0.005;
/// After a pause longer than this, seconds, the world has stood still.
const MAX_PAUSE: f64 = 0.25;
/// The acceleration that every joint reaches, rad/s²: more than the description promises, as it should be.
const ACCELERATION: f64 = 2.0 * MAX_ACCELERATION;
/// Opening per second.
const GRIPPER_SPEED: f64 = 2.5;
/// A joint that is this many seconds behind its target, at its highest speed, is too slow for it.
const LAG: f64 = 0.1;
/// Half the length of the finger pads along the approach direction, metres.
const PAD: f64 = 0.0225;
/// Half the width of the fingers, metres.
const FINGER: f64 = 0.01;
/// How much of a body's half extent may stand over the pads and still be gripped.
const OVERHANG: f64 = 0.7;
/// A grip is let go when the command opens this far beyond the thing's width, metres.
const RELEASE: f64 = 0.004;

/// One arm with its gripper.
#[derive(Clone, Debug)]
pub(super) struct ArmState {
    motions: Vec<Motion>,
    frames: ArmFrames,
    opening: f64,
    grip: Option<Grip>,
}

/// A thing between closed fingers.
#[derive(Clone, Copy, Debug)]
struct Grip {
    object: usize,
    /// Object to gripper mount.
    at: Transform,
    /// Its width between the fingers, metres.
    width: f64,
}

impl ArmState {
    fn at_rest(arm: &Arm) -> Self {
        Self {
            motions: arm.rest.iter().copied().map(Motion::at_rest).collect(),
            frames: ArmFrames::at(arm, &arm.rest),
            opening: 1.0,
            grip: None,
        }
    }

    /// Joint angles, rad.
    pub(super) fn joints(&self) -> Vec<f64> {
        self.motions.iter().map(|m| m.position).collect()
    }

    /// Where all its parts are in the base.
    pub(super) fn frames(&self) -> &ArmFrames {
        &self.frames
    }

    /// Gripper opening, 0 closed, 1 open.
    pub(super) fn opening(&self) -> f64 {
        self.opening
    }

    fn gap(&self) -> f64 {
        self.opening * MAX_GAP
    }

    /// What its sensors read `seconds` later if it goes on following this command, if any.
    fn reading(&self, arm: &Arm, command: Option<&ArmCommand>, seconds: f64) -> ArmReading {
        let mut reading = ArmReading { joints: self.joints(), gripper: self.opening };
        let Some(command) = command else { return reading };
        let steps = (seconds / MAX_STEP).ceil();
        let joints = self.motions.iter().zip(&arm.joints).zip(&command.joints);
        for (((motion, joint), target), angle) in joints.zip(&mut reading.joints) {
            let mut motion = *motion;
            for _ in 0..steps as usize {
                motion.step(target.clamp(joint.lower, joint.upper), joint.max_velocity, ACCELERATION, seconds / steps);
            }
            *angle = motion.position;
        }
        if self.grip.is_none() {
            let step = GRIPPER_SPEED * seconds;
            reading.gripper += (command.gripper.clamp(0.0, 1.0) - self.opening).clamp(-step, step);
        }
        reading
    }

    fn follow(&mut self, arm: &Arm, command: &ArmCommand, dt: f64) {
        for ((motion, joint), target) in self.motions.iter_mut().zip(&arm.joints).zip(&command.joints) {
            motion.step(target.clamp(joint.lower, joint.upper), joint.max_velocity, ACCELERATION, dt);
        }
        // At most a dozen angles; a fresh list is cheaper than keeping two in step.
        self.frames.update(arm, &self.joints());
    }

    /// Opens or closes the fingers around whatever is between them; `gripper` is the gripper mount in the world.
    fn grip(&mut self, gripper: Transform, objects: &mut [Object], free: impl Fn(usize) -> bool, wanted: f64, dt: f64) {
        let wanted = wanted.clamp(0.0, 1.0);
        if let Some(grip) = self.grip {
            if wanted * MAX_GAP > grip.width + RELEASE {
                self.grip = None;
            } else {
                objects[grip.object].carry_to(gripper * grip.at);
                return;
            }
        }
        let before = self.gap();
        let step = GRIPPER_SPEED * dt;
        self.opening += (wanted - self.opening).clamp(-step, step);

        for (index, object) in objects.iter_mut().enumerate().filter(|(index, _)| free(*index)) {
            let Some(width) = width_between_fingers(gripper, object, before) else { continue };
            if self.gap() < width {
                self.opening = width / MAX_GAP;
                push_between(gripper, object, 0.0);
                self.grip = Some(Grip { object: index, at: gripper.inverse() * object.at, width });
                return;
            }
            push_between(gripper, object, (self.gap() - width) / 2.0);
        }
    }
}

/// The width of an object between fingers `gap` apart, if it is between them.
fn width_between_fingers(gripper: Transform, object: &Object, gap: f64) -> Option<f64> {
    let at = gripper.inverse().point(object.at.translation);
    let reach = |axis: DVec3| object.reach(gripper.rotation * axis);
    let width = 2.0 * reach(DVec3::X);
    let between = width <= gap
        && at.x.abs() < gap / 2.0
        && at.y.abs() < FINGER + OVERHANG * reach(DVec3::Y)
        && (at.z + FINGERTIP - PAD).abs() < PAD + OVERHANG * reach(DVec3::Z);
    between.then_some(width)
}

/// Moves an object level, so that its centre is at most `room` from the middle between the fingers.
fn push_between(gripper: Transform, object: &mut Object, room: f64) {
    let x = gripper.inverse().point(object.at.translation).x;
    let push = gripper.rotation * DVec3::X * (x.clamp(-room, room) - x);
    object.at.translation += push.with_z(0.0);
}

/// A thing that a gripper holds so far above the table, metres, has been picked up.
const LIFTED: f64 = 0.1;

/// Everything that moves.
#[derive(Clone, Debug)]
pub(super) struct World {
    arms: Vec<ArmState>,
    base: BaseState,
    /// Something was in the base's way.
    blocked: bool,
    objects: Vec<Object>,
    /// A thing was picked up since all were put back.
    picked_up: bool,
    last: Option<MonoTime>,
    /// What arms and base followed last.
    command: Command,
}

impl World {
    /// Arms at rest, all things in their places, the base at the world's origin.
    pub(super) fn new(description: &Description) -> Self {
        let arms = description.arms.iter().map(ArmState::at_rest).collect();
        let base = BaseState::new(description.base.as_ref());
        let objects = object::beginning();
        Self { arms, base, blocked: false, objects, picked_up: false, last: None, command: Command::default() }
    }

    /// The arms in the order of the description.
    pub(super) fn arms(&self) -> &[ArmState] {
        &self.arms
    }

    /// Base to world.
    pub(super) fn base(&self) -> Transform {
        self.base.transform()
    }

    /// What stands on the floor, to world: the base without its lift.
    pub(super) fn foot(&self) -> Transform {
        self.base.foot()
    }

    /// Gripper mount of the arm of this index, to world.
    pub(super) fn gripper(&self, arm: usize) -> Transform {
        self.base() * self.arms[arm].frames.gripper()
    }

    /// The things that can be grasped.
    pub(super) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Whether a gripper has held a thing 10 cm above the table since all things were put back.
    pub(super) fn picked_up(&self) -> bool {
        self.picked_up
    }

    /// Puts all things back; the arms and the base stay.
    pub(super) fn put_back(&mut self) {
        self.objects = object::beginning();
        self.picked_up = false;
        for arm in &mut self.arms {
            arm.grip = None;
        }
    }

    /// What the sensors of the arms read at `now`. Between two commands real joints go on moving; these do too, as the
    /// last command wants them to, for a quarter of a second at most.
    pub(super) fn readings(&self, description: &Description, now: MonoTime) -> Vec<ArmReading> {
        let ahead = self.elapsed(now);
        let arms = self.arms.iter().zip(&description.arms).enumerate();
        arms.map(|(index, (state, arm))| state.reading(arm, self.command.arms.get(index), ahead)).collect()
    }

    /// Where the base is at `now`, in the same way; none for a robot without one.
    pub(super) fn base_reading(&self, description: &Description, now: MonoTime) -> Option<BaseReading> {
        let mobile = description.base.as_ref()?;
        let ahead = self.elapsed(now);
        let steps = (ahead / MAX_STEP).ceil();
        let mut base = self.base;
        for _ in 0..steps as usize {
            base.step(mobile, self.command.base.unwrap_or_default(), ahead / steps);
        }
        Some(BaseReading { pose: base.foot().to_pose().ok()?, lift: mobile.lift.as_ref().map(|_| base.lift()) })
    }

    /// Seconds from the last command to `now`, as far as they count.
    fn elapsed(&self, now: MonoTime) -> f64 {
        self.last.map_or(0.0, |last| now.since(last).as_secs_f64()).min(MAX_PAUSE)
    }

    /// Lets the world run on to `now` with the arms and the base following `command`.
    pub(super) fn advance(
        &mut self,
        description: &Description,
        now: MonoTime,
        command: &Command,
    ) -> Result<Applied, RobotError> {
        check(description, command)?;
        let elapsed = self.elapsed(now);
        self.last = Some(now);
        self.command.clone_from(command);
        let steps = (elapsed / MAX_STEP).ceil();
        for _ in 0..steps as usize {
            self.step(description, command, elapsed / steps);
        }
        Ok(Applied { limited: self.limited(description, command) })
    }

    fn step(&mut self, description: &Description, command: &Command, dt: f64) {
        if let Some(mobile) = &description.base {
            self.blocked = self.base.step(mobile, command.base.unwrap_or_default(), dt);
        }
        let base = self.base();
        for index in 0..self.arms.len() {
            let others: Vec<usize> = self.held().filter(|(arm, _)| *arm != index).map(|(_, object)| object).collect();
            let (arm, command) = (&mut self.arms[index], &command.arms[index]);
            arm.follow(&description.arms[index], command, dt);
            let gripper = base * arm.frames.gripper();
            arm.grip(gripper, &mut self.objects, |object| !others.contains(&object), command.gripper, dt);
        }
        let held: Vec<usize> = self.held().map(|(_, object)| object).collect();
        self.picked_up |= held.iter().any(|index| self.objects[*index].bottom() > object::TABLE.max.z + LIFTED);
        object::part(&mut self.objects, |i| held.contains(&i), dt);
        for index in (0..self.objects.len()).filter(|index| !held.contains(index)) {
            let support = object::support(&self.objects, index, |i| held.contains(&i));
            self.objects[index].settle(support, dt);
        }
    }

    /// Pairs of an arm and the object it holds.
    fn held(&self) -> impl Iterator<Item = (usize, usize)> {
        self.arms.iter().enumerate().filter_map(|(index, arm)| Some((index, arm.grip?.object)))
    }

    fn limited(&self, description: &Description, command: &Command) -> Option<HoldReason> {
        let mut too_fast = false;
        for ((state, arm), command) in self.arms.iter().zip(&description.arms).zip(&command.arms) {
            for ((motion, joint), target) in state.motions.iter().zip(&arm.joints).zip(&command.joints) {
                if !(joint.lower..=joint.upper).contains(target) {
                    return Some(HoldReason::Limit);
                }
                too_fast |= (target - motion.position).abs() > LAG * joint.max_velocity;
            }
        }
        let blocked = self.blocked.then_some(HoldReason::Collision);
        too_fast.then_some(HoldReason::Velocity).or(blocked)
    }
}

fn check(description: &Description, command: &Command) -> Result<(), RobotError> {
    if command.arms.len() != description.arms.len() {
        let (got, have) = (command.arms.len(), description.arms.len());
        return Err(RobotError(format!("a command for {got} arms; the robot has {have}")));
    }
    for (arm, command) in description.arms.iter().zip(&command.arms) {
        if command.joints.len() != arm.joints.len() {
            let (got, have) = (command.joints.len(), arm.joints.len());
            return Err(RobotError(format!("{got} joint targets for arm {}, which has {have} joints", arm.name)));
        }
        if !command.joints.iter().chain([&command.gripper]).all(|value| value.is_finite()) {
            return Err(RobotError(format!("a target of arm {} is not a finite number", arm.name)));
        }
    }
    let BaseCommand { vx, vy, wz, lift } = command.base.unwrap_or_default();
    if ![vx, vy, wz, lift].iter().all(|value| value.is_finite()) {
        return Err(RobotError("a velocity of the base is not a finite number".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
