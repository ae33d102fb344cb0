//! The newest observation.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::Observation;

/// How long a stream may be late before its newest observation counts as stale, at least.
const PATIENCE: Duration = Duration::from_millis(200);

/// The newest observation, and how new it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Latest {
    /// The observation.
    pub observation: Observation,
    /// Rises by one with every observation of this client, whatever brought it. A frozen stream shows as a version that
    /// stays.
    pub version: u64,
    /// Time since it was received.
    pub age: Duration,
    /// Whether it should not be relied on: the connection was lost since, or a stream is running and its last observation
    /// is older than two of its periods (at least 200 ms).
    pub stale: bool,
}

/// Slot of the newest observation.
#[derive(Debug)]
pub(crate) struct Slot {
    newest: watch::Sender<Newest>,
}

#[derive(Clone, Debug, Default)]
struct Newest {
    observation: Option<Observation>,
    version: u64,
    /// Period of the running stream.
    stream: Option<Duration>,
    lost: bool,
}

impl Default for Slot {
    fn default() -> Self {
        Self { newest: watch::Sender::new(Newest::default()) }
    }
}

impl Slot {
    pub(crate) fn put(&self, observation: Observation) {
        self.newest.send_modify(|newest| {
            newest.observation = Some(observation);
            newest.lost = false;
            newest.version += 1;
        });
    }

    /// A stream with that period starts, or none runs any more.
    pub(crate) fn set_stream(&self, period: Option<Duration>) {
        self.newest.send_if_modified(|newest| {
            newest.stream = period;
            false
        });
    }

    /// The connection is lost; what is there stays stale until something new comes.
    pub(crate) fn set_lost(&self) {
        self.newest.send_if_modified(|newest| {
            newest.lost = true;
            false
        });
    }

    /// The newest observation of this connection.
    pub(crate) fn current(&self) -> Option<Observation> {
        let newest = self.newest.borrow();
        newest.observation.clone().filter(|_| !newest.lost)
    }

    pub(crate) fn get(&self) -> Option<Latest> {
        self.newest.borrow().look(Instant::now())
    }

    /// Waits for a version above `version`.
    pub(crate) async fn newer_than(&self, version: u64) -> Option<Latest> {
        let mut watch = self.newest.subscribe();
        // The slot lives as long as this call, so there is an answer.
        let newest = watch.wait_for(|newest| newest.version > version).await.ok()?;
        newest.look(Instant::now())
    }
}

impl Newest {
    fn look(&self, now: Instant) -> Option<Latest> {
        let observation = self.observation.clone()?;
        let age = now.saturating_duration_since(observation.received());
        let late = self.stream.is_some_and(|period| age > PATIENCE.max(2 * period));
        Some(Latest { observation, version: self.version, age, stale: self.lost || late })
    }
}
