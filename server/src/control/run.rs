//! The control thread.

use std::sync::{Arc, Mutex};

use waldo_protocol::geometry::{Base, Pose};

use super::{Event, Teleop};
use crate::robot::{Robot, RobotError};
use crate::sensors::SensorHub;

/// What the arms do at this moment, for pages and health checks.
#[derive(Clone, Debug, Default)]
pub struct ControlStatus {
    /// Commanded gripper-mount pose per arm.
    pub grippers: Vec<Pose<Base>>,
    /// Commanded joint angles per arm, rad.
    pub joints: Vec<Vec<f64>>,
    /// Commanded gripper openings per arm.
    pub openings: Vec<f64>,
    /// Control ticks since the start.
    pub ticks: u64,
}

/// The thread that owns the robot. Stops when dropped.
pub struct ControlLoop {}

impl ControlLoop {
    /// Starts the robot and its thread. `on_event` is called on that thread with what the watchdogs and the arms cause.
    ///
    /// # Errors
    /// What [`Robot::start`] returned, or that the description makes no sense (which part is named).
    pub fn start(
        _robot: Box<dyn Robot>,
        _hub: &SensorHub,
        _teleop: Arc<Mutex<Teleop>>,
        _on_event: Box<dyn Fn(Event) + Send>,
    ) -> Result<Self, RobotError> {
        unimplemented!()
    }

    /// The newest status.
    pub fn status(&self) -> Arc<ControlStatus> {
        unimplemented!()
    }
}
