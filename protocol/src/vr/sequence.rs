//! Duplicates and late frames within one stream.

/// The highest `seq` of one stream. Each stream has its own, so that none can lock out another.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeqMark {
    highest: Option<i64>,
}

impl SeqMark {
    /// The highest `seq` so far.
    pub fn highest(&self) -> Option<i64> {
        self.highest
    }

    /// Whether a frame with this `seq` is new: above every one before. A frame without `seq` always is, and leaves the
    /// mark alone.
    #[must_use]
    pub fn admit(&mut self, seq: Option<i64>) -> bool {
        let Some(seq) = seq else { return true };
        let new = self.highest.is_none_or(|highest| seq > highest);
        if new {
            self.highest = Some(seq);
        }
        new
    }
}
