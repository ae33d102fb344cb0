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
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn frame(number: u64) -> CameraFrame {
        CameraFrame {
            image: RgbImage::new(2, 2, vec![0; 12]).unwrap(),
            depth: None,
            intrinsics: None,
            extrinsics: None,
            captured: MonoTime::from_nanos(number),
        }
    }

    /// The number of the next frame if it is there already; the outer option says whether the wait is over.
    fn poll(watch: &mut CameraWatch) -> Option<Option<u64>> {
        watch.next().now_or_never().map(|f| f.map(|f| f.captured.as_nanos()))
    }

    #[test]
    fn a_watch_begins_with_the_newest_frame_and_sees_each_newer_one_once() {
        let (writer, camera) = camera("c");
        writer.publish(frame(1));
        writer.publish(frame(2));
        let mut watch = camera.watch();
        assert_eq!(poll(&mut watch), Some(Some(2)));
        assert_eq!(poll(&mut watch), None);
        writer.publish(frame(3));
        writer.publish(frame(4));
        assert_eq!(poll(&mut watch), Some(Some(4)), "the one in between is skipped");
        assert_eq!(poll(&mut watch), None);
    }

    #[test]
    fn a_frame_announced_twice_is_returned_once() {
        let (writer, camera) = camera("c");
        let mut watch = camera.watch();
        writer.publish(frame(1));
        assert_eq!(poll(&mut watch), Some(Some(1)));
        writer.published.send_replace(());
        assert_eq!(poll(&mut watch), None);
    }

    #[test]
    fn a_watch_waits_for_the_first_frame() {
        let (writer, camera) = camera("c");
        let mut watch = camera.watch();
        assert_eq!(poll(&mut watch), None);
        assert!(camera.latest().is_none());
        writer.publish(frame(1));
        assert_eq!(poll(&mut watch), Some(Some(1)));
    }

    #[test]
    fn a_cleared_camera_has_no_newest_frame_and_wakes_nobody() {
        let (writer, camera) = camera("c");
        writer.publish(frame(1));
        writer.clear();
        let mut watch = camera.watch();
        assert_eq!(poll(&mut watch), None);
        writer.publish(frame(2));
        assert_eq!(poll(&mut watch), Some(Some(2)));
    }

    #[test]
    fn the_last_frame_is_delivered_before_the_end() {
        let (writer, camera) = camera("c");
        let mut watch = camera.watch();
        writer.publish(frame(1));
        drop(writer);
        assert_eq!(poll(&mut watch), Some(Some(1)));
        assert_eq!(poll(&mut watch), Some(None));
        assert_eq!(watch.next_timeout(LONG).unwrap_err(), NoFrame::Ended);
    }

    #[test]
    fn every_watch_counts_until_it_is_dropped() {
        let (writer, camera) = camera("c");
        assert!(!writer.watched());
        let (a, b) = (camera.watch(), camera.clone().watch());
        drop(a);
        assert!(writer.watched());
        drop(b);
        assert!(!writer.watched());
    }

    #[test]
    fn a_reader_keeps_the_frame_it_holds() {
        let (writer, camera) = camera("c");
        writer.publish(frame(1));
        let held = camera.latest().unwrap();
        writer.publish(frame(2));
        assert_eq!(held.captured.as_nanos(), 1);
    }

    #[test]
    fn a_watch_does_not_hold_the_pixels_of_the_frame_it_returned() {
        let (writer, camera) = camera("c");
        let mut watch = camera.watch();
        writer.publish(frame(1));
        let returned = Arc::downgrade(&watch.next_timeout(LONG).unwrap());
        writer.publish(frame(2));
        assert!(returned.upgrade().is_none());
    }

    #[test]
    fn a_blocking_wait_ends_with_a_frame_of_another_thread_or_its_end_or_in_time() {
        let (writer, camera) = camera("c");
        let mut watch = camera.watch();
        assert_eq!(watch.next_timeout(Duration::ZERO).unwrap_err(), NoFrame::TimedOut);
        let other = thread::spawn(move || {
            writer.publish(frame(5));
            writer
        });
        assert_eq!(watch.next_timeout(LONG).unwrap().captured.as_nanos(), 5);
        let writer = other.join().unwrap();
        let waiting = thread::spawn(move || watch.next_timeout(LONG).map(|f| f.captured));
        drop(writer);
        assert_eq!(waiting.join().unwrap(), Err(NoFrame::Ended));
    }

    #[test]
    fn readers_of_many_threads_see_frames_in_order_and_the_last_one() {
        let (writer, camera) = camera("c");
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let mut watch = camera.watch();
                thread::spawn(move || {
                    let mut seen = Vec::new();
                    while let Ok(frame) = watch.next_timeout(LONG) {
                        seen.push(frame.captured);
                    }
                    seen
                })
            })
            .collect();
        for number in 1..=2000 {
            writer.publish(frame(number));
        }
        drop(writer);
        for reader in readers {
            let seen = reader.join().unwrap();
            assert!(seen.windows(2).all(|w| w[0] < w[1]), "in order, none twice");
            assert_eq!(seen.last(), Some(&MonoTime::from_nanos(2000)));
        }
    }
}
