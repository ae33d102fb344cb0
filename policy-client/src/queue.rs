//! Actions that wait to be dispatched.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use waldo_protocol::policy::{ChunkMode, ChunkQueue, ChunkRefused, Queued};

use crate::Error;

/// An action on its way, with its stamps.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
    pub(crate) stamps: Vec<(String, f64)>,
    /// When the policy gave it away.
    pub(crate) put: Instant,
}

/// Actions that wait: those of `put_action` for the next tick of the dispatch, rows of chunks for their due times
/// if the server does not keep them itself. Both are bounded; what does not fit is refused.
pub(crate) struct Queue {
    capacity: usize,
    waiting: Mutex<Waiting>,
    /// A row may be due earlier than all before.
    pub(crate) rows: Notify,
}

struct Waiting {
    /// Why nothing is taken: between two connections it would become too old.
    closed: Option<Error>,
    actions: VecDeque<Ready>,
    rows: ChunkQueue<Ready>,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        let waiting = Waiting { closed: None, actions: VecDeque::new(), rows: ChunkQueue::new(capacity) };
        Self { capacity, waiting: Mutex::new(waiting), rows: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, ready: Ready) -> Result<(), Error> {
        let mut waiting = self.lock();
        if let Some(why) = &waiting.closed {
            return Err(why.clone());
        }
        if waiting.actions.len() >= self.capacity {
            return Err(Error::QueueFull { capacity: self.capacity });
        }
        waiting.actions.push_back(ready);
        Ok(())
    }

    /// The next action, unless the dispatch was stopped.
    pub(crate) fn pop(&self, stop: &CancellationToken) -> Option<Ready> {
        let mut waiting = self.lock();
        if stop.is_cancelled() { None } else { waiting.actions.pop_front() }
    }

    /// Stops a dispatch: it takes nothing any more.
    pub(crate) fn stop(&self, stop: &CancellationToken) {
        let _waiting = self.lock();
        stop.cancel();
    }

    /// Rows with due times, seconds of the client's clock.
    pub(crate) fn put_rows(
        &self,
        now: f64,
        late_limit: f64,
        mode: ChunkMode,
        rows: impl IntoIterator<Item = (f64, Ready)>,
    ) -> Result<Queued, Error> {
        let mut waiting = self.lock();
        if let Some(why) = &waiting.closed {
            return Err(why.clone());
        }
        let queued = waiting.rows.push(now, late_limit, mode, rows).map_err(|refused| match refused {
            ChunkRefused::Full { capacity, .. } => Error::QueueFull { capacity },
            ChunkRefused::Order => crate::ActionError::Due("due times must be in the order of time").into(),
        });
        drop(waiting);
        self.rows.notify_one();
        queued
    }

    /// The earliest row, if it is due; otherwise when it will be.
    pub(crate) fn pop_due(&self, now: f64) -> Result<(f64, Ready), Option<f64>> {
        let mut waiting = self.lock();
        waiting.rows.pop_due(now).ok_or_else(|| waiting.rows.next_due())
    }

    /// Takes what is put from now on.
    pub(crate) fn open(&self) {
        self.lock().closed = None;
    }

    /// Forgets everything, says how much, and takes nothing more.
    pub(crate) fn close(&self, why: Error) -> usize {
        self.lock().closed = Some(why);
        // Nothing comes in between.
        self.clear()
    }

    /// Forgets everything; says how much.
    pub(crate) fn clear(&self) -> usize {
        let mut waiting = self.lock();
        let actions = waiting.actions.len();
        waiting.actions.clear();
        actions + waiting.rows.clear()
    }

    pub(crate) fn len(&self) -> usize {
        let waiting = self.lock();
        waiting.actions.len() + waiting.rows.len()
    }
}
