//! What a client counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::requests::Call;

/// Replies whose latencies are remembered, of each kind of call.
const REMEMBERED: usize = 512;

/// Observations from which the rate is measured.
const RATE_OVER: usize = 64;

/// What a client counted since it was made; lost connections included.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// One entry per kind of call that was made.
    pub calls: Vec<CallStats>,
    /// Bytes of frames received.
    pub bytes_in: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Bytes of frames sent.
    pub bytes_out: u64,
    /// Connections that came to be.
    pub connections: u64,
    /// Frames that could not be read.
    pub malformed: u64,
    /// Frames that answered nothing that was asked, or were of no known type.
    pub stray: u64,
    /// Observations received, whatever brought them.
    pub observations: u64,
    /// Observations per second, over the last 64 at most; 0 without two of them in the last two seconds.
    pub observation_hz: f64,
    /// Observations that the server says it left out of its stream.
    pub skipped: u64,
    /// Actions sent, rows of chunks included that this client dispatched.
    pub actions_sent: u64,
    /// Actions that were dropped because the connection was lost.
    pub actions_dropped_lost: u64,
    /// Actions that were dropped by a reset or on request.
    pub actions_cleared: u64,
    /// Actions that were dropped because they were older than [`Options::action_ttl`](crate::Options::action_ttl) or due
    /// too long ago.
    pub actions_dropped_old: u64,
    /// Actions that wait.
    pub queue_len: usize,
    /// Time on the way to the server and back as the exchange of clocks measured it, from servers that have it.
    pub clock_round_trip: Option<Duration>,
}

/// What was counted of one kind of call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallStats {
    /// The request's type on the wire.
    pub call: &'static str,
    /// Replies.
    pub replies: u64,
    /// Calls that failed, of whatever reason.
    pub failed: u64,
    /// Median time from request to reply, over the last 512.
    pub p50: Duration,
    /// The time that one in a hundred takes longer than.
    pub p99: Duration,
}

/// Counters of a client.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes_in: AtomicU64,
    pub(crate) frames_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) malformed: AtomicU64,
    pub(crate) stray: AtomicU64,
    pub(crate) observations: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) actions_sent: AtomicU64,
    pub(crate) actions_dropped_lost: AtomicU64,
    pub(crate) actions_cleared: AtomicU64,
    pub(crate) actions_dropped_old: AtomicU64,
    calls: Mutex<[Latencies; Call::ALL.len()]>,
    arrivals: Mutex<VecDeque<Instant>>,
}

#[derive(Debug, Default)]
struct Latencies {
    replies: u64,
    failed: u64,
    last: VecDeque<Duration>,
}

pub(crate) fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn on_observation(&self, at: Instant) {
        count(&self.observations, 1);
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        if arrivals.len() == RATE_OVER {
            arrivals.pop_front();
        }
        arrivals.push_back(at);
    }

    /// A call ended; with the time to its reply if it had one.
    pub(crate) fn on_call(&self, call: Call, latency: Option<Duration>) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        // On the wire they are the same.
        let call = if call == Call::Probe { Call::Observation } else { call };
        let of = &mut calls[call as usize];
        match latency {
            None => of.failed += 1,
            Some(latency) => {
                of.replies += 1;
                if of.last.len() == REMEMBERED {
                    of.last.pop_front();
                }
                of.last.push_back(latency);
            }
        }
    }

    /// Everything but what the counters do not know: the length of the queue and the clock.
    pub(crate) fn read(&self, now: Instant) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = Call::ALL.iter().zip(calls.iter()).filter(|(_, of)| of.replies + of.failed > 0);
        Stats {
            calls: calls.map(|(call, of)| of.read(*call)).collect(),
            bytes_in: read(&self.bytes_in),
            frames_in: read(&self.frames_in),
            bytes_out: read(&self.bytes_out),
            connections: read(&self.connections),
            malformed: read(&self.malformed),
            stray: read(&self.stray),
            observations: read(&self.observations),
            observation_hz: self.rate(now),
            skipped: read(&self.skipped),
            actions_sent: read(&self.actions_sent),
            actions_dropped_lost: read(&self.actions_dropped_lost),
            actions_cleared: read(&self.actions_cleared),
            actions_dropped_old: read(&self.actions_dropped_old),
            queue_len: 0,
            clock_round_trip: None,
        }
    }

    fn rate(&self, now: Instant) -> f64 {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |at: &&Instant| now.saturating_duration_since(**at) < Duration::from_secs(2);
        let mut recent = arrivals.iter().filter(recent);
        let (Some(first), Some(last)) = (recent.next(), recent.next_back()) else { return 0.0 };
        let intervals = u32::try_from(recent.count() + 1).unwrap_or(u32::MAX);
        let span = last.saturating_duration_since(*first).as_secs_f64();
        if span > 0.0 { f64::from(intervals) / span } else { 0.0 }
    }
}

impl Latencies {
    fn read(&self, call: Call) -> CallStats {
        let mut sorted: Vec<Duration> = self.last.iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
        let at = |percent| at(percent).copied().unwrap_or_default();
        CallStats { call: call.name(), replies: self.replies, failed: self.failed, p50: at(50), p99: at(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_latencies_are_of_what_was_counted() {
        let counters = Counters::default();
        let begin = Instant::now();
        assert_eq!(counters.read(begin).observation_hz, 0.0);
        for i in 0..100 {
            counters.on_observation(begin + i * Duration::from_millis(20));
            counters.on_call(Call::Reset, Some(Duration::from_millis(i.into())));
        }
        counters.on_call(Call::Reset, None);
        let stats = counters.read(begin + Duration::from_secs(2));
        assert!((stats.observation_hz - 50.0).abs() < 1e-9, "{}", stats.observation_hz);
        assert_eq!(stats.calls.len(), 1);
        let reset = &stats.calls[0];
        assert_eq!((reset.call, reset.replies, reset.failed), ("reset", 100, 1));
        assert_eq!((reset.p50, reset.p99), (Duration::from_millis(50), Duration::from_millis(99)));
        assert_eq!(counters.read(begin + Duration::from_secs(9)).observation_hz, 0.0);
    }
}
