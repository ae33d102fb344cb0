//! The operator's idea of the robot's clock. Times are Unix seconds.

use std::collections::VecDeque;

/// Period of pings until enough of them were answered.
const BURST_S: f64 = 0.4;
/// So many answers end the burst, good ones or not: a robot that opens its channels late still gets a clock.
const BURST: u32 = 5;
/// Period of pings afterwards. Also what the displayed round trip is as old as.
const PERIOD_S: f64 = 5.0;
/// Longer round trips say nothing.
const MAX_RTT_MS: f64 = 5000.0;
/// The best round trip ages by this much, so that a clock that runs away is followed.
const DECAY_MS_PER_S: f64 = 1.0;
/// Stamps lie at least this far in the past: original robots drop commands from the future.
const BIAS_S: f64 = 0.005;
const MAX_BIAS_S: f64 = 0.1;
/// Round trips from which their spread is told.
const RECENT: usize = 8;

/// What is told to the robot about a new best round trip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockEstimate {
    /// Round trip, milliseconds.
    pub rtt_ms: f64,
    /// Robot's clock minus the operator's, milliseconds.
    pub offset_ms: f64,
}

/// Pings the robot and keeps the offset of the quickest answer.
#[derive(Clone, Debug, Default)]
pub struct ClockSync {
    best: Option<Best>,
    answers: u32,
    pinged_at: Option<f64>,
    recent: VecDeque<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Best {
    rtt_ms: f64,
    offset: f64,
    at: f64,
}

impl ClockSync {
    /// The `client_ts` of a ping, if one is due.
    pub fn poll(&mut self, now: f64) -> Option<f64> {
        let period = if self.answers < BURST { BURST_S } else { PERIOD_S };
        // A clock that was set back must not silence the pings.
        let due = self.pinged_at.is_none_or(|at| now - at >= period || now < at);
        due.then(|| {
            self.pinged_at = Some(now);
            now
        })
    }

    /// Takes an answer that arrived at `received`; tells the robot's clock anew if it was a quick one.
    pub fn on_pong(&mut self, client_ts: f64, robot_ts: f64, received: f64) -> Option<ClockEstimate> {
        let rtt_ms = (received - client_ts) * 1000.0;
        if !robot_ts.is_finite() || !(0.0..=MAX_RTT_MS).contains(&rtt_ms) {
            return None;
        }
        self.answers = self.answers.saturating_add(1);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(rtt_ms);
        let limit = self.best.map(|best| best.rtt_ms + (received - best.at).max(0.0) * DECAY_MS_PER_S);
        if limit.is_some_and(|limit| rtt_ms >= limit) {
            return None;
        }
        let offset = f64::midpoint(robot_ts - client_ts, robot_ts - received);
        self.best = Some(Best { rtt_ms, offset, at: received });
        Some(ClockEstimate { rtt_ms, offset_ms: offset * 1000.0 })
    }

    /// Robot's clock minus the operator's, seconds; 0 until the first answer.
    pub fn offset(&self) -> f64 {
        self.best.map_or(0.0, |best| best.offset)
    }

    /// The newest round trip, milliseconds.
    pub fn rtt_ms(&self) -> Option<f64> {
        self.recent.back().copied()
    }

    /// The stamp of a command that leaves now: the robot's clock, a little in the past.
    pub fn stamp(&self, now: f64) -> f64 {
        let (least, most) =
            self.recent.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), rtt| (least.min(*rtt), most.max(*rtt)));
        let half_spread_s = (most - least).max(0.0) / 2000.0;
        now + self.offset() - half_spread_s.clamp(BIAS_S, MAX_BIAS_S)
    }
}
