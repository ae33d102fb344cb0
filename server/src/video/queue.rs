//! The frames that wait for one viewer.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::EncodedFrame;

/// How many frames wait at most: a quarter of a second, enough to bridge the set-up of a connection.
const CAPACITY: usize = 8;

/// What a viewer finds in its queue.
pub(super) enum Next {
    Frame(EncodedFrame),
    /// Nothing yet.
    Empty,
    /// Nothing before the next keyframe: the viewer is new, or frames were dropped.
    NeedsKeyframe,
    /// The feed has ended.
    Ended,
}

/// Frames of one viewer between the encoder and the connection. When it is full, everything is dropped up to the next
/// keyframe; a keyframe makes the frames before it superfluous. So whatever comes out can be decoded in order.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    ready: Notify,
}

struct Inner {
    frames: VecDeque<EncodedFrame>,
    needs_keyframe: bool,
    ended: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        let inner = Inner { frames: VecDeque::with_capacity(CAPACITY), needs_keyframe: true, ended: false };
        Self { inner: Mutex::new(inner), ready: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame. Never blocks for longer than a viewer takes to fetch one.
    pub(super) fn push(&self, frame: &EncodedFrame) {
        let mut inner = self.lock();
        if frame.keyframe {
            inner.frames.clear();
            inner.needs_keyframe = false;
        } else if inner.frames.len() == CAPACITY {
            inner.frames.clear();
            inner.needs_keyframe = true;
            // Wakes the viewer, so that it asks for a keyframe.
            self.ready.notify_one();
        }
        if !inner.needs_keyframe {
            inner.frames.push_back(frame.clone());
            self.ready.notify_one();
        }
    }

    /// Drops everything up to the next keyframe.
    pub(super) fn skip(&self) {
        let mut inner = self.lock();
        inner.frames.clear();
        inner.needs_keyframe = true;
    }

    /// No frames will follow; those that wait can still be fetched.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.ready.notify_one();
    }

    /// Takes the next frame out.
    pub(super) fn take(&self) -> Next {
        let mut inner = self.lock();
        match inner.frames.pop_front() {
            Some(frame) => Next::Frame(frame),
            None if inner.ended => Next::Ended,
            None if inner.needs_keyframe => Next::NeedsKeyframe,
            None => Next::Empty,
        }
    }

    /// Waits until [`Queue::take`] may have something new to say. For one waiting viewer; safe to cancel.
    pub(super) async fn changed(&self) {
        self.ready.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use waldo_protocol::time::MonoTime;

    use super::*;

    fn frame(number: u64, keyframe: bool) -> EncodedFrame {
        let time = MonoTime::from_nanos(number);
        EncodedFrame { data: Bytes::new(), keyframe, captured: time, media_time: time }
    }

    fn taken(queue: &Queue) -> Vec<u64> {
        std::iter::from_fn(|| match queue.take() {
            Next::Frame(frame) => Some(frame.captured.as_nanos()),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn a_new_viewer_starts_with_a_keyframe() {
        let queue = Queue::new();
        queue.push(&frame(1, false));
        assert!(matches!(queue.take(), Next::NeedsKeyframe));
        queue.push(&frame(2, true));
        queue.push(&frame(3, false));
        assert_eq!(taken(&queue), [2, 3]);
        assert!(matches!(queue.take(), Next::Empty));
    }

    #[test]
    fn a_viewer_that_lags_skips_to_the_next_keyframe() {
        let queue = Queue::new();
        queue.push(&frame(0, true));
        (1..=CAPACITY as u64).for_each(|n| queue.push(&frame(n, false)));
        assert!(matches!(queue.take(), Next::NeedsKeyframe));
        queue.push(&frame(20, false));
        assert_eq!(taken(&queue), [0; 0]);
        queue.push(&frame(21, true));
        queue.push(&frame(22, false));
        assert_eq!(taken(&queue), [21, 22]);
    }

    #[test]
    fn a_viewer_that_skips_starts_again_with_a_keyframe() {
        let queue = Queue::new();
        queue.push(&frame(0, true));
        queue.skip();
        queue.push(&frame(1, false));
        assert!(matches!(queue.take(), Next::NeedsKeyframe));
        queue.push(&frame(2, true));
        assert_eq!(taken(&queue), [2]);
    }

    #[test]
    fn a_keyframe_replaces_what_waits() {
        let queue = Queue::new();
        queue.push(&frame(1, true));
        queue.push(&frame(2, false));
        queue.push(&frame(3, true));
        assert_eq!(taken(&queue), [3]);
    }

    #[test]
    fn the_end_comes_after_the_last_frame() {
        let queue = Queue::new();
        queue.push(&frame(1, true));
        queue.end();
        assert_eq!(taken(&queue), [1]);
        assert!(matches!(queue.take(), Next::Ended));
    }
}
