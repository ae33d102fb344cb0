//! Which actions still count when they arrive: their order and their age.

use std::collections::VecDeque;

use super::action::ActionMarks;
use super::clock::CLOCK_REMEMBERED;

/// Why an action does not count.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ActionDropped {
    /// It was longer on the way than its sender wants.
    #[error("{age_ms:.1} ms old, at most {ttl_ms:.1} ms count")]
    Stale {
        /// Its age, milliseconds.
        age_ms: f64,
        /// Its longest age, milliseconds.
        ttl_ms: f64,
    },
    /// A later one, or the same, came before.
    #[error("number {seq} after number {last}")]
    NotNewer {
        /// Its number.
        seq: u64,
        /// The number of the last one.
        last: u64,
    },
}

/// The actions of one connection.
///
/// A server sees one half of the clock exchanges only, so it takes the quickest request of the last
/// [`CLOCK_REMEMBERED`] as if it had taken no time: ages are too small by the time that request was on the way.
#[derive(Clone, Debug, Default)]
pub struct ActionGate {
    last: Option<u64>,
    /// Server's clock minus client's when a request arrived, seconds; newest last.
    ahead: VecDeque<f64>,
}

impl ActionGate {
    /// A clock request came: it was sent at `t0` of the client's clock and arrived at `t1` of the server's, seconds.
    pub fn on_clock(&mut self, t0: f64, t1: f64) {
        let ahead = t1 - t0;
        if !ahead.is_finite() {
            return;
        }
        if self.ahead.len() == CLOCK_REMEMBERED {
            self.ahead.pop_front();
        }
        self.ahead.push_back(ahead);
    }

    /// Age of what was sent at `sent` of the client's clock and arrived at `arrival` of the server's, seconds; 0 as long
    /// as no clock request came.
    pub fn age(&self, sent: f64, arrival: f64) -> f64 {
        let ahead = self.ahead.iter().copied().min_by(f64::total_cmp);
        ahead.map_or(0.0, |ahead| (arrival - sent - ahead).max(0.0))
    }

    /// An action arrived, seconds of the server's clock.
    ///
    /// # Errors
    /// It does not count.
    pub fn check(&mut self, marks: &ActionMarks, arrival: f64) -> Result<(), ActionDropped> {
        if let Some(seq) = marks.seq {
            if let Some(last) = self.last.filter(|last| seq <= *last) {
                return Err(ActionDropped::NotNewer { seq, last });
            }
            self.last = Some(seq);
        }
        if let (Some(ttl_ms), Some(sent)) = (marks.ttl_ms, marks.sent) {
            let age_ms = self.age(sent, arrival) * 1000.0;
            if age_ms > ttl_ms {
                return Err(ActionDropped::Stale { age_ms, ttl_ms });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(seq: u64, sent: f64) -> ActionMarks {
        ActionMarks { seq: Some(seq), ttl_ms: Some(250.0), sent: Some(sent) }
    }

    #[test]
    fn without_related_clocks_no_action_is_too_old() {
        assert_eq!(ActionGate::default().check(&marks(1, 0.0), 1e6), Ok(()));
    }

    #[test]
    fn an_action_older_than_its_ttl_is_dropped() {
        let mut gate = ActionGate::default();
        gate.on_clock(0.0, 100.5);
        gate.on_clock(1.0, 101.0);
        assert_eq!(gate.check(&marks(1, 2.0), 102.25), Ok(()));
        assert_eq!(gate.check(&marks(2, 2.0), 102.5), Err(ActionDropped::Stale { age_ms: 500.0, ttl_ms: 250.0 }));
        // Without a limit, or a time, there is nothing to exceed.
        assert_eq!(gate.check(&ActionMarks { ttl_ms: None, ..marks(3, 2.0) }, 200.0), Ok(()));
        assert_eq!(gate.check(&ActionMarks { sent: None, ..marks(4, 2.0) }, 200.0), Ok(()));
    }

    #[test]
    fn the_quickest_of_the_last_eight_requests_relates_the_clocks() {
        let mut gate = ActionGate::default();
        gate.on_clock(0.0, 100.0);
        gate.on_clock(f64::MAX, -f64::MAX);
        assert_eq!((gate.age(1.0, 101.5), gate.age(1.0, 100.5)), (0.5, 0.0));
        for _ in 0..CLOCK_REMEMBERED {
            gate.on_clock(0.0, 100.25);
        }
        assert_eq!(gate.age(1.0, 101.5), 0.25);
    }

    #[test]
    fn an_action_counts_only_after_all_before_it() {
        let mut gate = ActionGate::default();
        assert_eq!(gate.check(&marks(5, 0.0), 0.0), Ok(()));
        for seq in [5, 4] {
            assert_eq!(gate.check(&marks(seq, 0.0), 0.0), Err(ActionDropped::NotNewer { seq, last: 5 }));
        }
        assert_eq!(gate.check(&ActionMarks::default(), 0.0), Ok(()));
        assert_eq!(gate.check(&marks(7, 0.0), 0.0), Ok(()));
    }
}
