//! How old a client's inputs are when it sees what came of them, by sequence numbers.
//!
//! Pure: times are milliseconds of the client's monotonic clock, as arguments.

use std::collections::VecDeque;

/// Inputs whose time of sending is remembered, nearly three seconds at 90 Hz.
pub const REMEMBERED_INPUTS: usize = 256;

/// The inputs that a client has sent, oldest first; at most [`REMEMBERED_INPUTS`], of which the oldest make room.
#[derive(Clone, Debug, Default)]
pub struct SentInputs {
    next: u32,
    sent: VecDeque<(u32, f64)>,
}

/// What one acknowledgement of an input tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputLatency {
    /// From sending the input to seeing the scene that acknowledges it, ms.
    pub total_ms: f64,
    /// What of it passed on the way there and back, ms.
    pub on_the_way_ms: f64,
}

impl SentInputs {
    /// An input is sent now; gives its `seq`.
    pub fn send(&mut self, now_ms: f64) -> u32 {
        let seq = self.next;
        self.next = seq.wrapping_add(1);
        if self.sent.len() == REMEMBERED_INPUTS {
            self.sent.pop_front();
        }
        self.sent.push_back((seq, now_ms));
        seq
    }

    /// A scene came whose newest input is `seq`, which had been with the server for `age_ms` by then. Nothing if this input
    /// was acknowledged before, or is forgotten, or was never sent.
    pub fn acknowledge(&mut self, seq: u32, age_ms: f64, now_ms: f64) -> Option<InputLatency> {
        let found = self.sent.iter().position(|(sent, _)| *sent == seq)?;
        let (_, at) = self.sent.drain(..=found).next_back()?;
        let total_ms = now_ms - at;
        Some(InputLatency { total_ms, on_the_way_ms: (total_ms - age_ms).max(0.0) })
    }

    /// Inputs that no scene has acknowledged yet.
    pub fn waiting(&self) -> usize {
        self.sent.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_tells_how_long_its_newest_input_took() {
        let mut inputs = SentInputs::default();
        let seqs = [0.0, 11.0, 22.0].map(|now| inputs.send(now));
        assert_eq!(seqs, [0, 1, 2]);
        let latency = inputs.acknowledge(1, 4.0, 20.0);
        assert_eq!(latency, Some(InputLatency { total_ms: 9.0, on_the_way_ms: 5.0 }));
        assert_eq!(inputs.waiting(), 1, "those before it will never be told of");
        for again in [1, 0, 3] {
            assert_eq!(inputs.acknowledge(again, 4.0, 25.0), None);
        }
    }

    #[test]
    fn numbers_go_round_and_old_ones_are_forgotten() {
        let mut inputs = SentInputs { next: u32::MAX, ..SentInputs::default() };
        assert_eq!(inputs.send(0.0), u32::MAX);
        for i in 0..REMEMBERED_INPUTS {
            assert_eq!(inputs.send(1.0), u32::try_from(i).unwrap());
        }
        assert_eq!(inputs.waiting(), REMEMBERED_INPUTS);
        assert_eq!(inputs.acknowledge(u32::MAX, 0.0, 2.0), None);
        assert!(inputs.acknowledge(0, 0.0, 2.0).is_some());
    }
}
