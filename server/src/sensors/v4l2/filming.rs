//! The thread of one camera: opens it, films while somebody watches, looks for it again when it is gone.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use waldo_protocol::time::MonoTime;

use super::V4l2Address;
use super::decode::{BadPicture, Decoder};
use super::device::Device;
use crate::clock;
use crate::sensors::CameraWriter;

/// Between two looks whether somebody watches.
const IDLE: Duration = Duration::from_millis(50);

/// A camera that gives no picture for this long is opened anew.
const SILENCE: Duration = Duration::from_secs(3);

/// The first and the longest wait before a camera is opened again.
const RETRY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// Broken pictures are logged at most this often.
const LOG_SPACING: Duration = Duration::from_secs(10);

/// Runs until `ended`.
pub(super) fn run(address: &V4l2Address, writer: &CameraWriter, ended: &AtomicBool) {
    let mut retry = Retry::default();
    while !ended.load(Ordering::Relaxed) {
        let camera = &address.name;
        let error = match film(address, writer, ended, &mut retry) {
            Ok(()) => continue,
            Err(error) => error,
        };
        let (wait, said_before) = retry.failed(&error);
        if said_before {
            tracing::debug!(camera, %error, "still no camera");
        } else {
            let path = address.path.display();
            tracing::warn!(camera, %path, "{error}; the last picture stays, the camera is looked for again");
        }
        thread::park_timeout(wait);
    }
}

/// Films once somebody watches, until nobody does any more.
fn film(address: &V4l2Address, writer: &CameraWriter, ended: &AtomicBool, retry: &mut Retry) -> io::Result<()> {
    let idle = || !ended.load(Ordering::Relaxed) && !writer.watched();
    while idle() {
        // Nobody shall take an old picture for a new one later.
        writer.clear();
        thread::park_timeout(IDLE);
    }
    if ended.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut device = Device::open(&address.path)?;
    let (format, fps) = device.set_up(address)?;
    if address.size.is_some_and(|size| size != (format.width, format.height)) {
        let (width, height) = (format.width, format.height);
        tracing::warn!(camera = address.name, "the camera has no pictures of that size; it gives {width}x{height}");
    }
    let card = device.card();
    let mut stream = device.stream()?;
    tracing::info!(camera = address.name, card, ?format, fps, "the camera films");
    let (mut decoder, mut complaints) = (Decoder::new(format), Complaints::default());
    while !ended.load(Ordering::Relaxed) && writer.watched() {
        let decoded = stream.next(SILENCE, |buffer, captured| decoder.frame(buffer, captured))?;
        match decoded {
            Ok(frame) => {
                retry.worked();
                writer.publish(frame);
            }
            Err(BadPicture::NoBuffer) => writer.count_dropped(),
            Err(error) => complaints.add(clock::now(), &address.name, &error),
        }
    }
    Ok(())
}

/// How long to wait before the next attempt, and whether its failure is news.
#[derive(Default)]
struct Retry {
    failures: u32,
    said: Option<String>,
}

impl Retry {
    fn worked(&mut self) {
        *self = Self::default();
    }

    /// Notes a failure; gives the wait, and whether the same one was told before.
    fn failed(&mut self, error: &io::Error) -> (Duration, bool) {
        let wait = (RETRY[0] * (1 << self.failures.min(8))).min(RETRY[1]);
        self.failures = self.failures.saturating_add(1);
        let text = error.to_string();
        let said_before = self.said.as_ref() == Some(&text);
        self.said = Some(text);
        (wait, said_before)
    }
}

/// Broken pictures since the last word about them.
#[derive(Default)]
struct Complaints {
    count: u32,
    logged: Option<MonoTime>,
}

impl Complaints {
    fn add(&mut self, now: MonoTime, camera: &str, error: &BadPicture) {
        self.count += 1;
        if self.logged.is_none_or(|logged| now.since(logged) >= LOG_SPACING) {
            tracing::warn!(camera, count = self.count, %error, "broken pictures from the camera");
            *self = Self { count: 0, logged: Some(now) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_get_rarer_and_one_failure_is_told_once() {
        let mut retry = Retry::default();
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(retry.failed(&gone()), (Duration::from_millis(250), false));
        assert_eq!(retry.failed(&gone()), (Duration::from_millis(500), true));
        let busy = io::Error::from(io::ErrorKind::ResourceBusy);
        assert_eq!(retry.failed(&busy), (Duration::from_secs(1), false));
        for _ in 0..40 {
            retry.failed(&gone());
        }
        assert_eq!(retry.failed(&gone()), (Duration::from_secs(5), true));
        retry.worked();
        assert_eq!(retry.failed(&gone()), (Duration::from_millis(250), false));
    }
}
