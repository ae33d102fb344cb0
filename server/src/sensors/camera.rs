//! One camera: a slot with its newest frame, a writer, any number of readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use waldo_protocol::geometry::{Pose, World};
use waldo_protocol::time::MonoTime;

use super::block::block_for;
use super::newest::Newest;
use super::published::{Count, Published, snapshot_of};
use super::{CameraSnapshot, RgbImage};
use crate::clock;

/// Pinhole intrinsics in pixels. Pixel (0, 0) covers the coordinates 0 to 1; its centre is at 0.5.
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

/// What all cameras of a hub have in common.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// Told of every picture of any of them.
    pub(super) pictures: watch::Sender<()>,
    /// Told of every reading of proprioception.
    pub(super) readings: watch::Sender<()>,
    /// How many align cameras, for which earlier frames are kept.
    pub(super) aligners: AtomicUsize,
}

struct Slot {
    name: Arc<str>,
    newest: Newest<Published, Count>,
    watchers: AtomicUsize,
    dropped: AtomicU64,
    crowd: Arc<Crowd>,
}

/// The reading side of one camera. Cheap to clone.
#[derive(Clone)]
pub struct Camera {
    slot: Arc<Slot>,
    published: watch::Receiver<()>,
}

/// The writing side of one camera. Dropping it ends the camera for everybody who watches.
pub struct CameraWriter {
    slot: Arc<Slot>,
    published: watch::Sender<()>,
}

/// A camera that nobody writes to yet, outside any hub.
pub fn camera(name: impl Into<String>) -> (CameraWriter, Camera) {
    camera_among(CameraSnapshot::nothing(name.into().into()), Arc::default())
}

/// A camera of a hub that shows this before its first picture.
pub(super) fn camera_among(first: CameraSnapshot, crowd: Arc<Crowd>) -> (CameraWriter, Camera) {
    let name = Arc::clone(&first.name);
    let first = Published { now: first, earlier: Vec::new(), video: None, fps: 0.0 };
    let slot = Arc::new(Slot {
        name,
        newest: Newest::new(first, Count::default()),
        watchers: AtomicUsize::new(0),
        dropped: AtomicU64::new(0),
        crowd,
    });
    let published = watch::Sender::new(());
    let reader = Camera { slot: Arc::clone(&slot), published: published.subscribe() };
    (CameraWriter { slot, published }, reader)
}

impl CameraWriter {
    /// The camera's name.
    pub fn name(&self) -> &str {
        &self.slot.name
    }

    /// Whether anybody looks; a camera that costs to draw may rest otherwise.
    pub fn watched(&self) -> bool {
        self.slot.watchers.load(Ordering::Relaxed) > 0
    }

    /// Replaces the newest frame. Readers that hold the former one keep it.
    pub fn publish(&self, frame: CameraFrame) {
        self.put(|n| {
            let now = snapshot_of(Arc::clone(&self.slot.name), n, &frame);
            (now, Some(Arc::new(frame)))
        });
    }

    /// Replaces the newest frame by one that is made of its number.
    pub(super) fn put(&self, frame: impl FnOnce(u64) -> (CameraSnapshot, Option<Arc<CameraFrame>>)) {
        let mut writing = self.slot.newest.writing();
        let fps = writing.state.picture(clock::now());
        let (now, video) = frame(writing.state.n);
        let earlier = writing.current().kept(self.slot.crowd.aligners.load(Ordering::Relaxed) > 0);
        writing.replace(Published { now, earlier, video, fps });
        drop(writing);
        self.published.send_replace(());
        self.slot.crowd.pictures.send_replace(());
    }

    /// Changes something about the newest frame that makes no new picture of it.
    pub(super) fn amend(&self, change: impl FnOnce(&mut CameraSnapshot)) {
        let mut writing = self.slot.newest.writing();
        let Published { now, earlier, video, fps } = &*writing.current();
        let mut now = now.clone();
        change(&mut now);
        let (earlier, video) = (earlier.clone(), video.clone());
        writing.replace(Published { now, earlier, video, fps: *fps });
    }

    /// The newest frame, with everything that later ones inherit.
    pub(super) fn newest(&self) -> Arc<Published> {
        self.slot.newest.load()
    }

    /// Forgets the newest frame. A camera that goes to rest does this, so that nobody takes an old picture for a new one.
    pub fn clear(&self) {
        let mut writing = self.slot.newest.writing();
        if writing.current().now.stamp.is_some() {
            let now = CameraSnapshot { n: writing.state.n, ..CameraSnapshot::nothing(Arc::clone(&self.slot.name)) };
            writing.replace(Published { now, earlier: Vec::new(), video: None, fps: 0.0 });
        }
    }

    /// Counts a frame that was dropped because slow readers held all buffers.
    pub fn count_dropped(&self) {
        self.slot.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Camera {
    /// The camera's name.
    pub fn name(&self) -> &str {
        &self.slot.name
    }

    /// Whether both read what one writer writes.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.slot, &other.slot)
    }

    /// The newest frame; none before the first, and while a camera rests because nobody watches.
    ///
    /// That of a declared camera ([`SensorHub::declare_camera`](super::SensorHub::declare_camera)) is for video: it has
    /// neither depth nor pose; those are in [`Camera::snapshot`].
    pub fn latest(&self) -> Option<Arc<CameraFrame>> {
        self.newest().video.clone()
    }

    /// The newest frame with all that is known about it.
    pub fn snapshot(&self) -> CameraSnapshot {
        self.newest().now.clone()
    }

    /// Pictures per second, measured over the last 30; 0 before the second one. A camera that fell silent keeps its
    /// rate: the stamp of its newest frame tells.
    pub fn fps(&self) -> f64 {
        self.newest().fps
    }

    pub(super) fn newest(&self) -> Arc<Published> {
        self.slot.newest.load()
    }

    /// Frames dropped because slow readers held all buffers.
    pub fn dropped(&self) -> u64 {
        self.slot.dropped.load(Ordering::Relaxed)
    }

    /// Starts to watch: keeps the camera drawing until the watch is dropped.
    pub fn watch(&self) -> CameraWatch {
        let mut published = self.published.clone();
        published.mark_changed();
        CameraWatch { camera: self.clone(), published, last: 0, _awake: self.keep_awake() }
    }

    /// Keeps the camera drawing until the result is dropped.
    pub(crate) fn keep_awake(&self) -> Awake {
        self.slot.watchers.fetch_add(1, Ordering::Relaxed);
        Awake(Arc::clone(&self.slot))
    }

    /// The first picture there is, waited for if the camera rests: whatever it shows, video or not. `None` once the writer
    /// is gone. Safe to cancel.
    pub(crate) async fn first_picture(&self) -> Option<CameraSnapshot> {
        let _awake = self.keep_awake();
        let mut published = self.published.clone();
        loop {
            published.mark_unchanged();
            let frame = self.snapshot();
            if frame.stamp.is_some() {
                return Some(frame);
            }
            published.changed().await.ok()?;
        }
    }
}

/// Somebody watches a camera.
pub(crate) struct Awake(Arc<Slot>);

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps a camera awake and waits for its frames.
pub struct CameraWatch {
    camera: Camera,
    published: watch::Receiver<()>,
    /// Number of the frame returned last.
    last: u64,
    _awake: Awake,
}

/// Why a wait brought no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFrame {
    /// None was published in time.
    #[error("no frame in time")]
    TimedOut,
    /// The writer is gone; there will be none.
    #[error("the camera has ended")]
    Ended,
}

impl CameraWatch {
    /// Waits for a frame newer than the last one returned; frames in between are skipped. The first is the newest one
    /// already there, if any. `None` once the writer is gone and its last frame was returned. Safe to cancel.
    pub async fn next(&mut self) -> Option<Arc<CameraFrame>> {
        loop {
            self.published.changed().await.ok()?;
            // A frame that replaced an announced one before it was fetched is announced a second time.
            let newest = self.camera.newest();
            if let Some(frame) = newest.video.as_ref().filter(|_| newest.now.n > self.last) {
                self.last = newest.now.n;
                return Some(Arc::clone(frame));
            }
        }
    }

    /// As [`CameraWatch::next`] for a thread without a runtime: blocks for at most `timeout`.
    ///
    /// # Errors
    /// [`NoFrame`] says whether to try again.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Arc<CameraFrame>, NoFrame> {
        match block_for(timeout, self.next()) {
            Some(Some(frame)) => Ok(frame),
            Some(None) => Err(NoFrame::Ended),
            None => Err(NoFrame::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests;
