//! The way of records to the thread that writes them. Whoever has one never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;

/// Records that wait for the disk at most.
pub const MAX_QUEUED: usize = 16_384;
/// Their bytes at most.
pub const MAX_QUEUED_BYTES: usize = 64 << 20;
/// The largest record, in bytes.
pub const MAX_RECORD: usize = 1 << 20;

/// One message to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The stamp of the message, Unix seconds; `None` if it has none, and the arrival counts.
    pub stamp: Option<f64>,
    /// When it arrived or was made, Unix seconds.
    pub at: f64,
    /// Where the frame of the message stood in the world: x, y, z in metres and a quaternion x, y, z, w. `None` if
    /// nobody knows.
    pub pose: Option<[f64; 7]>,
    /// The message as it was sent.
    pub data: Bytes,
}

impl Record {
    /// A message without a stamp, made at `at`, Unix seconds.
    pub fn new(at: f64, data: impl Into<Bytes>) -> Self {
        Self { stamp: None, at, pose: None, data: data.into() }
    }

    /// The same with a stamp, Unix seconds.
    #[must_use]
    pub fn stamped(self, stamp: f64) -> Self {
        Self { stamp: Some(stamp), ..self }
    }
}

/// Takes records. When the disk does not keep up, those that find [`MAX_QUEUED`] before them are left out and counted.
#[derive(Clone, Debug)]
pub struct Sink {
    records: SyncSender<(usize, Record)>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    names: Vec<String>,
    bytes: AtomicUsize,
    lost: AtomicU64,
    closed: AtomicBool,
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct Records {
    records: Receiver<(usize, Record)>,
    shared: Arc<Shared>,
}

pub(super) fn channel(names: Vec<String>) -> (Sink, Records) {
    let (sender, receiver) = sync_channel(MAX_QUEUED);
    let shared = Shared { names, bytes: 0.into(), lost: 0.into(), closed: false.into() };
    let shared = Arc::new(shared);
    (Sink { records: sender, shared: Arc::clone(&shared) }, Records { records: receiver, shared })
}

impl Sink {
    /// Gives a record to a stream of the recording. False if it will not be written: the recording is over or has no such
    /// stream, the record is larger than [`MAX_RECORD`], or too much waits already, which counts as lost.
    pub fn push(&self, stream: &str, record: Record) -> bool {
        let Some(index) = self.shared.names.iter().position(|name| name == stream) else { return false };
        if self.shared.closed.load(Ordering::Acquire) {
            return false;
        }
        let size = record.data.len();
        let fits = size <= MAX_RECORD
            && self.shared.bytes.fetch_add(size, Ordering::AcqRel) + size <= MAX_QUEUED_BYTES
            && self.records.try_send((index, record)).is_ok();
        if !fits {
            if size <= MAX_RECORD {
                self.shared.bytes.fetch_sub(size, Ordering::AcqRel);
            }
            self.lose(1);
        }
        fits
    }

    /// Counts records that were lost on their way here.
    pub fn lose(&self, count: u64) {
        self.shared.lost.fetch_add(count, Ordering::Relaxed);
    }

    /// Records that were left out so far because too much waited.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
    }
}

/// What the writer finds.
pub(super) enum Next {
    Record(usize, Record),
    Nothing,
    /// The recording is over and everything was taken out.
    End,
}

impl Records {
    /// The next record, waiting at most `limit` for it.
    pub(super) fn next(&self, limit: std::time::Duration) -> Next {
        // Read before the queue: what was pushed before the end is found after it.
        let closed = self.shared.closed.load(Ordering::Acquire);
        match self.records.recv_timeout(limit) {
            Ok((index, record)) => {
                self.shared.bytes.fetch_sub(record.data.len(), Ordering::AcqRel);
                Next::Record(index, record)
            }
            Err(_) if closed => Next::End,
            Err(_) => Next::Nothing,
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_full_queue_loses_the_newest_and_makes_nobody_wait() {
        let (sink, records) = channel(vec!["a".to_owned()]);
        for _ in 0..MAX_QUEUED {
            assert!(sink.push("a", Record::new(1.0, vec![0; 8])));
        }
        assert!(!sink.push("a", Record::new(2.0, vec![0; 8])));
        assert_eq!((sink.lost(), records.lost()), (1, 1));
        assert!(matches!(records.next(Duration::ZERO), Next::Record(0, record) if record.at == 1.0));
        assert!(sink.push("a", Record::new(2.0, vec![0; 8])));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let (sink, records) = channel(vec!["a".to_owned()]);
        assert!(!sink.push("a", Record::new(0.0, vec![0; MAX_RECORD + 1])));
        let most = MAX_QUEUED_BYTES / MAX_RECORD;
        for _ in 0..most {
            assert!(sink.push("a", Record::new(0.0, vec![0; MAX_RECORD])));
        }
        assert!(!sink.push("a", Record::new(0.0, vec![0; 1])));
        records.next(Duration::ZERO);
        assert!(sink.push("a", Record::new(0.0, vec![0; 1])));
        assert_eq!(sink.lost(), 2);
    }

    #[test]
    fn after_the_end_nothing_is_taken_and_what_was_is_found() {
        let (sink, records) = channel(vec!["a".to_owned()]);
        assert!(!sink.push("b", Record::new(0.0, Vec::new())), "no such stream");
        sink.push("a", Record::new(0.0, Vec::new()));
        sink.close();
        assert!(!sink.push("a", Record::new(0.0, Vec::new())));
        assert!(matches!(records.next(Duration::ZERO), Next::Record(..)));
        assert!(matches!(records.next(Duration::ZERO), Next::End));
        assert_eq!(sink.lost(), 0);
    }
}
