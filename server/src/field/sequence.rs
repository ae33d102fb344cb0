//! Numbered samples: which are repeated, late or missing.

use std::time::Duration;

use waldo_protocol::time::MonoTime;

/// A sample that was so long on its way is none of now.
const MAX_AGE: Duration = Duration::from_millis(300);

/// The newest sample of a client, for the frames of the scene that follow it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ack {
    pub(super) seq: u32,
    pub(super) at: MonoTime,
    /// Numbers that never came, modulo 2^32.
    pub(super) lost: u32,
}

/// The numbers of one client's samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sequence {
    newest: Option<Ack>,
    /// The quickest way that a sample took, as arrival minus the sender's time, seconds. Their clocks have nothing in common,
    /// so only what a sample took longer than this is known.
    quickest: Option<f64>,
    lost: u32,
}

impl Sequence {
    /// Whether a sample with that number and time counts.
    ///
    /// # Errors
    /// A word for the counters: `seq` if it is not newer than the newest, `age` if it was too long on its way.
    pub(super) fn admit(&mut self, now: MonoTime, seq: u32, timestamp: f64) -> Result<(), &'static str> {
        if let Some(newest) = self.newest {
            let ahead = seq.wrapping_sub(newest.seq);
            if ahead == 0 || ahead > u32::MAX / 2 {
                return Err("seq");
            }
            self.lost = self.lost.wrapping_add(ahead - 1);
        }
        self.newest = Some(Ack { seq, at: now, lost: self.lost });
        let way = now.as_secs_f64() - timestamp;
        let quickest = self.quickest.map_or(way, |quickest| {
            // Clocks run apart by some 100 ppm; a jump of the sender's clock is over after a while, too.
            let forgetting = (way - quickest) * 0.001;
            way.min(quickest + forgetting)
        });
        self.quickest = Some(quickest);
        if way - quickest > MAX_AGE.as_secs_f64() { Err("age") } else { Ok(()) }
    }

    /// The newest number that came.
    pub(super) fn ack(&self) -> Option<Ack> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_nanos(1_000_000_000 + millis * 1_000_000)
    }

    #[test]
    fn repeated_and_late_numbers_do_not_count_and_gaps_do() {
        let mut sequence = Sequence::default();
        let results: Vec<_> = [u32::MAX - 1, u32::MAX, u32::MAX, 2, 1, 3]
            .into_iter()
            .enumerate()
            .map(|(n, seq)| sequence.admit(at(n as u64 * 10), seq, n as f64 * 0.01))
            .collect();
        assert_eq!(results, [Ok(()), Ok(()), Err("seq"), Ok(()), Err("seq"), Ok(())]);
        assert_eq!(sequence.ack(), Some(Ack { seq: 3, at: at(50), lost: 2 }), "0 and 1 were missing");
    }

    #[test]
    fn a_burst_after_a_stall_is_not_taken_for_fresh() {
        let mut sequence = Sequence::default();
        let mut stale = 0;
        for n in 0..100u64 {
            // Every 10 ms one is sent; those of 0.2 s to 0.8 s arrive together.
            let sent = n * 10;
            let arrives = if (200..800).contains(&sent) { 800 } else { sent };
            stale += u32::from(sequence.admit(at(arrives + 5), n as u32, sent as f64 / 1e3) == Err("age"));
        }
        assert!((28..=30).contains(&stale), "{stale}");
    }

    #[test]
    fn a_clock_that_jumps_is_believed_after_a_while() {
        let mut sequence = Sequence::default();
        let send = |sequence: &mut Sequence, n: u64, back: f64| {
            sequence.admit(at(n * 11), n as u32, n as f64 * 0.011 - back).is_ok()
        };
        assert!((0..100).all(|n| send(&mut sequence, n, 0.0)));
        assert!(!send(&mut sequence, 100, 10.0));
        let back = (101..10_000).find(|n| send(&mut sequence, *n, 10.0)).unwrap();
        assert!(back * 11 < 60_000, "{back}");
    }
}
