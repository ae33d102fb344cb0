//! The control loop: 50 steps a second on a thread of its own, and one more when something must stop.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use waldo_protocol::time::MonoTime;

use super::service::Service;
use crate::clock;
use crate::priority::{Urgent, become_urgent};

/// The time from one step to the next.
const PERIOD: Duration = Duration::from_millis(20);

/// The longest time that one step moves anything for.
const LONGEST_STEP: Duration = Duration::from_millis(40);

/// The thread. Ends when dropped.
pub(super) struct Pace {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pace {
    /// Starts the steps of this service.
    pub(super) fn start(service: Arc<Service>) -> std::io::Result<Self> {
        let ended = Arc::<AtomicBool>::default();
        let end = Arc::clone(&ended);
        let thread = thread::Builder::new().name("hosted control".into()).spawn(move || {
            become_urgent(Urgent::Poses);
            run(&end, |dt| careful(&service, dt));
        })?;
        Ok(Self { ended, thread: Some(thread) })
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // What panicked there has been printed.
            let _ = thread.join();
        }
    }
}

/// One step; a defect in one does not end the loop, without which the robot would be there and never move.
fn careful(service: &Service, dt: f64) -> Option<MonoTime> {
    // What panicked has been printed; locks are taken on as they are.
    std::panic::catch_unwind(AssertUnwindSafe(|| service.step(dt))).unwrap_or_else(|_| {
        if service.log_due("step") {
            tracing::error!("a step of the control loop for operators far away failed: a defect of this program");
        }
        None
    })
}

/// Calls `step` 50 times a second with the time since the call before, and sooner when it asked for that.
fn run(ended: &AtomicBool, mut step: impl FnMut(f64) -> Option<MonoTime>) {
    let (mut due, mut last) = (clock::now(), clock::now());
    let mut deadline: Option<MonoTime> = None;
    while !ended.load(Ordering::Relaxed) {
        let now = clock::now();
        let next = deadline.map_or(due, |deadline| deadline.min(due));
        let wait = next.since(now);
        if !wait.is_zero() {
            thread::park_timeout(wait);
            continue;
        }
        deadline = step(now.since(last).min(LONGEST_STEP).as_secs_f64()).filter(|deadline| *deadline > now);
        last = now;
        if now >= due {
            due = after(due, clock::now());
        }
    }
}

/// When the step after this one is due; those that were missed are left out.
fn after(due: MonoTime, now: MonoTime) -> MonoTime {
    let missed = now.since(due).as_nanos() / PERIOD.as_nanos();
    due + PERIOD * u32::try_from(missed + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_do_not_drift_and_missed_ones_are_left_out() {
        let due = MonoTime::from_nanos(5_000_000_000);
        assert_eq!(after(due, due + Duration::from_millis(3)), due + PERIOD);
        assert_eq!(after(due, due + Duration::from_millis(45)), due + PERIOD * 3);
    }

    #[test]
    fn a_step_comes_when_something_must_stop() {
        let (ended, mut steps) = (AtomicBool::new(false), Vec::new());
        run(&ended, |dt| {
            steps.push((clock::now(), dt));
            ended.store(steps.len() == 5, Ordering::Relaxed);
            steps.last().map(|(at, _)| *at + Duration::from_millis(1))
        });
        // Five steps at their usual times take 80 ms.
        assert!(steps.iter().all(|(_, dt)| *dt <= LONGEST_STEP.as_secs_f64()));
        assert_eq!(steps.len(), 5);
    }
}
