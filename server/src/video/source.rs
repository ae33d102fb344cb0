//! Where pictures come from.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use waldo_protocol::time::MonoTime;

use crate::clock;
use crate::sensors::{Camera, CameraFrame, CameraWatch, RgbImage};

/// A source of pictures for [`crate::vr::VrServer::set_video_sources`].
pub enum VideoSource {
    /// A camera of the sensor hub.
    Camera(Camera),
    /// A function asked about 30 times a second for the latest picture, on the encoder's thread and only while somebody
    /// watches. `None`, or a panic, repeats the last one. Before the first picture, viewers see black 640x480. A call
    /// that does not return stops this camera's video and nothing else.
    Callable(Box<dyn FnMut() -> Option<RgbImage> + Send>),
}

/// How often a callable is asked.
const POLL_PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// One picture of a source.
pub(super) enum Picture {
    Frame(Arc<CameraFrame>),
    Image(RgbImage, MonoTime),
}

impl Picture {
    /// What viewers see before a source has delivered anything.
    pub(super) fn black(now: MonoTime) -> Self {
        let image = RgbImage::new(640, 480, vec![0; 640 * 480 * 3]).expect("the byte count is that of the size");
        Self::Image(image, now)
    }

    pub(super) fn image(&self) -> &RgbImage {
        match self {
            Self::Frame(frame) => &frame.image,
            Self::Image(image, _) => image,
        }
    }

    /// When it was taken; for a callable, when it was handed over.
    pub(super) fn captured(&self) -> MonoTime {
        match self {
            Self::Frame(frame) => frame.captured,
            Self::Image(_, captured) => *captured,
        }
    }
}

/// A source while somebody watches.
pub(super) enum Pictures<'a> {
    Camera(CameraWatch),
    /// A camera whose writer is gone.
    Ended,
    Callable {
        call: &'a mut (dyn FnMut() -> Option<RgbImage> + Send),
        next_poll: Instant,
    },
}

impl<'a> Pictures<'a> {
    pub(super) fn new(source: &'a mut VideoSource) -> Self {
        match source {
            VideoSource::Camera(camera) => Self::Camera(camera.watch()),
            VideoSource::Callable(call) => Self::Callable { call: call.as_mut(), next_poll: Instant::now() },
        }
    }

    /// Waits for the next new picture; none if there is none now after all. Safe to cancel.
    pub(super) async fn next(&mut self, name: &str) -> Option<Picture> {
        match self {
            Self::Camera(watch) => {
                let frame = watch.next().await;
                if frame.is_none() {
                    tracing::warn!(camera = name, "the camera has ended; viewers keep its last picture");
                    *self = Self::Ended;
                }
                frame.map(Picture::Frame)
            }
            Self::Ended => pending().await,
            Self::Callable { call, next_poll } => {
                sleep_until(*next_poll).await;
                // A slow call is not made up for by quicker ones after it.
                *next_poll = (*next_poll + POLL_PERIOD).max(Instant::now());
                let image = catch_unwind(AssertUnwindSafe(&mut *call)).unwrap_or_else(|_| {
                    // The panic hook has printed the message.
                    tracing::debug!(camera = name, "a video source panicked; its last picture stays");
                    None
                })?;
                Some(Picture::Image(image, clock::now()))
            }
        }
    }
}
