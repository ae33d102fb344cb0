//! What waits to be sent to one client, whatever carries it.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::{Buf, Bytes};
use tokio::sync::Notify;

/// Frames from which on no observation is taken for a client until it has read some: other replies have room still.
const BEHIND: usize = 16;

/// Frames and bytes from which on a client is not listened to until it has read some.
const ENOUGH_FRAMES: usize = 32;
const ENOUGH_BYTES: usize = 64 << 20;

/// Frames waiting for one client. One that falls this far behind is disconnected: it has stopped reading.
const MAX_FRAMES: usize = 256;

/// Longest reason that fits into a close frame, bytes.
const MAX_REASON: usize = 123;

/// A frame of the wire in parts that follow each other: what is long stays where it is and is shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    parts: VecDeque<Bytes>,
    len: usize,
}

impl Frame {
    /// A frame that is one piece.
    pub(crate) fn new(bytes: impl Into<Bytes>) -> Self {
        let mut frame = Self::default();
        frame.add(bytes.into());
        frame
    }

    /// Appends a part.
    pub(crate) fn add(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.len += part.len();
            self.parts.push_back(part);
        }
    }

    /// Puts something before it.
    pub(crate) fn prepend(&mut self, part: Bytes) {
        self.len += part.len();
        self.parts.push_front(part);
    }

    /// Whether it has parts beside its header.
    fn is_shared(&self) -> bool {
        self.parts.len() > 1
    }

    /// Length, bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Its parts in order.
    #[cfg_attr(not(feature = "zenoh"), expect(dead_code, reason = "for Zenoh"))]
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Bytes> {
        self.parts.iter()
    }

    /// Its parts in order.
    #[allow(dead_code, reason = "for transports that do not write slices")]
    pub(crate) fn into_parts(self) -> impl Iterator<Item = Bytes> {
        self.parts.into_iter()
    }
}

/// Reading moves on over the parts; none is copied.
impl Buf for Frame {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = slices.iter_mut().zip(&self.parts);
        parts.map(|(slice, part)| *slice = IoSlice::new(part)).count()
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.len, "beyond the frame's end");
        self.len -= count;
        let mut left = count;
        while let Some(part) = self.parts.front_mut() {
            if left < part.len() {
                part.advance(left);
                return;
            }
            left -= part.len();
            self.parts.pop_front();
        }
    }
}

/// Why the server ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    /// Code of the WebSocket protocol.
    pub(crate) code: u16,
    /// For people; at most 123 bytes.
    pub(crate) reason: String,
}

impl Close {
    pub(crate) fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: reason[..reason.floor_char_boundary(MAX_REASON)].to_owned() }
    }
}

/// What is to be sent next.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A whole frame.
    Frame(Frame),
    /// The end: nothing follows.
    Close(Close),
}

/// The frames that wait for one client, in order; a bounded number of them.
#[derive(Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    news: Notify,
    space: Notify,
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
}

impl Waiting {
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

    /// Queues a frame. One too many ends the connection; after its end nothing more is taken.
    pub(crate) fn push(&self, frame: Frame) {
        let mut waiting = self.waiting();
        if waiting.close.is_some() {
            return;
        }
        if waiting.frames.len() == MAX_FRAMES {
            waiting.close = Some(Close::new(1008, "the client reads too slowly"));
            waiting.clear();
        } else {
            waiting.bytes += frame.len();
            waiting.pictures += usize::from(frame.is_shared());
            waiting.frames.push_back(frame);
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
        let (had_room, was_behind) = (waiting.has_room(), waiting.is_behind());
        let Some(frame) = waiting.frames.pop_front() else {
            return waiting.close.clone().map(Outgoing::Close);
        };
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
    use super::*;

    fn frame(parts: &[&'static [u8]]) -> Frame {
        let mut frame = Frame::default();
        parts.iter().for_each(|part| frame.add(Bytes::from_static(part)));
        frame
    }

    #[test]
    fn a_frame_is_read_over_the_borders_of_its_parts() {
        let mut read = frame(&[b"ab", b"", b"cde", b"f"]);
        read.prepend(Bytes::from_static(b"-"));
        assert_eq!(read.len(), 7);
        let mut slices = [IoSlice::new(&[]); 3];
        assert_eq!(read.chunks_vectored(&mut slices), 3);
        assert_eq!(slices.iter().map(|slice| slice.len()).collect::<Vec<_>>(), [1, 2, 3]);
        read.advance(2);
        assert_eq!((read.remaining(), read.chunk()), (5, &b"b"[..]));
        read.advance(2);
        assert_eq!(read.copy_to_bytes(3), "def");
        assert_eq!((read.remaining(), read.chunk()), (0, &[][..]));
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

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let close = Close::new(1011, &"é".repeat(100));
        assert_eq!(close.reason.len(), 122);
    }
}
