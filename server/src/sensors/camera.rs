//! One camera: a slot with its newest frame, a writer, any number of readers.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use waldo_protocol::geometry::{Pose, World};
use waldo_protocol::time::MonoTime;

use super::RgbImage;
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

struct Slot {
    name: String,
    frame: ArcSwapOption<CameraFrame>,
    watchers: AtomicUsize,
    dropped: AtomicU64,
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
    let slot = Arc::new(Slot {
        name: name.into(),
        frame: ArcSwapOption::empty(),
        watchers: AtomicUsize::new(0),
        dropped: AtomicU64::new(0),
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
        self.slot.frame.store(Some(Arc::new(frame)));
        self.published.send_replace(());
    }

    /// Forgets the newest frame. A camera that goes to rest does this, so that nobody takes an old picture for a new one.
    pub fn clear(&self) {
        self.slot.frame.store(None);
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
    pub fn latest(&self) -> Option<Arc<CameraFrame>> {
        self.slot.frame.load_full()
    }

    /// Frames dropped because slow readers held all buffers.
    pub fn dropped(&self) -> u64 {
        self.slot.dropped.load(Ordering::Relaxed)
    }

    /// Starts to watch: keeps the camera drawing until the watch is dropped.
    pub fn watch(&self) -> CameraWatch {
        self.slot.watchers.fetch_add(1, Ordering::Relaxed);
        let mut published = self.published.clone();
        published.mark_changed();
        CameraWatch { camera: self.clone(), published, last: Weak::new() }
    }
}

/// Keeps a camera awake and waits for its frames.
pub struct CameraWatch {
    camera: Camera,
    published: watch::Receiver<()>,
    last: Weak<CameraFrame>,
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
            let newer = |frame: &Arc<CameraFrame>| !std::ptr::eq(Arc::as_ptr(frame), self.last.as_ptr());
            if let Some(frame) = self.camera.latest().filter(newer) {
                self.last = Arc::downgrade(&frame);
                return Some(frame);
            }
        }
    }

    /// As [`CameraWatch::next`] for a thread without a runtime: blocks for at most `timeout`.
    ///
    /// # Errors
    /// [`NoFrame`] says whether to try again.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Arc<CameraFrame>, NoFrame> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let deadline = clock::now() + timeout;
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut next = pin!(self.next());
        loop {
            if let Poll::Ready(frame) = next.as_mut().poll(&mut context) {
                return frame.ok_or(NoFrame::Ended);
            }
            let left = deadline.since(clock::now());
            if left.is_zero() {
                return Err(NoFrame::TimedOut);
            }
            thread::park_timeout(left);
        }
    }
}

impl Drop for CameraWatch {
    fn drop(&mut self) {
        self.camera.slot.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
