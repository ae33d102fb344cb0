//! A client's estimate of the server's clock, by pings.
//!
//! Pure: times are milliseconds of the client's monotonic clock, as arguments.

use super::{Ping, Pong};
use crate::exchange::Exchanges;

/// Time between two pings, milliseconds.
pub const PING_EVERY_MS: f64 = 1000.0;

/// With this many pings unanswered no more are sent.
pub const MAX_UNANSWERED: usize = 3;

/// Exchanges that are remembered; the one with the smallest round trip counts.
pub const REMEMBERED: usize = 10;

/// What one exchange told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockEstimate {
    /// What the server's clock is ahead of the client's, milliseconds. Wrong by half the round trip at most.
    pub offset_ms: f64,
    /// The time on the way, both ways together, milliseconds.
    pub round_trip_ms: f64,
}

/// Pings of one socket.
#[derive(Clone, Debug, Default)]
pub struct ClockSync {
    sent: i64,
    sent_at: Option<f64>,
    /// Not answered yet, oldest first; at most [`MAX_UNANSWERED`].
    waiting: Vec<Ping>,
    exchanges: Exchanges<REMEMBERED>,
}

impl ClockSync {
    /// The ping to send now, if one is due. To be called a few times a second while the server answers pings.
    pub fn poll(&mut self, now: f64) -> Option<Ping> {
        let due = self.sent_at.is_none_or(|at| now - at >= PING_EVERY_MS);
        if !due || self.waiting.len() >= MAX_UNANSWERED {
            return None;
        }
        self.sent += 1;
        self.sent_at = Some(now);
        let ping = Ping { n: self.sent, t: now };
        self.waiting.push(ping);
        Some(ping)
    }

    /// A pong came. One that answers no ping that still waits changes nothing.
    pub fn on_pong(&mut self, pong: &Pong, now: f64) {
        let asked = self.waiting.iter().position(|ping| (ping.n, ping.t) == (pong.n, pong.t));
        let Some(asked) = asked else { return };
        self.waiting.drain(..=asked);
        self.exchanges.add(pong.exchange(now));
    }

    /// The best of the remembered exchanges.
    pub fn estimate(&self) -> Option<ClockEstimate> {
        self.exchanges.best().map(|best| ClockEstimate { offset_ms: best.offset, round_trip_ms: best.round_trip })
    }
}
