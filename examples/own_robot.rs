//! A robot of your own: one arm with six joints and a gripper, driven by the right controller.

use glam::{DQuat, DVec3};
use std::process::ExitCode;
use waldo_protocol::geometry::{InvalidPose, Pose};
use waldo_protocol::{time::MonoTime, vr::Hand};
use waldo_server::robot::{Applied, Arm, ArmCommand, Command, Description, Joint, Robot, RobotError};
use waldo_server::sensors::{ArmReading, Proprioception, SensorHub};

struct MyRobot {
    description: Description,
    hub: SensorHub,
    motors: ArmCommand, // Your driver. These motors are at once where they are told to be.
}

fn arm() -> Result<Arm, InvalidPose> {
    // How high each joint sits on the one before it while the arm points straight up (metres), and its axis.
    let (y, z) = (DVec3::Y, DVec3::Z);
    let chain = [(0.8, z), (0.1, y), (0.3, y), (0.15, z), (0.15, y), (0.1, z)];
    let joint = |(number, (height, axis)): (usize, (f64, DVec3))| {
        let origin = Pose::new(z * height, DQuat::IDENTITY)?;
        Ok(Joint {
            name: format!("joint{number}"),
            origin,
            axis,
            lower: -2.9,
            upper: 2.9,
            max_velocity: 2.0,
            max_acceleration: 20.0,
        })
    };
    Ok(Arm {
        name: "arm".into(),
        hand: Hand::Right,
        joints: chain.into_iter().enumerate().map(joint).collect::<Result<_, _>>()?,
        // Gripper frame when the arm reaches forward: x left, y down, approach −z.
        gripper_mount: Pose::new(z * 0.1, DQuat::from_xyzw(1.0, 1.0, 0.0, 0.0))?,
        rest: vec![0.0, -0.3, 1.9, 0.0, 0.6, 0.0],
        workspace_min: DVec3::new(0.1, -0.6, 0.6),
        workspace_max: DVec3::new(0.8, 0.6, 1.5),
    })
}

impl Robot for MyRobot {
    fn description(&self) -> &Description {
        &self.description
    }

    fn start(&mut self, hub: &SensorHub) -> Result<Command, RobotError> {
        self.hub = hub.clone();
        Ok(Command { arms: vec![self.motors.clone()], base: None }) // Where the arm is now.
    }

    fn apply(&mut self, now: MonoTime, command: &Command) -> Result<Applied, RobotError> {
        self.motors.clone_from(&command.arms[0]);
        let reading = ArmReading { joints: self.motors.joints.clone(), gripper: self.motors.gripper };
        self.hub.publish_proprio(Proprioception { arms: vec![reading], base: None, measured: now });
        Ok(Applied::default())
    }
}

fn main() -> Result<ExitCode, InvalidPose> {
    let (arm, hub) = (arm()?, SensorHub::default());
    let motors = ArmCommand { joints: arm.rest.clone(), gripper: 1.0 };
    let description = Description { name: "my robot".into(), arms: vec![arm], base: None, cameras: Vec::new() };
    Ok(waldo_server::cli::run(MyRobot { description, hub, motors }))
}
