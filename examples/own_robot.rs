//! A robot of your own: one arm with six joints and a gripper, driven by the right controller.

use glam::{DQuat, DVec3};
use waldo_protocol::geometry::Pose;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Hand, HoldReason};
use waldo_server::robot::{Applied, Arm, ArmCommand, Command, Description, Joint, Robot, RobotError};
use waldo_server::sensors::{ArmReading, Proprioception, SensorHub};

/// Your driver: here motors that are at once where they are told to be.
#[derive(Default)]
struct Motors {
    angles: [f64; 6],
    gripper: f64,
}

struct MyRobot {
    description: Description,
    motors: Motors,
    hub: SensorHub,
}

impl MyRobot {
    fn new() -> anyhow::Result<Self> {
        // Per joint: where it sits on the joint before it (metres), and its axis.
        let chain = [
            ([0.0, 0.0, 0.9], DVec3::Z),
            ([0.0, 0.0, 0.1], DVec3::Y),
            ([0.0, 0.0, 0.3], DVec3::Y),
            ([0.0, 0.0, 0.3], DVec3::Z),
            ([0.0, 0.0, 0.1], DVec3::Y),
            ([0.0, 0.0, 0.1], DVec3::Z),
        ];
        let mut joints = Vec::new();
        for (i, (offset, axis)) in chain.into_iter().enumerate() {
            let origin = Pose::new(DVec3::from_array(offset), DQuat::IDENTITY)?;
            joints.push(Joint { name: format!("j{i}"), origin, axis, lower: -2.9, upper: 2.9, max_velocity: 1.5 });
        }
        // The gripper's approach is its −z: half a turn about x points it along the last link.
        let gripper_mount = Pose::new(DVec3::new(0.0, 0.0, 0.1), DQuat::from_rotation_x(std::f64::consts::PI))?;
        let arm = Arm {
            name: "arm".into(),
            hand: Hand::Right,
            joints,
            gripper_mount,
            rest: vec![0.0, 0.6, 1.4, 0.0, 1.1, 0.0],
            workspace_min: DVec3::new(-0.8, -0.8, 0.5),
            workspace_max: DVec3::new(0.8, 0.8, 1.8),
        };
        let description = Description { name: "my robot".into(), arms: vec![arm], cameras: Vec::new() };
        let motors = Motors { angles: [0.0, 0.6, 1.4, 0.0, 1.1, 0.0], gripper: 1.0 };
        Ok(Self { description, motors, hub: SensorHub::default() })
    }
}

impl Robot for MyRobot {
    fn description(&self) -> &Description {
        &self.description
    }

    fn start(&mut self, hub: &SensorHub) -> Result<Command, RobotError> {
        self.hub = hub.clone();
        // Where the arm is now: nothing moves before somebody asks for it.
        Ok(Command { arms: vec![ArmCommand { joints: self.motors.angles.to_vec(), gripper: self.motors.gripper }] })
    }

    fn apply(&mut self, now: MonoTime, command: &Command) -> Result<Applied, RobotError> {
        let arm = &command.arms[0];
        self.motors.angles.copy_from_slice(&arm.joints);
        self.motors.gripper = arm.gripper;
        let reading = ArmReading { joints: arm.joints.clone(), gripper: arm.gripper };
        self.hub.publish_proprio(Proprioception { arms: vec![reading], measured: now });
        Ok(Applied::default())
    }

    fn reset(&mut self) {}

    fn hold(&mut self, _reason: HoldReason) {}
}

fn main() -> anyhow::Result<()> {
    waldo_server::cli::run(MyRobot::new()?)
}
