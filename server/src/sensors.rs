//! The sensor hub: every camera and joint reading of the robot, newest value only.
//!
//! A writer publishes a whole camera frame at once, so nothing tears. A frame is immutable and shared; a reader clones
//! a reference, never pixels, and takes no lock that a writer could wait for. Slow readers miss frames; nothing queues.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::sync::watch;
use waldo_protocol::geometry::{Pose, World};
use waldo_protocol::time::MonoTime;

/// An RGB picture: 8 bits per channel, rows from the top, no padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    width: u32,
    height: u32,
    data: Bytes,
}

/// The pixels do not fit the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an RGB image of {width}x{height} needs {needed} bytes and even, positive sides up to 8192; got {got} bytes")]
pub struct WrongSize {
    width: u32,
    height: u32,
    needed: u64,
    got: usize,
}

impl RgbImage {
    /// A picture from `width * height * 3` bytes.
    ///
    /// # Errors
    /// [`WrongSize`] if the byte count does not fit, or a side is zero, odd or above 8192.
    pub fn new(width: u32, height: u32, data: impl Into<Bytes>) -> Result<Self, WrongSize> {
        let data = data.into();
        let needed = u64::from(width) * u64::from(height) * 3;
        let side = |s: u32| s > 0 && s <= 8192 && s.is_multiple_of(2);
        if !side(width) || !side(height) || data.len() as u64 != needed {
            return Err(WrongSize { width, height, needed, got: data.len() });
        }
        Ok(Self { width, height, data })
    }

    /// Pixels per row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, `height * width * 3` bytes.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// Pinhole intrinsics in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the field's standard symbols")]
pub struct Intrinsics {
    pub fx: f64,
    pub fy: f64,
    pub cx: f64,
    pub cy: f64,
}

/// One capture of one camera: everything that belongs together.
#[derive(Clone, Debug)]
pub struct CameraFrame {
    /// The picture.
    pub image: RgbImage,
    /// Distance along the optical axis in metres, row-major, same size as the picture; infinite where nothing was hit.
    pub depth: Option<Arc<[f32]>>,
    /// Pinhole intrinsics, if known.
    pub intrinsics: Option<Intrinsics>,
    /// Pose of the optical frame (x right, y down, z forward) in the world, if known.
    pub extrinsics: Option<Pose<World>>,
    /// When the picture was taken.
    pub captured: MonoTime,
}

struct Slot {
    name: String,
    frame: ArcSwapOption<CameraFrame>,
    version: watch::Sender<u64>,
    watchers: AtomicUsize,
}

/// The reading side of one camera. Cheap to clone.
#[derive(Clone)]
pub struct Camera(Arc<Slot>);

/// The writing side of one camera. Dropping it ends the camera for everybody who watches.
pub struct CameraWriter(Arc<Slot>);

/// A camera that nobody writes to yet, outside any hub.
pub fn camera(name: impl Into<String>) -> (CameraWriter, Camera) {
    let slot = Arc::new(Slot {
        name: name.into(),
        frame: ArcSwapOption::empty(),
        version: watch::Sender::new(0),
        watchers: AtomicUsize::new(0),
    });
    (CameraWriter(Arc::clone(&slot)), Camera(slot))
}

impl CameraWriter {
    /// The camera's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether anybody looks; a camera that costs to draw may rest otherwise.
    pub fn watched(&self) -> bool {
        self.0.watchers.load(Ordering::Relaxed) > 0
    }

    /// Replaces the newest frame. Readers that hold the former one keep it.
    pub fn publish(&self, frame: CameraFrame) {
        self.0.frame.store(Some(Arc::new(frame)));
        self.0.version.send_modify(|v| *v += 1);
    }
}

impl Camera {
    /// The camera's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The newest frame, or none before the first.
    pub fn latest(&self) -> Option<Arc<CameraFrame>> {
        self.0.frame.load_full()
    }

    /// Starts to watch: keeps the camera drawing until the watch is dropped.
    pub fn watch(&self) -> CameraWatch {
        self.0.watchers.fetch_add(1, Ordering::Relaxed);
        let mut version = self.0.version.subscribe();
        version.mark_changed();
        CameraWatch { camera: self.clone(), version }
    }
}

/// Keeps a camera awake and waits for its frames.
pub struct CameraWatch {
    camera: Camera,
    version: watch::Receiver<u64>,
}

impl CameraWatch {
    /// Waits for a frame newer than the last one returned; frames in between are skipped.
    pub async fn next(&mut self) -> Arc<CameraFrame> {
        loop {
            // The slot owns the sender, so this cannot fail while `self` holds the slot.
            let _ = self.version.changed().await;
            self.version.mark_unchanged();
            if let Some(frame) = self.camera.latest() {
                return frame;
            }
        }
    }
}

impl Drop for CameraWatch {
    fn drop(&mut self) {
        self.camera.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Joint readings of one arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmReading {
    /// Joint angles in rad, in the order of the description.
    pub joints: Vec<f64>,
    /// Gripper opening, 0 closed, 1 open.
    pub gripper: f64,
}

/// Joint readings of all arms at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Proprioception {
    /// One entry per arm, in the order of the description.
    pub arms: Vec<ArmReading>,
    /// When they were taken.
    pub measured: MonoTime,
}

/// All sensors of a robot. Cheap to clone.
#[derive(Clone, Default)]
pub struct SensorHub(Arc<Hub>);

#[derive(Default)]
struct Hub {
    cameras: Mutex<Vec<Camera>>,
    proprio: ArcSwapOption<Proprioception>,
}

impl SensorHub {
    /// Adds a camera; an earlier one of the same name is replaced.
    pub fn add_camera(&self, name: impl Into<String>) -> CameraWriter {
        let (writer, reader) = camera(name);
        let mut cameras = self.0.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.retain(|c| c.name() != reader.name());
        cameras.push(reader);
        writer
    }

    /// All cameras in the order they were added.
    pub fn cameras(&self) -> Vec<Camera> {
        self.0.cameras.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The camera of that name.
    pub fn camera(&self, name: &str) -> Option<Camera> {
        self.cameras().into_iter().find(|c| c.name() == name)
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
