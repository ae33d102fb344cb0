//! Asks a function for pictures, at its own pace and on a thread of its own, so that a call that takes its time, or does
//! not return, keeps nobody else waiting.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::clock;
use crate::sensors::{Camera, CameraFrame, CameraWriter, RgbImage, camera};

/// How often the function is asked.
const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// How long a function that panicked is left alone; each panic is reported.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

type Callable = Box<dyn FnMut() -> Option<RgbImage> + Send>;

/// A function that is asked for pictures while somebody watches the camera it publishes to.
pub(super) struct Poller {
    /// What the thread begins with; taken out by it.
    idle: Arc<Mutex<Option<(Callable, CameraWriter)>>>,
    thread: Option<Thread>,
    ended: Arc<AtomicBool>,
}

impl Poller {
    /// A function that is not asked yet, and the camera that shows its pictures.
    pub(super) fn new(call: Callable) -> (Self, Camera) {
        let (writer, reader) = camera("callable");
        let idle = Arc::new(Mutex::new(Some((call, writer))));
        (Self { idle, thread: None, ended: Arc::default() }, reader)
    }

    /// Somebody watches the camera now.
    pub(super) fn wake(&mut self, name: &str) {
        if let Some(thread) = &self.thread {
            return thread.unpark();
        }
        let (idle, ended, camera) = (Arc::clone(&self.idle), Arc::clone(&self.ended), name.to_owned());
        let body = move || {
            let job = idle.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((call, writer)) = job {
                run(call, &writer, &ended, &camera);
            }
        };
        match thread::Builder::new().name("video source".into()).spawn(body) {
            Ok(handle) => self.thread = Some(handle.thread().clone()),
            Err(error) => tracing::error!(camera = name, %error, "no thread for the video source"),
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

/// Asks until the poller is dropped; rests while nobody watches.
fn run(mut call: Callable, writer: &CameraWriter, ended: &AtomicBool, camera: &str) {
    let mut next = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        if !writer.watched() {
            // Who comes later shall not take an old picture for a new one.
            writer.clear();
            thread::park();
            continue;
        }
        let wait = next.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::park_timeout(wait);
            continue;
        }
        let asked = catch_unwind(AssertUnwindSafe(&mut call));
        // A slow call is not made up for by quicker ones after it.
        next = (next + PERIOD).max(Instant::now());
        match asked {
            Ok(Some(image)) => {
                let captured = clock::now();
                writer.publish(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured });
            }
            Ok(None) => {}
            Err(_) => {
                // What it said was printed by the panic hook.
                tracing::warn!(camera, "the video source panicked; its last picture stays");
                next += PANIC_PAUSE;
            }
        }
    }
}
