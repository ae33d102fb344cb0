//! What the service counts, for clients that ask and for `/metrics`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use waldo_protocol::policy::{AppMap, Value};

use crate::clock;
use crate::metrics::Metrics;
use crate::sensors::SensorHub;

/// Requests of one type of which the latency is remembered.
const REMEMBERED: usize = 512;

/// Counters of one service.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    counts: Mutex<PolicyCounts>,
    latencies: Mutex<BTreeMap<&'static str, Latencies>>,
    metrics: Metrics,
}

/// What a policy service has counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyCounts {
    /// Messages by type.
    pub received: BTreeMap<&'static str, u64>,
    /// Messages and actions that did not count, by reason, such as `malformed`, `non_finite`, `stale`, `seq`, `not_holder`.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Actions handed to the robot.
    pub applied: u64,
    /// How often the robot was told to hold because a policy fell silent.
    pub holds: u64,
    /// Bytes of frames to clients.
    pub sent_bytes: u64,
    /// Frames to clients on Zenoh that went through memory which a client on this computer shares.
    pub shared: u64,
}

impl Stats {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, PolicyCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters as they are now.
    pub(crate) fn counts(&self) -> PolicyCounts {
        self.lock().clone()
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn received(&self, kind: &'static str) {
        *self.lock().received.entry(kind).or_default() += 1;
        self.metrics.policy_message(kind);
    }

    pub(super) fn dropped(&self, reason: &'static str) {
        *self.lock().dropped.entry(reason).or_default() += 1;
        self.metrics.refusal("policy", reason);
    }

    pub(super) fn applied(&self) {
        self.lock().applied += 1;
    }

    /// Rows of chunks came too late.
    pub(super) fn late(&self, rows: u64) {
        if rows > 0 {
            *self.lock().dropped.entry("late").or_default() += rows;
        }
    }

    /// A request was answered after so long.
    pub(super) fn took(&self, kind: &'static str, time: Duration) {
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        latencies.entry(kind).or_default().add(time);
    }

    pub(super) fn held(&self) {
        self.lock().holds += 1;
    }

    #[cfg(feature = "zenoh")]
    pub(super) fn shared(&self) {
        self.lock().shared += 1;
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.lock().sent_bytes += bytes as u64;
    }
}

/// How long the newest requests of one type took.
#[derive(Debug, Default)]
struct Latencies(VecDeque<Duration>);

impl Latencies {
    fn add(&mut self, time: Duration) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(time);
    }

    /// The median and the longest of all but the slowest hundredth, milliseconds.
    fn percentiles(&self) -> [f64; 2] {
        let mut times: Vec<_> = self.0.iter().collect();
        times.sort_unstable();
        let at = |hundredths: usize| {
            let index = (times.len() * hundredths).div_ceil(100).saturating_sub(1);
            times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        [at(50), at(99)]
    }
}

/// What a service tells a client that asks for statistics.
///
/// `requests`: type → number; `latency_ms`: type → `p50`, `p99` from the request to its reply; `dropped`: reason → number;
/// `applied`, `holds`, `sent_bytes`; `queues`: what waits; `cameras`: name → `fps`, `n`, `age_ms`, `dropped`; `holder`.
pub(super) fn report(stats: &Stats, hub: &SensorHub, queues: &[(&str, usize)], holder: Option<String>) -> AppMap {
    let counts = stats.counts();
    let numbers = |counts: &BTreeMap<&'static str, u64>| map(counts.iter().map(|(name, n)| (*name, Value::from(*n))));
    let latencies = stats.latencies.lock().unwrap_or_else(PoisonError::into_inner);
    let latencies = latencies.iter().map(|(kind, latencies)| {
        let [p50, p99] = latencies.percentiles();
        (*kind, map([("p50", Value::from(p50)), ("p99", Value::from(p99))]))
    });
    let latencies = map(latencies);
    let now = clock::now();
    let cameras = hub.every_camera();
    let cameras = map(cameras.iter().map(|camera| {
        let frame = camera.snapshot();
        let age = frame.stamp.map_or(Value::Nil, |stamp| Value::from(now.since(stamp).as_secs_f64() * 1e3));
        let known = [
            ("fps", Value::from(camera.fps())),
            ("n", Value::from(frame.n)),
            ("age_ms", age),
            ("dropped", Value::from(camera.dropped())),
        ];
        (camera.name(), map(known))
    }));
    let mut data = AppMap::default();
    for (key, value) in [
        ("requests", numbers(&counts.received)),
        ("latency_ms", latencies),
        ("dropped", numbers(&counts.dropped)),
        ("applied", counts.applied.into()),
        ("holds", counts.holds.into()),
        ("sent_bytes", counts.sent_bytes.into()),
        ("queues", map(queues.iter().map(|(name, n)| (*name, Value::from(*n as u64))))),
        ("cameras", cameras),
        ("holder", holder.map_or(Value::Nil, Value::from)),
    ] {
        // Keys are text, and nothing is nested deep.
        let _ = data.insert(key, value);
    }
    data
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_newest_requests() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentiles(), [0.0, 0.0]);
        (0..1000).for_each(|_| latencies.add(Duration::from_secs(9)));
        for millis in 1..=REMEMBERED as u64 {
            latencies.add(Duration::from_millis(millis));
        }
        assert_eq!(latencies.percentiles(), [256.0, 507.0]);
    }
}
