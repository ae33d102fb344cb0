//! What the service counts, for clients that ask and for `/metrics`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::metrics::Metrics;

/// Counters of one service.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    counts: Mutex<PolicyCounts>,
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
}

impl Stats {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { counts: Mutex::default(), metrics }
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

    pub(super) fn held(&self) {
        self.lock().holds += 1;
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.lock().sent_bytes += bytes as u64;
    }
}
