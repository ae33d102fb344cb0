//! The trait a robot implements, and what it tells about itself.

mod actions;
pub mod kinematics;
pub(crate) mod motion;
pub mod sim;

use glam::DVec3;
use waldo_protocol::geometry::{Parent, Pose};
use waldo_protocol::policy::Outcome;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Hand, HoldReason};

use crate::sensors::SensorHub;

pub use actions::{ActionError, ActionLayout};

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

/// A base that drives over the floor in any direction, and the lift on it.
#[derive(Clone, Debug, PartialEq)]
pub struct MobileBase {
    /// Highest speed over the floor, m/s.
    pub max_speed: f64,
    /// Highest turn about the vertical, rad/s.
    pub max_turn: f64,
    /// The lift, if there is one.
    pub lift: Option<Lift>,
}

/// A lift: it raises the frame [`waldo_protocol::geometry::Base`], with the arms and all that is fixed to it, above the
/// floor.
#[derive(Clone, Debug, PartialEq)]
pub struct Lift {
    /// Lowest height of that frame's origin above the floor, metres.
    pub lower: f64,
    /// Greatest height, metres.
    pub upper: f64,
    /// Highest speed up and down, m/s.
    pub max_speed: f64,
}

/// What a robot is made of.
#[derive(Clone, Debug)]
pub struct Description {
    /// The robot's name.
    pub name: String,
    /// Its arms.
    pub arms: Vec<Arm>,
    /// What it drives on; none for a robot that stands where it is.
    pub base: Option<MobileBase>,
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

/// How the base and its lift shall move until the next command: velocities in the base's own frame (x forward, y left,
/// z up), within the limits of the description. The default stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BaseCommand {
    /// Forward, m/s.
    pub vx: f64,
    /// To the left, m/s.
    pub vy: f64,
    /// Counter-clockwise turn seen from above, rad/s.
    pub wz: f64,
    /// Up, m/s.
    pub lift: f64,
}

/// What the robot shall do until the next command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Command {
    /// The arms, in the order of the description.
    pub arms: Vec<ArmCommand>,
    /// The base; none exactly if the description has none.
    pub base: Option<BaseCommand>,
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

/// A robot. All methods are called on one control thread, of real-time priority where the system allows it, and must not
/// block. Threads that they start are ordinary ones.
pub trait Robot: Send {
    /// What the robot is made of. Does not change after [`Robot::start`].
    fn description(&self) -> &Description;

    /// Begins to feed the sensors. Called once. Returns where the arms are now: the first commands repeat it, so that
    /// nothing moves before somebody asks for it. What it says of the base is not used: a base stands at the start.
    ///
    /// # Errors
    /// [`RobotError`] ends the program with its message.
    fn start(&mut self, hub: &SensorHub) -> Result<Command, RobotError>;

    /// Follows a command; called at 120 Hz with the newest one. `now` never falls back. A base whose commands stay away
    /// must stop by itself: its last velocity is no wish for ever.
    ///
    /// # Errors
    /// [`RobotError`] holds the robot and is shown to the operator.
    fn apply(&mut self, now: MonoTime, command: &Command) -> Result<Applied, RobotError>;

    /// Puts the scene back to its beginning (simulated robots) or clears faults. By default nothing.
    fn reset(&mut self) {}

    /// What the numbers of a policy's action mean. Asked for once, after [`Robot::start`]. By default targets of all joints
    /// and openings of the grippers, see [`ActionLayout::joint_targets`].
    fn action_layout(&self) -> ActionLayout {
        ActionLayout::joint_targets(self.description())
    }

    /// How the episode since the last [`Robot::reset`] stands, for policies; asked for at 120 Hz. By default no reward, and
    /// never at an end.
    fn outcome(&self) -> Outcome {
        Outcome::default()
    }

    /// Motion is held for this reason; `apply` goes on with unchanged targets of the arms. By default nothing.
    fn hold(&mut self, _reason: HoldReason) {}
}
