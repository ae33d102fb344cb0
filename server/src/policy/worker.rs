//! The thread that calls the robot.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use tokio::runtime::Handle;
use waldo_protocol::policy::RequestId;

use super::robot::{ActionData, Observation, Peer, PolicyError, PolicyRobot, StepResult};
use super::service::wait_for_cameras;
use super::session::{Answer, Client, Ticket};
use crate::sensors::SensorHub;

/// Actions that wait for the robot. With one more, the oldest gives way: the newest are worth most.
const MAX_ACTIONS: usize = 64;

/// Anything else that waits; it comes from resets, steps and connections, which are bounded themselves.
const MAX_JOBS: usize = 4096;

/// Something to do for the robot's thread.
pub(super) enum Job {
    /// Starts an episode.
    Reset(Ticket),
    /// Executes an action.
    Apply(ActionData, Arc<Client>, Option<RequestId>),
    /// Executes an action and says what it led to.
    Step(ActionData, Ticket),
    /// Tells that the policy is silent.
    Stale,
    /// Tells that a client came.
    Connected(Peer),
    /// Tells that a client went.
    Disconnected(Peer),
}

impl Job {
    /// The number of the client that asked for it.
    fn asker(&self) -> Option<u64> {
        match self {
            Self::Apply(action, ..) => Some(action.from.number()),
            Self::Reset(ticket) | Self::Step(_, ticket) => Some(ticket.client().number()),
            Self::Stale | Self::Connected(_) | Self::Disconnected(_) => None,
        }
    }
}

/// The jobs of the robot's thread, in order.
#[derive(Default)]
pub(super) struct Worker {
    queue: Mutex<Queue>,
    news: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    actions: usize,
    /// Nobody is to be served any more; the robot is told of what happens to the end.
    closing: bool,
    /// Nothing follows.
    stopped: bool,
}

/// A job that found no place.
pub(super) enum Displaced {
    /// An older action gave way.
    Action(Arc<Client>, Option<RequestId>),
    /// The job itself: there are too many, or the service ends. A ticket in it tells its client once it is dropped.
    #[expect(dead_code, reason = "it is there to be dropped where no lock is held")]
    Job(Box<Job>),
}

impl Worker {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Jobs that wait.
    pub(super) fn len(&self) -> usize {
        self.queue().jobs.len()
    }

    /// Queues a job; never waits, and drops none, so that locks may be held.
    pub(super) fn push(&self, job: Job) -> Result<(), Displaced> {
        let mut queue = self.queue();
        if matches!(job, Job::Stale) {
            // Before everything that waits, and never too much: one is enough.
            if !matches!(queue.jobs.front(), Some(Job::Stale)) {
                queue.jobs.push_front(job);
            }
            drop(queue);
            self.news.notify_one();
            return Ok(());
        }
        if queue.stopped || (queue.closing && job.asker().is_some()) || queue.jobs.len() >= MAX_JOBS {
            return Err(Displaced::Job(Box::new(job)));
        }
        let mut displaced = None;
        if matches!(job, Job::Apply(..)) {
            queue.actions += 1;
            if queue.actions > MAX_ACTIONS {
                let oldest = queue.jobs.iter().position(|job| matches!(job, Job::Apply(..)));
                displaced = oldest.and_then(|at| queue.jobs.remove(at));
                queue.actions -= 1;
            }
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.news.notify_one();
        match displaced {
            Some(Job::Apply(_, client, id)) => Err(Displaced::Action(client, id)),
            _ => Ok(()),
        }
    }

    /// Takes back what that client asked for.
    pub(super) fn forget(&self, client: u64) -> Vec<Job> {
        self.take(|job| job.asker() == Some(client))
    }

    /// Takes back the actions of that client.
    pub(super) fn forget_actions(&self, client: u64) -> Vec<Job> {
        self.take(|job| matches!(job, Job::Apply(..)) && job.asker() == Some(client))
    }

    /// Takes back what clients asked for, and takes no more of it.
    pub(super) fn close(&self) -> Vec<Job> {
        self.queue().closing = true;
        self.take(|job| job.asker().is_some())
    }

    fn take(&self, which: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut queue = self.queue();
        let (taken, kept): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut queue.jobs).into_iter().partition(which);
        queue.actions = kept.iter().filter(|job| matches!(job, Job::Apply(..))).count();
        queue.jobs = kept;
        taken.into()
    }

    /// Ends the thread after what waits.
    pub(super) fn stop(&self) {
        self.queue().stopped = true;
        self.news.notify_one();
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                queue.actions -= usize::from(matches!(job, Job::Apply(..)));
                return Some(job);
            }
            if queue.stopped {
                return None;
            }
            queue = self.news.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Starts the thread.
    pub(super) fn start(
        self: &Arc<Self>,
        robot: Arc<dyn PolicyRobot>,
        hub: SensorHub,
        runtime: Handle,
    ) -> io::Result<()> {
        let worker = Arc::clone(self);
        thread::Builder::new().name("policy robot".to_owned()).spawn(move || {
            while let Some(job) = worker.next() {
                work(&*robot, &hub, &runtime, job);
            }
        })?;
        Ok(())
    }
}

fn work(robot: &dyn PolicyRobot, hub: &SensorHub, runtime: &Handle, job: Job) {
    match job {
        Job::Reset(ticket) => {
            wait_for_cameras(hub, runtime);
            let result = guarded(|| robot.reset());
            ticket.answer(result.map(|(observation, info)| Answer::Reset(observation, info)));
        }
        Job::Apply(action, client, id) => {
            if let Err(error) = guarded(|| robot.apply_action(&action)) {
                client.action_failed(id, error);
            }
        }
        Job::Step(action, ticket) => {
            wait_for_cameras(hub, runtime);
            ticket.answer(step(robot, hub, &action).map(Answer::Step));
        }
        Job::Stale => told(|| robot.on_stale()),
        Job::Connected(peer) => told(|| robot.on_connect(&peer)),
        Job::Disconnected(peer) => told(|| robot.on_disconnect(&peer)),
    }
}

fn step(robot: &dyn PolicyRobot, hub: &SensorHub, action: &ActionData) -> Result<StepResult, PolicyError> {
    let own = guarded(|| robot.step(action).transpose())?;
    match own {
        Some(result) => Ok(result),
        None => {
            guarded(|| robot.apply_action(action))?;
            Ok(Observation::from(hub.snapshot()).into())
        }
    }
}

fn told(call: impl FnOnce()) {
    let told = guarded(|| {
        call();
        Ok(())
    });
    if let Err(error) = told {
        tracing::error!("{error}");
    }
}

/// Calls code of the user; a panic in it is an error like any other.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, PolicyError>) -> Result<T, PolicyError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Err(PolicyError::app(format!("the robot's code panicked: {}", text.unwrap_or("no message"))))
    })
}
