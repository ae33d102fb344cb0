//! Actions that wait for the time at which they are due.

use std::collections::VecDeque;

use super::chunk::ChunkMode;

/// Rows of chunks in the order of their due times, at most a given number.
///
/// Times are seconds of the server's clock, as arguments.
#[derive(Clone, Debug)]
pub struct ChunkQueue<T> {
    /// Ascending; of rows due at the same time the one that came first is first.
    rows: VecDeque<(f64, T)>,
    capacity: usize,
}

/// What became of the rows of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Rows that came too late.
    pub dropped_late: usize,
    /// Rows that wait now, those of earlier chunks included.
    pub queued: usize,
}

/// Why a chunk was refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkRefused {
    /// More rows than the queue has room for.
    #[error("{rows} actions do not fit beside {waiting} that wait; there is room for {capacity}")]
    Full {
        /// Rows of the chunk that are not late.
        rows: usize,
        /// Rows that would wait beside them.
        waiting: usize,
        /// Most rows that may wait.
        capacity: usize,
    },
    /// Due times that descend, or are not finite.
    #[error("due times must be finite and in the order of time")]
    Order,
}

impl<T> ChunkQueue<T> {
    /// A queue in which at most `capacity` rows may wait.
    pub fn new(capacity: usize) -> Self {
        Self { rows: VecDeque::new(), capacity }
    }

    /// Takes the rows of a chunk that are not due before `now - late_limit`.
    ///
    /// # Errors
    /// Nothing changes if the rows are not in the order of time or do not fit.
    pub fn push(
        &mut self,
        now: f64,
        late_limit: f64,
        mode: ChunkMode,
        rows: impl IntoIterator<Item = (f64, T)>,
    ) -> Result<Queued, ChunkRefused> {
        let mut dropped_late = 0;
        let mut accepted = Vec::new();
        let mut last = f64::NEG_INFINITY;
        for (due, row) in rows {
            if !due.is_finite() || due < last {
                return Err(ChunkRefused::Order);
            }
            last = due;
            if due < now - late_limit {
                dropped_late += 1;
            } else if accepted.len() == self.capacity {
                return Err(ChunkRefused::Full { rows: accepted.len() + 1, waiting: 0, capacity: self.capacity });
            } else {
                accepted.push((due, row));
            }
        }
        let kept = match (mode, accepted.first()) {
            (ChunkMode::Replace, Some((first, _))) => self.before(*first),
            _ => self.rows.len(),
        };
        if kept + accepted.len() > self.capacity {
            return Err(ChunkRefused::Full { rows: accepted.len(), waiting: kept, capacity: self.capacity });
        }
        self.rows.truncate(kept);
        for (due, row) in accepted {
            let place = self.rows.partition_point(|(waiting, _)| *waiting <= due);
            self.rows.insert(place, (due, row));
        }
        Ok(Queued { dropped_late, queued: self.rows.len() })
    }

    /// The earliest row, if it is due.
    pub fn pop_due(&mut self, now: f64) -> Option<(f64, T)> {
        self.rows.pop_front_if(|(due, _)| *due <= now)
    }

    /// When the earliest row is due.
    pub fn next_due(&self) -> Option<f64> {
        self.rows.front().map(|(due, _)| *due)
    }

    /// Forgets every row, as a reset does; says how many.
    pub fn clear(&mut self) -> usize {
        let waiting = self.rows.len();
        self.rows.clear();
        waiting
    }

    /// Rows that wait.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row waits.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Number of rows due before `time`.
    fn before(&self, time: f64) -> usize {
        self.rows.partition_point(|(due, _)| *due < time)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn rows(due: &[f64], name: char) -> Vec<(f64, String)> {
        due.iter().enumerate().map(|(i, due)| (*due, format!("{name}{i}"))).collect()
    }

    fn waiting(queue: &ChunkQueue<String>) -> Vec<&str> {
        queue.rows.iter().map(|(_, row)| row.as_str()).collect()
    }

    #[test]
    fn rows_come_out_when_they_are_due_and_not_before() {
        let mut queue = ChunkQueue::new(8);
        queue.push(0.0, 0.0, ChunkMode::Append, rows(&[1.0, 2.0, 2.0], 'a')).unwrap();
        assert_eq!((queue.pop_due(0.99), queue.next_due()), (None, Some(1.0)));
        assert_eq!(queue.pop_due(2.0), Some((1.0, "a0".to_owned())));
        assert_eq!(queue.pop_due(2.0), Some((2.0, "a1".to_owned())));
        assert_eq!(queue.pop_due(2.0), Some((2.0, "a2".to_owned())));
        assert_eq!(queue.pop_due(9.0), None);
    }

    #[test]
    fn replacing_removes_what_is_due_from_the_first_accepted_row_on() {
        let mut queue = ChunkQueue::new(8);
        queue.push(0.0, 0.0, ChunkMode::Append, rows(&[1.0, 2.0, 3.0], 'a')).unwrap();
        // The first row is late, so the second says from where on to replace.
        let queued = queue.push(1.8, 0.0, ChunkMode::Replace, rows(&[1.5, 2.0, 2.5], 'b')).unwrap();
        assert_eq!(queued, Queued { dropped_late: 1, queued: 3 });
        assert_eq!(waiting(&queue), ["a0", "b1", "b2"]);
    }

    #[test]
    fn appended_rows_stand_between_others_by_their_due_times() {
        let mut queue = ChunkQueue::new(8);
        queue.push(0.0, 0.0, ChunkMode::Append, rows(&[1.0, 3.0], 'a')).unwrap();
        queue.push(0.0, 0.0, ChunkMode::Append, rows(&[1.0, 2.0], 'b')).unwrap();
        assert_eq!(waiting(&queue), ["a0", "b0", "b1", "a1"]);
    }

    #[test]
    fn a_chunk_that_is_late_altogether_replaces_nothing() {
        let mut queue = ChunkQueue::new(8);
        queue.push(0.0, 0.0, ChunkMode::Append, rows(&[1.0, 3.0], 'a')).unwrap();
        let queued = queue.push(5.0, 0.0, ChunkMode::Replace, rows(&[1.0, 2.0], 'b')).unwrap();
        assert_eq!(queued, Queued { dropped_late: 2, queued: 2 });
        assert_eq!(waiting(&queue), ["a0", "a1"]);
    }

    #[test]
    fn rows_within_the_late_limit_still_count() {
        let mut queue = ChunkQueue::new(8);
        let queued = queue.push(1.0, 0.1, ChunkMode::Append, rows(&[0.85, 0.95, 1.05], 'a')).unwrap();
        assert_eq!(queued, Queued { dropped_late: 1, queued: 2 });
    }

    #[test]
    fn a_chunk_that_does_not_fit_changes_nothing() {
        let mut queue = ChunkQueue::new(3);
        queue.push(0.0, 0.0, ChunkMode::Append, rows(&[1.0, 2.0], 'a')).unwrap();
        let full = ChunkRefused::Full { rows: 2, waiting: 2, capacity: 3 };
        assert_eq!(queue.push(0.0, 0.0, ChunkMode::Append, rows(&[3.0, 4.0], 'b')), Err(full));
        assert_eq!(queue.push(0.0, 0.0, ChunkMode::Replace, rows(&[3.0, 2.5], 'b')), Err(ChunkRefused::Order));
        assert_eq!(queue.push(0.0, 0.0, ChunkMode::Replace, rows(&[f64::NAN], 'b')), Err(ChunkRefused::Order));
        assert_eq!(waiting(&queue), ["a0", "a1"]);
        // Replacing makes room first.
        queue.push(0.0, 0.0, ChunkMode::Replace, rows(&[1.5, 1.6], 'b')).unwrap();
        assert_eq!(waiting(&queue), ["a0", "b0", "b1"]);
        assert_eq!((queue.clear(), queue.len()), (3, 0));
    }
}
