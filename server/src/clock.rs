//! The one place that reads clocks.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use waldo_protocol::time::MonoTime;

/// CLOCK_MONOTONIC now.
pub fn now() -> MonoTime {
    let t = clock_gettime(ClockId::Monotonic);
    // The kernel's monotonic clock is never negative.
    MonoTime::from_nanos(t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs())
}

/// Unix time of a monotonic time, from the present offset between both clocks.
pub fn unix_time(at: MonoTime) -> Duration {
    let unix = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let now = now();
    unix.saturating_sub(now.since(at)) + at.since(now)
}
