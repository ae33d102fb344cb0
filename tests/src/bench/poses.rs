//! Pose frames as texts, many per second.

use anyhow::{Context, Result};
use waldo_protocol::vr::VrFrame;

/// The first `seq`; all that follow have as many digits.
const FIRST: u64 = 1_000_000_000;

/// Placeholders of `seq` and `t`, found again in the text.
const SEQ: u64 = 1_111_111_111;
const T: u64 = 2_222_222_222;

/// One full pose frame as text; `seq` and `t` are rewritten in place, so that making it costs next to nothing.
pub struct PoseTexts {
    text: Vec<u8>,
    seq_at: usize,
    t_at: usize,
    next: u64,
}

impl PoseTexts {
    /// Texts of this frame, with `seq` and `t` of their own.
    ///
    /// # Errors
    /// If the encoder writes no decimal `seq` and `t`.
    pub fn new(mut frame: VrFrame) -> Result<Self> {
        frame.seq = Some(i64::try_from(SEQ)?);
        frame.t = Some(T as f64);
        let mut text = String::new();
        frame.encode(&mut text);
        let seq_at = text.find(&SEQ.to_string()).context("no seq in the text")?;
        let t_at = text.find(&T.to_string()).context("no t in the text")?;
        Ok(Self { text: text.into_bytes(), seq_at, t_at, next: 0 })
    }

    /// Bytes of every text.
    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// The next text: `seq` rises by one, `t` by 11 ms.
    pub fn advance(&mut self) -> &[u8] {
        write_digits(&mut self.text[self.seq_at..self.seq_at + 10], FIRST + self.next);
        write_digits(&mut self.text[self.t_at..self.t_at + 10], FIRST + 11 * self.next);
        self.next += 1;
        &self.text
    }

    /// How many texts came before the next one.
    pub fn count(&self) -> u64 {
        self.next
    }

    /// Which text, from 0 on, carried this `seq`.
    pub fn index(seq: i64) -> Option<usize> {
        usize::try_from(u64::try_from(seq).ok()?.checked_sub(FIRST)?).ok()
    }
}

fn write_digits(field: &mut [u8], mut value: u64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Operator;

    #[test]
    fn each_text_is_a_frame_with_its_own_seq_and_time() {
        let mut texts = PoseTexts::new(Operator::default().frame).unwrap();
        for i in 0..12 {
            let frame: serde_json::Value = serde_json::from_slice(texts.advance()).unwrap();
            assert_eq!(PoseTexts::index(frame["seq"].as_i64().unwrap()), Some(i));
            assert_eq!(frame["t"].as_f64(), Some(1e9 + 11.0 * i as f64));
        }
    }
}
