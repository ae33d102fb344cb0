//! The sending half.
//!
//! While Zenoh has no room it makes whoever sends wait, for up to five seconds. So a thread of the link's own sends, and
//! a caller does only where there is room for sure: then a request has one thread less on its way.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use zenoh::Wait;
use zenoh::pubsub::Publisher;

use crate::Lost;
use crate::link::Lane;

/// Most bytes that wait for a robot that takes them slowly.
const MAX_WAITING: usize = 1 << 20;

/// Bytes that surely fit into one batch of Zenoh.
const BATCH: usize = 32 << 10;

/// Sends frames; the link ends when it is dropped.
pub(crate) struct Sender {
    requests: Publisher<'static>,
    outgoing: Arc<Outgoing>,
    /// Batches that Zenoh has for sure as long as it has sent what was given to it before.
    room: u64,
    lost: watch::Receiver<Option<Lost>>,
}

/// What waits for the link's thread.
#[derive(Default)]
pub(super) struct Outgoing {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Default)]
struct Waiting {
    actions: VecDeque<Vec<u8>>,
    others: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The thread is giving something to Zenoh.
    giving: bool,
    /// Batches of requests and others so far, and how many of them are known to have been sent.
    batches: u64,
    sent: u64,
    end: Option<Lost>,
}

impl Sender {
    pub(super) fn new(
        requests: Publisher<'static>,
        outgoing: Arc<Outgoing>,
        room: u64,
        lost: watch::Receiver<Option<Lost>>,
    ) -> Self {
        Self { requests, outgoing, room, lost }
    }

    /// Sends a whole frame, and never waits. Gives its place among those that are no actions, 0 for an action.
    pub(crate) fn send(&self, frame: Vec<u8>, lane: Lane) -> Result<u64, Lost> {
        if let Some(lost) = &*self.lost.borrow() {
            return Err(lost.clone());
        }
        let mut waiting = self.outgoing.lock();
        if let Some(end) = &waiting.end {
            return Err(end.clone());
        }
        if waiting.bytes > 0 && waiting.bytes + frame.len() > MAX_WAITING {
            let end = Lost::Stalled { waiting: waiting.bytes };
            waiting.end = Some(end.clone());
            self.outgoing.news.notify_one();
            return Err(end);
        }
        let now = lane == Lane::Request
            && frame.len() <= BATCH
            && !waiting.giving
            && waiting.bytes == 0
            && waiting.batches - waiting.sent < self.room;
        let place = match lane {
            Lane::Action => 0,
            Lane::Request | Lane::Other => {
                waiting.batches += frame.len().div_ceil(BATCH) as u64;
                waiting.batches
            }
        };
        if now {
            // Under the lock, so that nothing overtakes it.
            self.requests.put(frame).wait().map_err(|error| Lost::Network(error.to_string()))?;
            return Ok(place);
        }
        waiting.bytes += frame.len();
        if lane == Lane::Action { &mut waiting.actions } else { &mut waiting.others }.push_back(frame);
        drop(waiting);
        self.outgoing.news.notify_one();
        Ok(place)
    }

    /// The request with that place was answered, so everything before it was sent.
    pub(crate) fn answered(&self, place: u64) {
        let mut waiting = self.outgoing.lock();
        waiting.sent = waiting.sent.max(place);
    }

    /// Ends the link; what waits is sent first.
    pub(crate) fn close(&self) {
        self.outgoing.lock().end.get_or_insert(Lost::Here);
        self.outgoing.news.notify_one();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.close();
    }
}

impl Outgoing {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives to Zenoh what waits, until the link's end: actions first.
    ///
    /// # Errors
    /// Zenoh takes nothing more.
    pub(super) fn send(&self, actions: &Publisher<'_>, others: &Publisher<'_>) -> Result<(), Lost> {
        while let Some((frame, lane)) = self.next() {
            let publisher = if lane == Lane::Action { actions } else { others };
            if let Err(error) = publisher.put(frame).wait() {
                let lost = Lost::Network(error.to_string());
                self.lock().end.get_or_insert_with(|| lost.clone());
                return Err(lost);
            }
        }
        Ok(())
    }

    fn next(&self) -> Option<(Vec<u8>, Lane)> {
        let mut waiting = self.lock();
        waiting.giving = false;
        loop {
            let action = waiting.actions.pop_front().map(|frame| (frame, Lane::Action));
            if let Some((frame, lane)) = action.or_else(|| Some((waiting.others.pop_front()?, Lane::Other))) {
                waiting.bytes -= frame.len();
                waiting.giving = true;
                return Some((frame, lane));
            }
            if waiting.end.is_some() {
                return None;
            }
            waiting = self.news.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
