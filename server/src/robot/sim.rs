//! The simulated robot.

pub(crate) mod model;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::HoldReason;

use super::{Applied, Command, Description, Robot, RobotError};
use crate::sensors::SensorHub;

/// How the simulated robot is set up.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Width and height of the cameras, pixels.
    pub camera_size: (u32, u32),
    /// Draw the capture time into each picture's top left corner.
    pub latency_stamp: bool,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self { camera_size: (640, 480), latency_stamp: false }
    }
}

/// Two 7-joint arms with grippers over a table with objects, and four cameras.
pub struct SimRobot {
    description: Description,
}

impl SimRobot {
    /// A simulated robot at rest.
    pub fn new(_options: SimOptions) -> Self {
        Self { description: model::description() }
    }
}

impl Robot for SimRobot {
    fn description(&self) -> &Description {
        &self.description
    }

    fn start(&mut self, _hub: &SensorHub) -> Result<Command, RobotError> {
        unimplemented!()
    }

    fn apply(&mut self, _now: MonoTime, _command: &Command) -> Result<Applied, RobotError> {
        unimplemented!()
    }

    fn reset(&mut self) {}

    fn hold(&mut self, _reason: HoldReason) {}
}
