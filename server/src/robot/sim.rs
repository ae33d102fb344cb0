//! The simulated robot: everything can be tried with no hardware.
//!
//! `world` is the physics, pure and in virtual time; `cameras` is the one thread, which draws the newest world.

mod cameras;
mod mesh;
pub(crate) mod model;
mod motion;
mod object;
mod raster;
mod scenery;
mod view;
mod world;

use std::sync::Arc;

use arc_swap::ArcSwap;
use waldo_protocol::time::MonoTime;

use self::cameras::Cameras;
use self::world::World;
use super::{Applied, ArmCommand, Command, Description, Robot, RobotError};
use crate::sensors::{ArmReading, Proprioception, SensorHub};

/// How the simulated robot is set up.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Width and height of the cameras, pixels: even, 16 to 4096.
    pub camera_size: (u32, u32),
    /// Draw the capture time into each picture's top left corner, see [`crate::sensors::stamp`].
    pub latency_stamp: bool,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self { camera_size: (640, 480), latency_stamp: false }
    }
}

/// Two 7-joint arms with grippers over a table with things to grasp, and four cameras.
///
/// Time runs from call to call of [`Robot::apply`]. Joint readings are published at each call; cameras draw 30 pictures
/// per second on a thread of their own, and only while somebody watches.
pub struct SimRobot {
    options: SimOptions,
    description: Description,
    world: World,
    /// The newest world, for the camera thread.
    shown: Arc<ArcSwap<World>>,
    hub: SensorHub,
    cameras: Option<Cameras>,
}

impl SimRobot {
    /// A simulated robot at rest.
    pub fn new(options: SimOptions) -> Self {
        let description = model::description();
        let world = World::new(&description);
        let shown = Arc::new(ArcSwap::from_pointee(world.clone()));
        Self { options, description, world, shown, hub: SensorHub::default(), cameras: None }
    }

    fn show(&self) {
        self.shown.store(Arc::new(self.world.clone()));
    }
}

impl Robot for SimRobot {
    fn description(&self) -> &Description {
        &self.description
    }

    fn start(&mut self, hub: &SensorHub) -> Result<Command, RobotError> {
        let (width, height) = self.options.camera_size;
        if [width, height].iter().any(|side| !(16..=4096).contains(side) || side % 2 != 0) {
            return Err(RobotError(format!("simulated cameras of {width}x{height}: sides must be even, 16 to 4096")));
        }
        self.hub = hub.clone();
        self.cameras = Some(Cameras::start(hub, Arc::clone(&self.shown), &self.options)?);
        let arm = |arm: &world::ArmState| ArmCommand { joints: arm.joints(), gripper: arm.opening() };
        Ok(Command { arms: self.world.arms().iter().map(arm).collect() })
    }

    fn apply(&mut self, now: MonoTime, command: &Command) -> Result<Applied, RobotError> {
        let applied = self.world.advance(&self.description, now, command)?;
        self.show();
        let reading = |arm: &world::ArmState| ArmReading { joints: arm.joints(), gripper: arm.opening() };
        let arms = self.world.arms().iter().map(reading).collect();
        self.hub.publish_proprio(Proprioception { arms, measured: now });
        Ok(applied)
    }

    fn reset(&mut self) {
        self.world.put_back();
        self.show();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn rest(description: &Description) -> Command {
        let arm = |a: &crate::robot::Arm| ArmCommand { joints: a.rest.clone(), gripper: 1.0 };
        Command { arms: description.arms.iter().map(arm).collect() }
    }

    #[test]
    fn readings_are_published_with_each_command() {
        let (hub, mut robot) = (SensorHub::default(), SimRobot::new(SimOptions::default()));
        robot.start(&hub).unwrap();
        assert!(hub.proprio().is_none());
        let command = rest(robot.description());
        let now = MonoTime::from_nanos(77);
        assert_eq!(robot.apply(now, &command).unwrap(), Applied { limited: None });
        let reading = hub.proprio().unwrap();
        assert_eq!(reading.measured, now);
        assert_eq!(reading.arms[1].joints, robot.description().arms[1].rest);
    }

    #[test]
    fn the_cameras_of_the_description_play_while_watched_and_end_with_the_robot() {
        let (hub, mut robot) =
            (SensorHub::default(), SimRobot::new(SimOptions { camera_size: (64, 48), latency_stamp: false }));
        robot.start(&hub).unwrap();
        let names: Vec<_> = hub.cameras().iter().map(|c| c.name().to_owned()).collect();
        assert_eq!(names, robot.description().cameras);

        let mut watches: Vec<_> = hub.cameras().iter().map(|c| c.watch()).collect();
        for watch in &mut watches {
            let (first, second) = (watch.next_timeout(LONG).unwrap(), watch.next_timeout(LONG).unwrap());
            assert!(second.captured > first.captured);
            assert_eq!((first.image.width(), first.image.height()), (64, 48));
        }
        drop(robot);
        for watch in &mut watches {
            while watch.next_timeout(LONG).is_ok() {}
        }
    }

    #[test]
    fn camera_sizes_that_no_picture_can_have_are_refused_at_the_start() {
        for size in [(0, 480), (641, 480), (640, 8), (5000, 480)] {
            let mut robot = SimRobot::new(SimOptions { camera_size: size, latency_stamp: false });
            let error = robot.start(&SensorHub::default()).unwrap_err().to_string();
            assert!(error.contains(&format!("{}x{}", size.0, size.1)), "{error}");
        }
    }
}
