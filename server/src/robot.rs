//! The trait a robot implements, and what it tells about itself.

pub mod kinematics;
pub(crate) mod motion;
pub mod sim;

use glam::DVec3;
use waldo_protocol::geometry::{Parent, Pose};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Hand, HoldReason};

use crate::sensors::SensorHub;

/// A revolute joint: how its link hangs on the one before, and its limits.
#[derive(Clone, Debug)]
pub struct Joint {
    /// Name, unique within the arm.
    pub name: String,
    /// Pose of the joint's frame in the frame of the joint before it (the first: in the base) at angle zero.
    pub origin: Pose<Parent>,
    /// Unit axis of rotation in the joint's own frame.
    pub axis: DVec3,
    /// Lower limit, rad.
    pub lower: f64,
    /// Upper limit, rad.
    pub upper: f64,
    /// Velocity limit, rad/s.
    pub max_velocity: f64,
    /// Acceleration limit, rad/s². Commands brake as hard, so an arm stops later the lower it is.
    pub max_acceleration: f64,
}

/// One arm: a chain of revolute joints that ends in a gripper.
#[derive(Clone, Debug)]
pub struct Arm {
    /// Name, such as `left`.
    pub name: String,
    /// The controller that drives it.
    pub hand: Hand,
    /// Joints from the base to the gripper.
    pub joints: Vec<Joint>,
    /// Pose of the gripper mount (x left, y down, approach −z) in the last joint's frame.
    pub gripper_mount: Pose<Parent>,
    /// Joint angles of the rest posture, rad.
    pub rest: Vec<f64>,
    /// Corner of the allowed box of the gripper mount with the smallest coordinates, metres in the base.
    pub workspace_min: DVec3,
    /// The opposite corner.
    pub workspace_max: DVec3,
}

/// What a robot is made of.
#[derive(Clone, Debug)]
pub struct Description {
    /// The robot's name.
    pub name: String,
    /// Its arms.
    pub arms: Vec<Arm>,
    /// Names of its cameras, in the order in which they are offered to clients.
    pub cameras: Vec<String>,
}

/// What one arm shall do until the next command.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmCommand {
    /// Joint targets, rad, within the limits of the description.
    pub joints: Vec<f64>,
    /// Gripper opening, 0 closed, 1 open.
    pub gripper: f64,
}

/// What the robot shall do until the next command: one entry per arm, in the order of the description.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Command {
    /// The arms.
    pub arms: Vec<ArmCommand>,
}

/// What came of a command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// Why the command was not followed in full, if so.
    pub limited: Option<HoldReason>,
}

/// A robot failed; the message is for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RobotError(pub String);

/// A robot. All methods are called on one control thread and must not block.
pub trait Robot: Send {
    /// What the robot is made of. Does not change after [`Robot::start`].
    fn description(&self) -> &Description;

    /// Begins to feed the sensors. Called once. Returns where the arms are now: the first commands repeat it, so that
    /// nothing moves before somebody asks for it.
    ///
    /// # Errors
    /// [`RobotError`] ends the program with its message.
    fn start(&mut self, hub: &SensorHub) -> Result<Command, RobotError>;

    /// Follows a command; called at 120 Hz with the newest one. `now` never falls back.
    ///
    /// # Errors
    /// [`RobotError`] holds the robot and is shown to the operator.
    fn apply(&mut self, now: MonoTime, command: &Command) -> Result<Applied, RobotError>;

    /// Puts the scene back to its beginning (simulated robots) or clears faults. By default nothing.
    fn reset(&mut self) {}

    /// Motion is held for this reason; `apply` goes on with an unchanged command. By default nothing.
    fn hold(&mut self, _reason: HoldReason) {}
}
