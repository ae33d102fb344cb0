//! Relating two clocks by questions and answers, in whatever unit both count.

use std::collections::VecDeque;

/// What one question and its answer tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exchange {
    /// What the answering clock is ahead of the asking one. Wrong by half the round trip at most.
    pub(crate) offset: f64,
    /// Time on the way, both ways together.
    pub(crate) round_trip: f64,
}

impl Exchange {
    /// A question sent at `t0` that came at `t1`, its answer sent at `t2` that came at `t3`; `t0` and `t3` of the asking
    /// clock.
    pub(crate) fn new(t0: f64, t1: f64, t2: f64, t3: f64) -> Self {
        Self { offset: f64::midpoint(t1 - t0, t2 - t3), round_trip: (t3 - t0) - (t2 - t1) }
    }
}

/// The last exchanges, at most `N`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchanges<const N: usize> {
    /// Newest last.
    remembered: VecDeque<Exchange>,
}

impl<const N: usize> Exchanges<N> {
    /// One that tells nothing, because a clock ran backwards in between, changes nothing.
    pub(crate) fn add(&mut self, exchange: Exchange) {
        if !(exchange.offset.is_finite() && exchange.round_trip >= 0.0) {
            return;
        }
        if self.remembered.len() == N {
            self.remembered.pop_front();
        }
        self.remembered.push_back(exchange);
    }

    /// The one with the smallest round trip; `None` before the first.
    pub(crate) fn best(&self) -> Option<Exchange> {
        self.remembered.iter().copied().min_by(|a, b| a.round_trip.total_cmp(&b.round_trip))
    }
}
