//! The sensor hub: every camera and joint reading of the robot, newest value only.
//!
//! A writer publishes a whole camera frame at once, so nothing tears. A frame is immutable and shared; a reader clones
//! a reference, never pixels, and takes no lock that a writer could wait for. Slow readers miss frames; nothing queues.

mod camera;
mod image;
mod pool;
pub mod stamp;
mod v4l2;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use waldo_protocol::geometry::{Pose, World};
use waldo_protocol::time::MonoTime;

pub use camera::{Camera, CameraFrame, CameraWatch, CameraWriter, Intrinsics, NoFrame, camera};
pub use image::{RgbImage, WrongSize};
pub use pool::{FrameBuffers, FramePool};
pub use v4l2::{V4l2Address, V4l2AddressError, V4l2Camera, V4l2Error};

/// Joint readings of one arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmReading {
    /// Joint angles in rad, in the order of the description.
    pub joints: Vec<f64>,
    /// Gripper opening, 0 closed, 1 open.
    pub gripper: f64,
}

/// Where a mobile base stands, and its lift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BaseReading {
    /// Pose in the world of what stands on the floor: the frame of the arms without the height of the lift.
    pub pose: Pose<World>,
    /// Height of the lift, metres; none without a lift.
    pub lift: Option<f64>,
}

/// Readings of all arms and of the base at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Proprioception {
    /// One entry per arm, in the order of the description.
    pub arms: Vec<ArmReading>,
    /// None for a robot without a mobile base, or if nobody knows.
    pub base: Option<BaseReading>,
    /// When they were taken.
    pub measured: MonoTime,
}

/// All sensors of a robot. Cheap to clone.
#[derive(Clone, Default)]
pub struct SensorHub(Arc<Hub>);

#[derive(Default)]
struct Hub {
    // Taken only to add and to list cameras, never while frames or readings are published.
    cameras: Mutex<Vec<Camera>>,
    cameras_changed: watch::Sender<()>,
    proprio: ArcSwapOption<Proprioception>,
}

impl SensorHub {
    /// Adds a camera; an earlier one of the same name gives up its place to it.
    pub fn add_camera(&self, name: impl Into<String>) -> CameraWriter {
        let (writer, reader) = camera(name);
        let mut cameras = self.0.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        match cameras.iter_mut().find(|c| c.name() == reader.name()) {
            Some(earlier) => *earlier = reader,
            None => cameras.push(reader),
        }
        drop(cameras);
        self.0.cameras_changed.send_replace(());
        writer
    }

    /// Tells whenever a camera was added.
    pub fn cameras_changed(&self) -> watch::Receiver<()> {
        self.0.cameras_changed.subscribe()
    }

    /// All cameras in the order they were added.
    pub fn cameras(&self) -> Vec<Camera> {
        self.0.cameras.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The camera of that name.
    pub fn camera(&self, name: &str) -> Option<Camera> {
        self.0.cameras.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|c| c.name() == name).cloned()
    }

    /// Replaces the newest joint readings.
    pub fn publish_proprio(&self, reading: Proprioception) {
        self.0.proprio.store(Some(Arc::new(reading)));
    }

    /// The newest joint readings, or none before the first.
    pub fn proprio(&self) -> Option<Arc<Proprioception>> {
        self.0.proprio.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_are_listed_in_order_and_replaced_by_name() {
        let hub = SensorHub::default();
        let names = || hub.cameras().iter().map(|c| c.name().to_owned()).collect::<Vec<_>>();
        let _writers = (hub.add_camera("a"), hub.add_camera("b"));
        let first = hub.camera("a").unwrap();
        let second = hub.add_camera("a");
        assert_eq!(names(), ["a", "b"]);
        let watch = hub.camera("a").unwrap().watch();
        assert!(second.watched());
        drop(watch);
        assert_eq!(first.name(), "a", "who holds the earlier one may go on with it");
        assert!(hub.camera("c").is_none());
    }

    #[test]
    fn whoever_follows_the_list_is_told_of_each_camera() {
        let hub = SensorHub::default();
        let mut changed = hub.cameras_changed();
        assert!(!changed.has_changed().unwrap());
        for name in ["a", "b", "a"] {
            let _writer = hub.add_camera(name);
            assert!(changed.has_changed().unwrap());
            changed.mark_unchanged();
        }
    }

    #[test]
    fn the_newest_reading_replaces_the_one_before() {
        let hub = SensorHub::default();
        assert!(hub.proprio().is_none());
        let reading = |t| Proprioception { arms: Vec::new(), base: None, measured: MonoTime::from_nanos(t) };
        hub.publish_proprio(reading(1));
        hub.publish_proprio(reading(2));
        assert_eq!(hub.clone().proprio().unwrap().measured, MonoTime::from_nanos(2));
    }
}
