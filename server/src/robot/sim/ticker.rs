//! A thread that does one thing again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use waldo_protocol::time::MonoTime;

use crate::clock;
use crate::robot::RobotError;

/// The thread. Ends when dropped.
pub(super) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Calls `tick` with the time once every `period`. Ticks that were missed are left out, not caught up.
    pub(super) fn start(
        name: &'static str,
        period: Duration,
        mut tick: impl FnMut(MonoTime) + Send + 'static,
    ) -> Result<Self, RobotError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || {
            let mut next = clock::now();
            while !stopped.load(Ordering::Relaxed) {
                let now = clock::now();
                if now < next {
                    thread::park_timeout(next.since(now));
                    continue;
                }
                tick(now);
                next = (next + period).max(clock::now());
            }
        };
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(run)
            .map_err(|e| RobotError(format!("the thread {name} did not start: {e}")))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in there was reported when it happened.
            let _ = thread.join();
        }
    }
}
