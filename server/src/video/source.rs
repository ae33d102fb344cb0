//! Where pictures come from.

use crate::sensors::{Camera, RgbImage};

/// A source of pictures for [`crate::vr::VrServer::set_video_sources`].
pub enum VideoSource {
    /// A camera of the sensor hub.
    Camera(Camera),
    /// A function asked about 30 times a second for the latest picture; `None`, or a panic, repeats the last one.
    /// Before the first picture, viewers see black 640x480.
    Callable(Box<dyn FnMut() -> Option<RgbImage> + Send>),
}
