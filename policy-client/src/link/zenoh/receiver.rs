//! The receiving half. Frames are handled on the thread of Zenoh's that brings them, which nothing there may keep waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::Lost;
use crate::link::Handler;

/// Frames that may wait for [`Receiver::next`]; with more the link is given up, as a reply must not be lost.
const FRAMES_WAITING: usize = 64;

/// Where frames go.
pub(super) struct Inbox(Arc<Mutex<Course>>);

enum Course {
    /// To whoever asks for the next one.
    Queue(mpsc::Sender<Bytes>),
    /// To whoever handles each.
    Handler(Handler),
    /// Nowhere.
    Over,
}

/// Receives frames.
pub(crate) struct Receiver {
    frames: mpsc::Receiver<Bytes>,
    course: Arc<Mutex<Course>>,
    lost: watch::Receiver<Option<Lost>>,
}

/// Both ends of what comes over a link that is lost as `lost` tells.
pub(super) fn inbox(lost: watch::Receiver<Option<Lost>>) -> (Inbox, Receiver) {
    let (queue, frames) = mpsc::channel(FRAMES_WAITING);
    let course = Arc::new(Mutex::new(Course::Queue(queue)));
    (Inbox(Arc::clone(&course)), Receiver { frames, course, lost })
}

fn lock(course: &Mutex<Course>) -> MutexGuard<'_, Course> {
    course.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    /// A frame came. One at a time, in the order in which they come.
    ///
    /// # Errors
    /// The link has to be given up.
    pub(super) fn take(&self, frame: Bytes) -> Result<(), Lost> {
        match &*lock(&self.0) {
            Course::Queue(queue) => {
                queue.try_send(frame).map_err(|_| Lost::Network(format!("{FRAMES_WAITING} frames wait to be read")))
            }
            Course::Handler(handler) => handler(&frame),
            Course::Over => Ok(()),
        }
    }
}

impl Receiver {
    /// The next whole frame; those that came before the link's end come before its reason.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Lost> {
        tokio::select! {
            biased;
            Some(frame) = self.frames.recv() => Ok(frame),
            lost = lost(&mut self.lost) => Err(lost),
        }
    }

    /// Hands every frame to `handler` until the link's end. None comes after the future was dropped.
    pub(crate) async fn run(&mut self, handler: Handler) -> Lost {
        let _until = Until(&self.course);
        {
            let mut course = lock(&self.course);
            while let Ok(frame) = self.frames.try_recv() {
                if let Err(lost) = handler(&frame) {
                    return lost;
                }
            }
            *course = Course::Handler(handler);
        }
        lost(&mut self.lost).await
    }
}

async fn lost(lost: &mut watch::Receiver<Option<Lost>>) -> Lost {
    // An error means that the session is closed.
    lost.wait_for(Option::is_some).await.ok().and_then(|lost| lost.clone()).unwrap_or(Lost::Here)
}

/// Frames are handled until this is dropped.
struct Until<'a>(&'a Mutex<Course>);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        *lock(self.0) = Course::Over;
    }
}
