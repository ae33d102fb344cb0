//! The newest value of something, for any number of readers and writers, of which no reader makes a writer wait.

use std::sync::{PoisonError, TryLockError};

use super::sync::{Arc, AtomicUsize, Mutex, MutexGuard, Ordering};

/// Places for the value. A writer needs one that is not the newest and that no reader is just looking into; a reader
/// looks for the time it takes to clone a reference.
const CELLS: usize = 4;

/// A slot with one immutable value, replaced as a whole. It is never empty.
///
/// Writers wait for one another, and `W` is what they share. A reader that loses its processor while it looks holds up
/// no writer, which takes another cell; only if [`CELLS`] − 1 readers lost theirs in the same instant, each in a cell of
/// its own, would the writer wait for the first of them.
#[derive(Debug)]
pub(super) struct Newest<T, W> {
    cells: [Mutex<Option<Arc<T>>>; CELLS],
    /// Index of the cell with the newest value.
    newest: AtomicUsize,
    writing: Mutex<W>,
}

/// The right to replace the value. Other writers wait; readers do not.
pub(super) struct Writing<'a, T, W> {
    slot: &'a Newest<T, W>,
    /// What the writers share.
    pub(super) state: MutexGuard<'a, W>,
}

impl<T, W> Newest<T, W> {
    /// A slot with a first value.
    pub(super) fn new(first: T, state: W) -> Self {
        let cells = [Some(Arc::new(first)), None, None, None].map(Mutex::new);
        Self { cells, newest: AtomicUsize::new(0), writing: Mutex::new(state) }
    }

    /// The newest value.
    pub(super) fn load(&self) -> Arc<T> {
        loop {
            let index = self.newest.load(Ordering::Acquire);
            let cell = self.cells[index].lock().unwrap_or_else(PoisonError::into_inner);
            // A cell that is the newest while it is locked holds the newest value; one that is not may be empty.
            if self.newest.load(Ordering::Acquire) == index
                && let Some(value) = &*cell
            {
                return Arc::clone(value);
            }
        }
    }

    /// A reader that stops while it looks into the cell of the newest value.
    #[cfg(test)]
    #[allow(dead_code, reason = "the model checker stops readers itself")]
    pub(super) fn stopped_reader(&self) -> MutexGuard<'_, Option<Arc<T>>> {
        self.cells[self.newest.load(Ordering::Acquire)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other writer writes.
    pub(super) fn writing(&self) -> Writing<'_, T, W> {
        Writing { slot: self, state: self.writing.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl<T, W> Writing<'_, T, W> {
    /// The newest value, which nobody replaces meanwhile.
    pub(super) fn current(&self) -> Arc<T> {
        self.slot.load()
    }

    /// Replaces the value. Readers that hold the former one keep it.
    pub(super) fn replace(&mut self, value: T) {
        let Newest { cells, newest, .. } = self.slot;
        let former = newest.load(Ordering::Relaxed);
        let others = (1..CELLS).map(|step| (former + step) % CELLS);
        let free = others.filter_map(|index| Some((index, try_lock(&cells[index])?))).next();
        let (index, mut cell) = free.unwrap_or_else(|| {
            let index = (former + 1) % CELLS;
            (index, cells[index].lock().unwrap_or_else(PoisonError::into_inner))
        });
        let overtaken = cell.replace(Arc::new(value));
        drop(cell);
        newest.store(index, Ordering::Release);
        // What is replaced is let go, so that its buffers can be used again. If a reader is just cloning it, that happens
        // when this cell is written the next time.
        let replaced = try_lock(&cells[former]).and_then(|mut cell| cell.take());
        drop((overtaken, replaced));
    }
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
