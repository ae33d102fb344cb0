//! The sensor hub: every camera and joint reading of the robot, newest value only.
//!
//! A writer publishes a whole camera frame at once, so nothing tears. A frame is immutable and shared; a reader clones
//! a reference, never pixels, and takes no lock that a writer could wait for. Slow readers miss frames; nothing queues.

mod align;
mod aligner;
mod arms;
mod array;
mod block;
mod camera;
mod config;
mod declared;
mod error;
mod image;
mod newest;
mod pool;
mod published;
mod sensor_watch;
mod snapshot;
pub mod stamp;
pub(crate) mod transform;
mod v4l2;

/// What the slot is made of, apart from it so that a model checker can put its own in the place.
mod sync {
    pub(super) use std::sync::atomic::{AtomicUsize, Ordering};
    pub(super) use std::sync::{Arc, Mutex, MutexGuard};
}

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use waldo_protocol::geometry::{Pose, World};
use waldo_protocol::hosted::OccupancyGrid;
use waldo_protocol::policy::{Dtype, MAX_NAMES};
use waldo_protocol::time::MonoTime;

use self::arms::Reading;
use self::camera::{Crowd, camera_among};
use self::declared::{Change, DeclaredCamera, DeclaredProprio};

pub use aligner::Aligner;
pub use array::{Array, BadArray, Shape, Values};
pub(crate) use camera::Awake;
pub use camera::{Camera, CameraFrame, CameraWatch, CameraWriter, Intrinsics, NoFrame, camera};
pub use config::{CameraConfig, ProprioConfig};
pub use error::HubError;
pub use image::{RgbImage, WrongSize};
pub use pool::{FrameBuffers, FramePool};
pub use sensor_watch::SensorWatch;
pub use snapshot::{CameraSnapshot, ProprioSnapshot, Snapshot};
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

/// All sensors of a robot. Cheap to clone; every method may be called from any thread.
///
/// There are two ways to feed it. A camera that is added ([`SensorHub::add_camera`]) has a [`CameraWriter`] and shares
/// its pictures without a copy. A camera that is declared ([`SensorHub::declare_camera`]) has a fixed size and is
/// written by its name, which copies; so is a proprioception stream.
///
/// ```
/// use waldo_server::sensors::{CameraConfig, ProprioConfig, SensorHub};
///
/// let hub = SensorHub::default();
/// hub.declare_camera(CameraConfig::new("wrist", 480, 640))?;
/// hub.declare_proprio(ProprioConfig::new("joints", 7))?;
///
/// let pixels = vec![0u8; 480 * 640 * 3];
/// hub.update_image("wrist", &pixels)?;
/// hub.update_proprio("joints", &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])?;
///
/// let seen = hub.snapshot();
/// assert_eq!((seen.cameras[0].n, seen.cameras[0].image.shape()), (1, &[480, 640, 3][..]));
///
/// let refused = hub.update_image("wrist", &[0u8; 12]).unwrap_err();
/// assert_eq!(refused.to_string(), "`wrist`: its picture has shape [480, 640, 3], got [12]");
/// # Ok::<(), waldo_server::sensors::HubError>(())
/// ```
#[derive(Clone, Default)]
pub struct SensorHub(Arc<Hub>);

#[derive(Default)]
struct Hub {
    sensors: ArcSwap<Sensors>,
    /// Taken only to add something, never while frames or readings are published or read.
    adding: Mutex<()>,
    cameras_changed: watch::Sender<()>,
    crowd: Arc<Crowd>,
    arms: ArcSwapOption<Reading>,
    arms_read: AtomicU64,
    map: ArcSwapOption<OccupancyGrid>,
    /// The bits of a float; 0 of nothing at all.
    battery: AtomicU64,
}

/// What there is.
#[derive(Clone, Default)]
struct Sensors {
    cameras: Vec<Entry>,
    proprios: Vec<Arc<DeclaredProprio>>,
    arms: Vec<Arc<str>>,
}

#[derive(Clone)]
struct Entry {
    camera: Camera,
    /// None for one that has a writer of its own.
    declared: Option<Arc<DeclaredCamera>>,
}

impl Entry {
    fn is_video(&self) -> bool {
        self.declared.as_ref().is_none_or(|camera| camera.is_video())
    }
}

impl SensorHub {
    /// Adds a camera; an earlier one of the same name gives up its place to it.
    pub fn add_camera(&self, name: impl Into<String>) -> CameraWriter {
        let first = CameraSnapshot::nothing(name.into().into());
        let (writer, camera) = camera_among(first, Arc::clone(&self.0.crowd));
        self.change(|sensors| {
            let entry = Entry { camera, declared: None };
            match sensors.cameras.iter_mut().find(|one| one.camera.name() == entry.camera.name()) {
                Some(earlier) => *earlier = entry,
                None => sensors.cameras.push(entry),
            }
        });
        self.0.cameras_changed.send_replace(());
        writer
    }

    /// Declares a camera that is written by its name. Of 8-bit RGB with even sides up to 8192 it is video too.
    ///
    /// # Errors
    /// The name is taken, the number of channels is neither 1 nor 3, or it is too large.
    pub fn declare_camera(&self, config: CameraConfig) -> Result<(), HubError> {
        let name = config.name.clone();
        let crowd = Arc::clone(&self.0.crowd);
        let (declared, camera) = DeclaredCamera::new(config, |first| camera_among(first, crowd))?;
        let entry = Entry { camera, declared: Some(Arc::new(declared)) };
        let is_video = entry.is_video();
        self.change(|sensors| {
            if sensors.cameras.iter().any(|one| one.camera.name() == name) {
                return Err(HubError::DuplicateCamera { name: name.clone() });
            }
            if sensors.cameras.len() >= MAX_NAMES {
                return Err(HubError::TooMuch { name: name.clone(), limit: "there are 4096 cameras already" });
            }
            sensors.cameras.push(entry);
            Ok(())
        })?;
        if is_video {
            self.0.cameras_changed.send_replace(());
        } else {
            tracing::info!(camera = name, "no video of this camera: that needs 8-bit RGB and even sides up to 8192");
        }
        Ok(())
    }

    /// Declares a proprioception stream that is written by its name.
    ///
    /// # Errors
    /// The name is taken, or it is too large.
    pub fn declare_proprio(&self, config: ProprioConfig) -> Result<(), HubError> {
        let (name, dtype) = (config.name.clone(), config.dtype);
        let declared = Arc::new(DeclaredProprio::new(config)?);
        self.change(|sensors| {
            if sensors.proprios.iter().any(|one| one.name() == name) {
                return Err(HubError::DuplicateProprio { name: name.clone() });
            }
            if sensors.proprios.len() >= MAX_NAMES {
                return Err(HubError::TooMuch { name: name.clone(), limit: "there are 4096 streams already" });
            }
            sensors.proprios.push(declared);
            Ok(())
        })?;
        if dtype != Dtype::Float32 {
            tracing::warn!(stream = name, "values of type {} are sent as float32, which may round them", dtype.name());
        }
        Ok(())
    }

    /// Names the arms of [`SensorHub::publish_proprio`] in their order: the streams of their readings are called so.
    pub fn name_arms(&self, names: impl IntoIterator<Item = impl Into<Arc<str>>>) {
        let names = names.into_iter().map(Into::into).collect();
        self.change(|sensors| sensors.arms = names);
    }

    fn change<R>(&self, change: impl FnOnce(&mut Sensors) -> R) -> R {
        let _one = self.0.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sensors = Sensors::clone(&self.0.sensors.load());
        let result = change(&mut sensors);
        self.0.sensors.store(Arc::new(sensors));
        result
    }

    /// Tells whenever a camera was added.
    pub fn cameras_changed(&self) -> watch::Receiver<()> {
        self.0.cameras_changed.subscribe()
    }

    /// All cameras whose pictures can be video, in the order they were added.
    pub fn cameras(&self) -> Vec<Camera> {
        let sensors = self.0.sensors.load();
        sensors.cameras.iter().filter(|one| one.is_video()).map(|one| one.camera.clone()).collect()
    }

    /// All cameras, in the order they were added.
    pub fn every_camera(&self) -> Vec<Camera> {
        self.0.sensors.load().cameras.iter().map(|one| one.camera.clone()).collect()
    }

    /// The camera of that name.
    pub fn camera(&self, name: &str) -> Option<Camera> {
        self.0.sensors.load().cameras.iter().map(|one| &one.camera).find(|camera| camera.name() == name).cloned()
    }

    /// Publishes a whole frame at once: nobody ever sees parts of it. Copies, and returns at once.
    ///
    /// What is missing of intrinsics and extrinsics stays as it was; depth is needed exactly if the camera has it.
    /// `capture_time` is when the picture was taken; `None` means now.
    ///
    /// The frame is dropped and counted if slow readers hold all buffers.
    ///
    /// # Errors
    /// The camera was not declared, or an array is not as declared.
    pub fn update_frame<'a>(
        &self,
        name: &str,
        image: impl Into<Values<'a>>,
        depth: Option<Values<'a>>,
        intrinsics: Option<&[f64; 9]>,
        extrinsics: Option<&[f64; 16]>,
        capture_time: Option<MonoTime>,
    ) -> Result<(), HubError> {
        let camera = self.declared(name)?;
        if depth.is_none() && camera.has_depth() {
            return Err(HubError::DepthMissing { name: name.to_owned() });
        }
        let image = Some(image.into());
        camera.write(Change { image, depth, intrinsics, extrinsics, captured: capture_time })
    }

    /// Copies a picture, [H, W, C], and stamps the camera with the present time. Returns at once.
    ///
    /// Depth, intrinsics and extrinsics stay as they were: [`SensorHub::update_frame`] writes what belongs together.
    ///
    /// # Errors
    /// The camera was not declared, or the array is not as declared.
    pub fn update_image<'a>(&self, name: &str, image: impl Into<Values<'a>>) -> Result<(), HubError> {
        self.declared(name)?.write(Change { image: Some(image.into()), ..Change::default() })
    }

    /// Copies depth, [H, W]. Does not stamp.
    ///
    /// # Errors
    /// The camera was not declared, or without depth, or the array is not as declared.
    pub fn update_depth<'a>(&self, name: &str, depth: impl Into<Values<'a>>) -> Result<(), HubError> {
        self.declared(name)?.write(Change { depth: Some(depth.into()), ..Change::default() })
    }

    /// Sets the pinhole matrix K, 3×3 row major. Does not stamp.
    ///
    /// # Errors
    /// The camera was not declared.
    pub fn update_intrinsics(&self, name: &str, intrinsics: &[f64; 9]) -> Result<(), HubError> {
        self.declared(name)?.write(Change { intrinsics: Some(intrinsics), ..Change::default() })
    }

    /// Sets camera to world, 4×4 row major. Does not stamp.
    ///
    /// # Errors
    /// The camera was not declared.
    pub fn update_extrinsics(&self, name: &str, extrinsics: &[f64; 16]) -> Result<(), HubError> {
        self.declared(name)?.write(Change { extrinsics: Some(extrinsics), ..Change::default() })
    }

    /// Tells that a camera failed: it has a picture of 0×0 pixels and no depth until the next one is written.
    ///
    /// # Errors
    /// The camera was not declared.
    pub fn update_failed(&self, name: &str) -> Result<(), HubError> {
        self.declared(name)?.fail();
        Ok(())
    }

    /// Copies a reading of a proprioception stream. float64 is taken for float32 and the other way round.
    ///
    /// # Errors
    /// The stream was not declared, or the reading is not as declared.
    pub fn update_proprio<'a>(&self, name: &str, values: impl Into<Values<'a>>) -> Result<(), HubError> {
        let sensors = self.0.sensors.load();
        let Some(stream) = sensors.proprios.iter().find(|one| one.name() == name) else {
            let known = sensors.proprios.iter().map(|one| one.name().to_owned()).collect();
            return Err(HubError::UnknownProprio { name: name.to_owned(), known });
        };
        stream.write(values.into())?;
        self.0.crowd.readings.send_replace(());
        Ok(())
    }

    fn declared(&self, name: &str) -> Result<Arc<DeclaredCamera>, HubError> {
        let sensors = self.0.sensors.load();
        let found = sensors.cameras.iter().find(|one| one.camera.name() == name);
        found.and_then(|one| one.declared.clone()).ok_or_else(|| {
            let declared = sensors.cameras.iter().filter(|one| one.declared.is_some());
            let known = declared.map(|one| one.camera.name().to_owned()).collect();
            HubError::UnknownCamera { name: name.to_owned(), known }
        })
    }

    /// The newest of every sensor: each camera's frame is a whole one. Copies no pixels and makes no writer wait.
    ///
    /// Cameras that draw only while somebody watches rest unless there is a [`SensorHub::watch`].
    pub fn snapshot(&self) -> Snapshot {
        let sensors = self.0.sensors.load();
        let cameras = sensors.cameras.iter().map(|one| one.camera.snapshot()).collect();
        Snapshot { cameras, proprios: self.proprios(), aligned: false }
    }

    fn proprios(&self) -> Vec<ProprioSnapshot> {
        let sensors = self.0.sensors.load();
        let mut proprios: Vec<_> = sensors.proprios.iter().map(|one| one.snapshot()).collect();
        if let Some(reading) = &*self.0.arms.load() {
            // A program that declares the name of an arm tells of it better.
            let declared = |name: &str| sensors.proprios.iter().any(|one| one.name() == name);
            proprios.extend(reading.streams(&sensors.arms).filter(|stream| !declared(&stream.name)));
        }
        proprios
    }

    /// Keeps these cameras awake, or all, and tells of new pictures, until the result is dropped.
    pub fn watch(&self, cameras: Option<&[&str]>) -> SensorWatch {
        SensorWatch::new(self, cameras)
    }

    /// Keeps the last few frames of every camera, so that frames can be found that belong together, until the result is
    /// dropped.
    pub fn aligner(&self) -> Aligner {
        Aligner::new(self)
    }

    fn crowd(&self) -> &Arc<Crowd> {
        &self.0.crowd
    }

    /// Replaces the newest joint readings.
    pub fn publish_proprio(&self, reading: Proprioception) {
        let n = self.0.arms_read.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.arms.store(Some(Arc::new(Reading::new(reading, n))));
        self.0.crowd.readings.send_replace(());
    }

    /// Replaces the map of the surroundings.
    pub fn publish_map(&self, map: OccupancyGrid) {
        self.0.map.store(Some(Arc::new(map)));
    }

    /// The newest map, or none before the first.
    pub fn map(&self) -> Option<Arc<OccupancyGrid>> {
        self.0.map.load_full()
    }

    /// Replaces what is left in the battery, 0 to 1.
    pub fn publish_battery(&self, charge: f64) {
        self.0.battery.store((1.0 + charge.clamp(0.0, 1.0)).to_bits(), Ordering::Relaxed);
    }

    /// What is left in the battery, 0 to 1, or none before the first word of it.
    pub fn battery(&self) -> Option<f64> {
        let charge = f64::from_bits(self.0.battery.load(Ordering::Relaxed));
        (charge >= 1.0).then_some(charge - 1.0)
    }

    /// The newest joint readings, or none before the first.
    pub fn proprio(&self) -> Option<Arc<Proprioception>> {
        self.0.arms.load().as_ref().map(|reading| Arc::clone(&reading.proprio))
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
