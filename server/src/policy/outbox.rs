//! What waits to be sent to one client, whatever carries it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

use crate::websocket::{Close, Frame};

/// Frames from which on no observation is taken for a client until it has read some: other replies have room still.
const BEHIND: usize = 16;

/// Frames and bytes from which on a client is not listened to until it has read some.
const ENOUGH_FRAMES: usize = 32;
const ENOUGH_BYTES: usize = 64 << 20;

/// Frames waiting for one client. One that falls this far behind is disconnected: it has stopped reading.
const MAX_FRAMES: usize = 256;

/// What is to be sent next.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A whole frame.
    Frame(Frame),
    /// The end: nothing follows.
    Close(Close),
}

/// Sends a frame at once, on the thread that brings it, which must not have to wait; otherwise gives it back.
pub(crate) type Shortcut = Box<dyn Fn(Frame) -> Result<(), Frame> + Send + Sync>;

/// The frames that wait for one client, in order; a bounded number of them.
#[derive(Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    news: Notify,
    space: Notify,
    /// For frames that have nothing before them.
    shortcut: OnceLock<Shortcut>,
    /// Called when the client is behind no more.
    refill: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Frames among them that share what others want to write to.
    pictures: usize,
    close: Option<Close>,
    /// The last frame that was taken is being sent, as far as is known.
    sending: bool,
    /// One takes the shortcut: until it is through, none is taken.
    passing: bool,
}

impl Waiting {
    fn add(&mut self, frame: Frame, first: bool) {
        self.bytes += frame.len();
        self.pictures += usize::from(frame.is_shared());
        if first { self.frames.push_front(frame) } else { self.frames.push_back(frame) }
    }

    fn clear(&mut self) {
        self.frames.clear();
        (self.bytes, self.pictures) = (0, 0);
    }

    fn is_behind(&self) -> bool {
        self.pictures > 0 || self.frames.len() >= BEHIND
    }

    fn has_room(&self) -> bool {
        self.close.is_some() || (self.frames.len() < ENOUGH_FRAMES && self.bytes < ENOUGH_BYTES)
    }
}

impl Outbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frames that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting().frames.len()
    }

    /// What is called, on the thread that sends, when the client [is behind](Self::is_behind) no more. Can be set once.
    pub(super) fn on_refill(&self, refill: Box<dyn Fn() + Send + Sync>) {
        let _ = self.refill.set(refill);
    }

    /// Whether a picture waits behind the frame that is being sent, or much else. Whoever puts more pictures there keeps
    /// memory from the cameras.
    pub(crate) fn is_behind(&self) -> bool {
        self.waiting().is_behind()
    }

    /// Whether nothing more is taken.
    pub(super) fn is_closed(&self) -> bool {
        self.waiting().close.is_some()
    }

    /// How frames that have nothing before them may be sent without the thread that sends. Can be set once.
    #[cfg(feature = "zenoh")]
    pub(crate) fn set_shortcut(&self, shortcut: Shortcut) {
        let _ = self.shortcut.set(shortcut);
    }

    /// Queues a frame. One too many ends the connection; after its end nothing more is taken.
    pub(crate) fn push(&self, mut frame: Frame) {
        let mut waiting = self.waiting();
        if waiting.close.is_some() {
            return;
        }
        let free = !waiting.sending && !waiting.passing && waiting.frames.is_empty();
        if let Some(shortcut) = self.shortcut.get().filter(|_| free) {
            waiting.passing = true;
            drop(waiting);
            let passed = shortcut(frame);
            waiting = self.waiting();
            waiting.passing = false;
            match passed {
                Ok(()) if waiting.frames.is_empty() && waiting.close.is_none() => return,
                Ok(()) => return self.news.notify_one(),
                Err(back) => frame = back,
            }
            // What came meanwhile is behind it.
            waiting.add(frame, true);
            drop(waiting);
            return self.news.notify_one();
        }
        if waiting.frames.len() == MAX_FRAMES {
            waiting.close = Some(Close::new(1008, "the client reads too slowly"));
            waiting.clear();
        } else {
            waiting.add(frame, false);
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// Ends the connection after what waits already. The first reason counts.
    pub(crate) fn close(&self, close: Close) {
        self.waiting().close.get_or_insert(close);
        self.news.notify_one();
        self.space.notify_one();
    }

    /// Ends the connection at once: what waits is not sent any more.
    pub(crate) fn hang_up(&self, close: Close) {
        let mut waiting = self.waiting();
        waiting.clear();
        drop(waiting);
        self.close(close);
    }

    /// What is to be sent next, as soon as there is something. For one reader; safe to cancel.
    pub(crate) async fn next(&self) -> Outgoing {
        loop {
            if let Some(next) = self.pop() {
                return next;
            }
            self.news.notified().await;
        }
    }

    fn pop(&self) -> Option<Outgoing> {
        let mut waiting = self.waiting();
        waiting.sending = false;
        if waiting.passing {
            return None;
        }
        let (had_room, was_behind) = (waiting.has_room(), waiting.is_behind());
        let Some(frame) = waiting.frames.pop_front() else {
            return waiting.close.clone().map(Outgoing::Close);
        };
        waiting.sending = true;
        waiting.bytes -= frame.len();
        waiting.pictures -= usize::from(frame.is_shared());
        let refill = was_behind && !waiting.is_behind();
        let has_room = waiting.has_room();
        drop(waiting);
        if has_room && !had_room {
            self.space.notify_one();
        }
        if let Some(refill) = self.refill.get().filter(|_| refill) {
            refill();
        }
        Some(Outgoing::Frame(frame))
    }

    /// Whether nothing more is taken, or nothing more should be: the client has not read most of what it asked for.
    pub(crate) fn is_full_or_closed(&self) -> bool {
        let waiting = self.waiting();
        waiting.close.is_some() || !waiting.has_room()
    }

    /// Whether the client may be listened to: it has read most of what it asked for.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting().has_room()
    }

    /// Says that something else the client asked for was answered.
    pub(crate) fn free(&self) {
        self.space.notify_one();
    }

    /// Resolves when [`Self::has_room`] may have become true. For one waiter.
    pub(crate) async fn freed(&self) {
        self.space.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Buf, Bytes};

    use super::*;

    fn frame(parts: &[&'static [u8]]) -> Frame {
        let mut frame = Frame::default();
        parts.iter().for_each(|part| frame.add(Bytes::from_static(part)));
        frame
    }

    #[tokio::test]
    async fn frames_come_in_order_and_the_end_after_them() {
        let outbox = Outbox::default();
        outbox.push(Frame::new("1"));
        outbox.push(Frame::new("2"));
        outbox.close(Close::new(1011, "first"));
        outbox.close(Close::new(1001, "second"));
        outbox.push(Frame::new("too late"));
        for expected in ["1", "2"] {
            let Outgoing::Frame(mut frame) = outbox.next().await else { panic!() };
            assert_eq!(frame.copy_to_bytes(1), expected);
        }
        let Outgoing::Close(close) = outbox.next().await else { panic!() };
        assert_eq!(close, Close::new(1011, "first"));
    }

    #[cfg(feature = "zenoh")]
    #[tokio::test]
    async fn frames_with_nothing_before_them_take_the_shortcut_and_none_overtakes() {
        let outbox = std::sync::Arc::new(Outbox::default());
        let passed = std::sync::Arc::new(Mutex::new(Vec::new()));
        let (passing, through) = (std::sync::Arc::downgrade(&outbox), std::sync::Arc::clone(&passed));
        outbox.set_shortcut(Box::new(move |frame| match frame.len() {
            // Another comes meanwhile.
            1 => {
                passing.upgrade().unwrap().push(Frame::new("22"));
                Err(frame)
            }
            4.. => {
                through.lock().unwrap().push(frame.len());
                Ok(())
            }
            _ => Err(frame),
        }));
        outbox.push(Frame::new("4444"));
        assert_eq!((outbox.len(), passed.lock().unwrap().len()), (0, 1));
        outbox.push(Frame::new("1"));
        outbox.push(Frame::new("55555"));
        let mut lengths = Vec::new();
        while outbox.len() > 0 {
            let Outgoing::Frame(frame) = outbox.next().await else { panic!() };
            lengths.push(frame.len());
        }
        assert_eq!(lengths, [1, 2, 5], "what is not first waits");
        outbox.push(Frame::new("666666"));
        assert_eq!(outbox.len(), 1, "the last one may still be on its way");
        assert!(matches!(outbox.next().await, Outgoing::Frame(_)));
        outbox.close(Close::new(1001, "the end"));
        assert!(matches!(outbox.next().await, Outgoing::Close(_)));
        outbox.push(Frame::new("too late"));
        assert_eq!(*passed.lock().unwrap(), [4]);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_first_not_heard_and_then_given_up() {
        let outbox = Outbox::default();
        for n in 0..MAX_FRAMES {
            assert_eq!(outbox.has_room(), n < ENOUGH_FRAMES, "{n}");
            outbox.push(Frame::new("x"));
        }
        outbox.push(Frame::new("one too many"));
        assert!(matches!(outbox.next().await, Outgoing::Close(Close { code: 1008, .. })));
    }

    /// Whoever waits for room in a full outbox goes on once a frame was read.
    async fn reading_one_of(frames: impl IntoIterator<Item = Frame>) {
        let outbox = std::sync::Arc::new(Outbox::default());
        frames.into_iter().for_each(|frame| outbox.push(frame));
        let waiter = tokio::spawn({
            let outbox = std::sync::Arc::clone(&outbox);
            async move { outbox.freed().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        assert!(matches!(outbox.next().await, Outgoing::Frame(_)));
        waiter.await.unwrap();
    }

    #[tokio::test]
    async fn large_frames_fill_it_sooner_and_reading_makes_room() {
        reading_one_of([Frame::new(vec![0; ENOUGH_BYTES])]).await;
    }

    #[tokio::test]
    async fn many_small_frames_fill_it_too_and_reading_one_makes_room() {
        reading_one_of((0..ENOUGH_FRAMES).map(|_| Frame::new("x"))).await;
    }

    #[tokio::test]
    async fn observations_are_taken_again_when_no_picture_and_little_else_waits() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let refills = std::sync::Arc::new(AtomicUsize::new(0));
        let outbox = Outbox::default();
        let counter = std::sync::Arc::clone(&refills);
        outbox.on_refill(Box::new(move || _ = counter.fetch_add(1, Ordering::Relaxed)));
        outbox.push(frame(&[b"header", b"picture"]));
        assert!(outbox.is_behind());
        outbox.next().await;
        assert!(!outbox.is_behind());
        assert_eq!(refills.load(Ordering::Relaxed), 1);
        (0..BEHIND).for_each(|_| outbox.push(Frame::new("x")));
        assert!(outbox.is_behind() && outbox.has_room());
        outbox.next().await;
        outbox.next().await;
        assert_eq!((outbox.is_behind(), refills.load(Ordering::Relaxed)), (false, 2));
    }
}
