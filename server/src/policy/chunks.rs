//! Actions that came all at once and are due one by one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use std::{io, thread};

use waldo_protocol::policy::{ActionChunk, ChunkMode, ChunkQueue, ChunkRefused, Queued};
use waldo_protocol::time::MonoTime;

use super::robot::{ActionData, Peer};
use super::service::Service;
use super::session::Client;
use crate::clock;

/// Rows of one chunk.
pub(super) const MAX_CHUNK: usize = 1024;

/// Rows that may wait.
const CAPACITY: usize = 4 * MAX_CHUNK;

/// The longest sleep; then the clock is looked at again.
const LONGEST: Duration = Duration::from_secs(60);

/// An action of a chunk.
pub(super) struct Row {
    pub(super) action: ActionData,
    pub(super) client: Arc<Client>,
}

/// The rows of all chunks, and the thread that hands each to the robot when it is due.
pub(super) struct Chunks {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    queue: ChunkQueue<Row>,
    ended: bool,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { state: Mutex::new(State { queue: ChunkQueue::new(CAPACITY), ended: false }), changed: Condvar::new() }
    }
}

impl Chunks {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the rows of a chunk.
    ///
    /// # Errors
    /// They do not fit, or are not in order; nothing changes then.
    pub(super) fn push(
        &self,
        now: MonoTime,
        late_limit_ms: f64,
        mode: ChunkMode,
        rows: Vec<(f64, Row)>,
    ) -> Result<Queued, ChunkRefused> {
        let queued = self.state().queue.push(now.as_secs_f64(), late_limit_ms / 1e3, mode, rows)?;
        self.changed.notify_one();
        Ok(queued)
    }

    /// Forgets every row, as a reset does; says how many.
    pub(super) fn clear(&self) -> usize {
        let mut state = self.state();
        let rows = std::mem::replace(&mut state.queue, ChunkQueue::new(CAPACITY));
        drop(state);
        rows.len()
    }

    /// Rows that wait.
    pub(super) fn len(&self) -> usize {
        self.state().queue.len()
    }

    /// When the next row is due, if one waits.
    pub(super) fn next_due(&self) -> Option<MonoTime> {
        let due = self.state().queue.next_due()?;
        // Times before the clock's origin are in the past all the same.
        Some(MonoTime::default() + Duration::try_from_secs_f64(due).unwrap_or_default())
    }

    /// Starts the thread. It ends with [`Self::end`], or with the service.
    pub(super) fn start(self: &Arc<Self>, service: Weak<Service>) -> io::Result<()> {
        let chunks = Arc::clone(self);
        thread::Builder::new().name("policy chunks".to_owned()).spawn(move || {
            while let Some(row) = chunks.next() {
                let Some(service) = service.upgrade() else { return };
                service.apply_row(row);
            }
        })?;
        Ok(())
    }

    /// Ends the thread.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.changed.notify_one();
    }

    /// Waits for the next row that is due; `None` at the end.
    fn next(&self) -> Option<Row> {
        let mut state = self.state();
        loop {
            if state.ended {
                return None;
            }
            let now = clock::now().as_secs_f64();
            if let Some((_, row)) = state.queue.pop_due(now) {
                return Some(row);
            }
            let wait = state
                .queue
                .next_due()
                .map_or(LONGEST, |due| Duration::try_from_secs_f64(due - now).unwrap_or_default().min(LONGEST));
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The rows of a chunk with their due times, seconds of the server's clock. `None` if a value is not finite and that is
/// not allowed.
pub(super) fn rows(
    frame: &[u8],
    chunk: &ActionChunk,
    client: &Arc<Client>,
    from: &Peer,
    arrived: MonoTime,
    non_finite: bool,
) -> Option<Vec<(f64, Row)>> {
    let view = chunk.array.view(frame)?;
    if !non_finite && !view.is_finite() {
        return None;
    }
    let (rows, columns) = chunk.rows();
    let values: Vec<f32> = view.f32s().collect();
    let row = |number: usize| {
        let values = values.get(number * columns..(number + 1) * columns)?.to_vec();
        let action = ActionData::new(vec![columns], values, from.clone(), arrived);
        let action = action.with_stamps(chunk.obs_timestamps.clone());
        Some((chunk.timing.due(number)?, Row { action, client: Arc::clone(client) }))
    };
    (0..rows).map(row).collect()
}
