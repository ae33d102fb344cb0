//! The simulated robot: everything can be tried with no hardware.
//!
//! `world` is the physics, pure and in virtual time; one thread draws the newest world, another one reads its joints.

mod base;
mod cameras;
mod floor;
mod mesh;
pub(crate) mod model;
mod object;
mod raster;
mod scenery;
mod ticker;
mod view;
mod world;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use waldo_protocol::policy::Outcome;
use waldo_protocol::time::MonoTime;

use self::ticker::Ticker;
use self::world::World;
use super::{Applied, ArmCommand, BaseCommand, Command, Description, Robot, RobotError};
use crate::sensors::{Proprioception, SensorHub};

/// Joint readings come 500 times a second, as from a fast real arm.
const READING_PERIOD: Duration = Duration::from_millis(2);

/// A full battery lasts so long; a robot of no weight goes on with the last of it.
const BATTERY_LASTS: Duration = Duration::from_secs(4 * 3600);
const BATTERY_LEAST: f64 = 0.05;

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

/// Two 7-joint arms with grippers over a table with things to grasp, and four cameras, all on a lift on a base that drives.
///
/// Time runs from call to call of [`Robot::apply`]. Joints are read 500 times a second; cameras draw 30 pictures per
/// second, and only while somebody watches. Each has a thread of its own.
pub struct SimRobot {
    options: SimOptions,
    description: Description,
    world: World,
    /// The newest world, for the camera thread.
    shown: Arc<ArcSwap<World>>,
    /// Cameras and joint sensors, once started.
    sensors: Vec<Ticker>,
}

impl SimRobot {
    /// A simulated robot at rest.
    pub fn new(options: SimOptions) -> Self {
        let description = model::description();
        let world = World::new(&description);
        let shown = Arc::new(ArcSwap::from_pointee(world.clone()));
        Self { options, description, world, shown, sensors: Vec::new() }
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
        let cameras = cameras::start(hub, Arc::clone(&self.shown), &self.options)?;
        if let Some(map) = floor::map() {
            hub.publish_map(map);
        }
        let (hub, world, description) = (hub.clone(), Arc::clone(&self.shown), self.description.clone());
        let mut began = None;
        let joints = Ticker::start("sim-joints", READING_PERIOD, move |measured| {
            let used = measured.since(*began.get_or_insert(measured)).as_secs_f64() / BATTERY_LASTS.as_secs_f64();
            hub.publish_battery((1.0 - used).max(BATTERY_LEAST));
            let world = world.load();
            let (arms, base) = (world.readings(&description, measured), world.base_reading(&description, measured));
            hub.publish_proprio(Proprioception { arms, base, measured });
        })?;
        self.sensors = vec![cameras, joints];
        let arm = |arm: &world::ArmState| ArmCommand { joints: arm.joints(), gripper: arm.opening() };
        Ok(Command { arms: self.world.arms().iter().map(arm).collect(), base: Some(BaseCommand::default()) })
    }

    fn apply(&mut self, now: MonoTime, command: &Command) -> Result<Applied, RobotError> {
        let applied = self.world.advance(&self.description, now, command)?;
        self.show();
        Ok(applied)
    }

    fn reset(&mut self) {
        self.world.put_back();
        self.show();
    }

    /// The task of the simulated robot is to pick something up: the episode ends, with reward 1, when a gripper has held a
    /// thing 10 cm above the table.
    fn outcome(&self) -> Outcome {
        let done = self.world.picked_up();
        Outcome { reward: if done { 1.0 } else { 0.0 }, terminated: done, truncated: false }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn joints_are_read_again_and_again_without_any_command() {
        let (hub, mut robot) = (SensorHub::default(), SimRobot::new(SimOptions::default()));
        robot.start(&hub).unwrap();
        let mut last = clock::now();
        for _ in 0..5 {
            last = loop {
                match hub.proprio() {
                    Some(reading) if reading.measured > last => break reading.measured,
                    _ => std::thread::sleep(Duration::from_millis(1)),
                }
            };
        }
        assert_eq!(hub.proprio().unwrap().arms[1].joints, robot.description().arms[1].rest);
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
