//! How much video an operator's network takes, judged by what their page says of the picture once a second (extension X5).
//!
//! The robot itself only learns how its own way to the SFU fares.

use std::collections::VecDeque;
use std::time::Duration;

use super::video_stats::VideoStats;
use crate::time::MonoTime;

/// No cap is lower, kbit/s.
pub const LOWEST_CAP_KBPS: f64 = 300.0;
/// No cap is higher, kbit/s; one that is there again is none.
pub const HIGHEST_CAP_KBPS: f64 = 6000.0;

/// More lost packets than this are too many, percent.
const LOSS: f64 = 5.0;
/// A jitter buffer that grows by more than this, ms, within [`WINDOW`], does so because too much is sent.
const GROWTH: f64 = 50.0;
const WINDOW: Duration = Duration::from_secs(2);
/// What is left of the rate after a cut, and how it grows back after so long without a complaint.
const CUT: f64 = 0.8;
const GROW: f64 = 1.05;
const CLEAN: Duration = Duration::from_secs(3);
/// What was sent before a cut is complained of for a while after it.
const SETTLE: Duration = Duration::from_secs(2);

/// The cap for one operator.
#[derive(Clone, Debug)]
pub struct VideoCap {
    kbps: f64,
    reason: &'static str,
    buffers: VecDeque<(MonoTime, f64)>,
    /// Since when nothing was complained of, or the rate grew last.
    clean: Option<MonoTime>,
    cut: Option<MonoTime>,
}

impl Default for VideoCap {
    fn default() -> Self {
        Self { kbps: HIGHEST_CAP_KBPS, reason: "", buffers: VecDeque::new(), clean: None, cut: None }
    }
}

impl VideoCap {
    /// What the operator's page says now.
    pub fn observe(&mut self, now: MonoTime, stats: &VideoStats) {
        self.buffers.retain(|(at, _)| now.since(*at) <= WINDOW);
        let least = self.buffers.iter().map(|(_, ms)| *ms).fold(f64::INFINITY, f64::min);
        // The window holds a few seconds of a message a second; more of them say nothing new.
        if self.buffers.len() < 64 && stats.jitter_buffer_ms.is_finite() {
            self.buffers.push_back((now, stats.jitter_buffer_ms));
        }
        let lost = (stats.loss_pct > LOSS).then_some("packets are lost on the way to the operator");
        let slow = (stats.jitter_buffer_ms - least > GROWTH).then_some("the way to the operator is too slow");
        let complaint = lost.or(slow);
        let Some(reason) = complaint else {
            let since = *self.clean.get_or_insert(now);
            if now.since(since) >= CLEAN {
                self.clean = Some(now);
                self.kbps = (self.kbps * GROW).min(HIGHEST_CAP_KBPS);
                if self.kbps >= HIGHEST_CAP_KBPS {
                    self.reason = "";
                }
            }
            return;
        };
        self.clean = None;
        if self.cut.is_some_and(|cut| now.since(cut) < SETTLE) {
            return;
        }
        // Of what came through, where that is much less than what might have been sent.
        let came = if stats.kbps.is_finite() { stats.kbps.clamp(self.kbps / 2.0, self.kbps) } else { self.kbps };
        (self.kbps, self.reason) = ((came * CUT).max(LOWEST_CAP_KBPS), reason);
        self.cut = Some(now);
        self.buffers.clear();
    }

    /// The most to send, kbit/s; none if that is not the operator's network's to say.
    pub fn kbps(&self) -> Option<f64> {
        (self.kbps < HIGHEST_CAP_KBPS).then_some(self.kbps)
    }

    /// Why, in words; empty while there is no cap.
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}
