//! Cameras of this computer: webcams and everything else that Linux knows as `/dev/video…`.
//!
//! A camera is a thread that publishes to the sensor hub. It streams only while somebody watches. When it is unplugged,
//! its last picture stays, and it is looked for again until it is back.

mod address;
mod decode;
mod device;
mod filming;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

pub use self::address::{V4l2Address, V4l2AddressError};
use self::device::Device;
use super::SensorHub;

/// Why a camera does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum V4l2Error {
    /// There is nothing at this path.
    #[error("--camera {address}: there is no such device; {}", devices())]
    NoDevice {
        /// As on the command line.
        address: V4l2Address,
    },
    /// It cannot be opened, or gives no pictures that Waldo understands.
    #[error("--camera {address}: {reason}{}", hint(reason))]
    Unusable {
        /// As on the command line.
        address: V4l2Address,
        /// What the system says.
        reason: io::Error,
    },
    /// The system has no thread for it.
    #[error("--camera {address}: no thread: {reason}")]
    NoThread {
        /// As on the command line.
        address: V4l2Address,
        /// What the system says.
        reason: io::Error,
    },
}

fn hint(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::PermissionDenied => " (on Debian: sudo usermod -aG video $USER, then log in again)",
        _ => "",
    }
}

/// The capture devices there are, in words.
fn devices() -> String {
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> =
        entries.filter(|e| e.file_name().to_string_lossy().starts_with("video")).map(|e| e.path()).collect();
    paths.sort();
    let described: Vec<String> = paths
        .iter()
        .filter_map(|path| Device::open(path).ok().map(|device| format!("{} ({})", path.display(), device.card())))
        .collect();
    if described.is_empty() { "this computer has none".into() } else { format!("there are {}", described.join(", ")) }
}

/// A camera that runs. Ends when dropped; viewers keep its last picture.
pub struct V4l2Camera {
    ended: Arc<AtomicBool>,
    thread: Thread,
}

impl V4l2Camera {
    /// Whether the camera can be used, or could be if no other program did.
    ///
    /// # Errors
    /// [`V4l2Error`] says what to do.
    pub fn check(address: &V4l2Address) -> Result<(), V4l2Error> {
        let address = address.clone();
        match Device::open(&address.path).and_then(|mut device| device.set_up(&address)) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(V4l2Error::NoDevice { address }),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(()),
            Err(reason) => Err(V4l2Error::Unusable { address, reason }),
        }
    }

    /// Adds the camera to the hub, in the place of one of the same name if there is one, and films while somebody
    /// watches. A camera that is not there, or used by another program, is waited for.
    ///
    /// # Errors
    /// [`V4l2Error::NoThread`].
    pub fn start(address: V4l2Address, hub: &SensorHub) -> Result<Self, V4l2Error> {
        let ended = Arc::new(AtomicBool::new(false));
        let (stop, filmed, writer) = (Arc::clone(&ended), address.clone(), hub.add_camera(&address.name));
        let spawned = thread::Builder::new().name("camera".into()).spawn(move || filming::run(&filmed, &writer, &stop));
        match spawned {
            Ok(handle) => Ok(Self { ended, thread: handle.thread().clone() }),
            Err(reason) => Err(V4l2Error::NoThread { address, reason }),
        }
    }
}

impl Drop for V4l2Camera {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> String {
        V4l2Camera::check(&address.parse().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error_that_names_the_flag_and_what_there_is() {
        let error = refused("tool=/dev/nowhere:640x480@30");
        assert!(error.starts_with("--camera tool=/dev/nowhere:640x480@30: there is no such device; "), "{error}");
        assert!(error.contains("this computer has none") || error.contains("there are /dev/video"), "{error}");
    }

    #[test]
    fn a_device_that_is_no_camera_is_an_error() {
        assert!(refused("tool=/dev/null").contains("not a camera"), "{}", refused("tool=/dev/null"));
    }

    #[test]
    fn a_camera_that_is_not_there_is_in_the_hub_until_it_is_dropped() {
        let hub = SensorHub::default();
        let camera = V4l2Camera::start("tool=/dev/nowhere".parse().unwrap(), &hub).unwrap();
        let mut watch = hub.camera("tool").unwrap().watch();
        let wait = std::time::Duration::from_millis(30);
        assert_eq!(watch.next_timeout(wait).unwrap_err(), crate::sensors::NoFrame::TimedOut);
        drop(camera);
        let limit = std::time::Duration::from_secs(20);
        assert_eq!(watch.next_timeout(limit).unwrap_err(), crate::sensors::NoFrame::Ended);
    }
}
