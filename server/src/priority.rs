//! Priority for the few threads between the operator and the robot.
//!
//! Encoders, cameras, a browser or a perception stack may keep every core busy. An ordinary thread then waits a few
//! milliseconds before it runs; one with real-time priority runs at once. Only threads whose work is small and bounded
//! may ask for that, and no kind of them has more than one, so that the other cores stay everybody's; others may be
//! urgent for as long as they hold a lock for which these wait. Encoders have more to do; they are only preferred.

#![expect(unsafe_code, reason = "sched_setscheduler and setpriority of a thread have no safe wrapper")]

use std::io;

use tokio::runtime::{Builder, Runtime};

/// What a thread of real-time priority does. A later one runs before an earlier one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Urgent {
    /// Sends encoded pictures.
    Media = 1,
    /// Takes poses from the network.
    Poses = 2,
    /// Moves the robot.
    Control = 3,
}

/// A thread of this niceness gets most of a core that it shares with one ordinary thread.
const PREFERRED: libc::c_int = -10;

/// Gives the calling thread, and none that it starts, real-time priority. Where the system does not allow that, it
/// stays an ordinary thread.
pub(crate) fn become_urgent(work: Urgent) {
    if let Err(error) = real_time(work as i32) {
        tracing::debug!(?work, %error, "no real-time priority");
    }
}

/// Lets the calling thread, and those that it starts, run before ordinary ones, which still get a share of the core: for
/// work that an operator waits for and that is too much for real-time priority. Where the system does not allow that, it
/// stays an ordinary thread.
pub(crate) fn become_preferred() {
    // SAFETY: no memory is involved; 0 is the calling thread.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, PREFERRED) } != 0 {
        tracing::debug!(error = %io::Error::last_os_error(), "no preference");
    }
}

/// A runtime of one worker, which becomes urgent; threads that block for it stay ordinary ones.
pub(crate) fn urgent_runtime(thread_name: &str, work: Urgent) -> io::Result<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(thread_name).enable_all().build()?;
    runtime.spawn(async move { become_urgent(work) });
    Ok(runtime)
}

/// Does something short with at least this priority, and is the thread from before afterwards. For threads that take a
/// lock for which more urgent ones wait.
pub(crate) fn while_urgent<T>(work: Urgent, act: impl FnOnce() -> T) -> T {
    let raised = match Scheduling::current() {
        Ok(before) if before.priority < work as i32 => real_time(work as i32).is_ok().then_some(before),
        // Urgent enough.
        _ => None,
    };
    // Also if it panics.
    let _raised = raised.map(Raised);
    act()
}

/// How a thread is scheduled. The policy has the flag of before, which only the privileged can take away.
#[derive(Clone, Copy, Debug)]
struct Scheduling {
    policy: libc::c_int,
    priority: i32,
}

impl Scheduling {
    /// That of the calling thread.
    fn current() -> io::Result<Self> {
        let mut param = libc::sched_param { sched_priority: 0 };
        // SAFETY: the kernel writes the parameter during the call; 0 is the calling thread.
        let (policy, got) = unsafe { (libc::sched_getscheduler(0), libc::sched_getparam(0, &raw mut param)) };
        if policy < 0 || got != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { policy: policy | libc::SCHED_RESET_ON_FORK, priority: param.sched_priority })
    }
}

/// Makes the thread that drops it what it was before.
struct Raised(Scheduling);

impl Drop for Raised {
    fn drop(&mut self) {
        if let Err(error) = schedule(self.0.policy, self.0.priority) {
            tracing::error!(%error, "a thread keeps its real-time priority");
        }
    }
}

fn real_time(priority: i32) -> io::Result<()> {
    schedule(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, priority)
}

fn schedule(policy: libc::c_int, priority: i32) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: priority };
    // SAFETY: the kernel reads the parameter during the call; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const param) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Policy and priority of the calling thread.
    fn scheduling() -> (i32, i32) {
        let Scheduling { policy, priority } = Scheduling::current().unwrap();
        (policy & !libc::SCHED_RESET_ON_FORK, priority)
    }

    #[test]
    fn a_preferred_thread_comes_before_ordinary_ones_where_allowed() {
        // SAFETY: no memory is involved; 0 is the calling thread.
        let niceness = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = niceness();
        let (own, allowed) = thread::spawn(move || {
            become_preferred();
            // SAFETY: as above; asking for what it has already.
            (niceness(), unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, PREFERRED) } == 0)
        })
        .join()
        .unwrap();
        assert_eq!(own, if allowed { PREFERRED } else { before });
        assert_eq!(niceness(), before, "the thread that started it is as before");
    }

    #[test]
    fn a_thread_is_urgent_for_as_long_as_it_does_something_short_even_if_that_fails() {
        thread::spawn(|| {
            let ordinary = scheduling();
            let within = while_urgent(Urgent::Poses, scheduling);
            assert_eq!(scheduling(), ordinary);
            let failed = std::panic::catch_unwind(|| while_urgent(Urgent::Poses, || panic!("on purpose")));
            assert!(failed.is_err());
            assert_eq!(scheduling(), ordinary);
            let allowed = real_time(Urgent::Poses as i32).is_ok();
            assert_eq!(within, if allowed { (libc::SCHED_FIFO, 2) } else { ordinary });
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_thread_that_is_urgent_anyhow_stays_so() {
        thread::spawn(|| {
            become_urgent(Urgent::Media);
            let before = scheduling();
            let within = while_urgent(Urgent::Poses, scheduling);
            assert_eq!(scheduling(), before);
            become_urgent(Urgent::Control);
            let most = scheduling();
            assert_eq!(while_urgent(Urgent::Poses, scheduling), most, "it is not made less urgent");
            assert_eq!(scheduling(), most);
            let allowed = real_time(Urgent::Control as i32).is_ok();
            assert_eq!(within, if allowed { (libc::SCHED_FIFO, 2) } else { before });
        })
        .join()
        .unwrap();
    }

    #[test]
    fn an_urgent_thread_is_real_time_where_allowed_and_its_children_are_not() {
        thread::spawn(|| {
            let allowed = real_time(Urgent::Control as i32).is_ok();
            let expected = if allowed { (libc::SCHED_FIFO, 3) } else { (libc::SCHED_OTHER, 0) };
            assert_eq!(scheduling(), expected);
            let child = thread::spawn(scheduling).join().unwrap();
            assert_eq!(child, (libc::SCHED_OTHER, 0));
        })
        .join()
        .unwrap();
    }
}
