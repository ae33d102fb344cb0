//! A range of bitrates.

use std::ops::RangeInclusive;
use std::str::FromStr;

use super::rising::rising;

/// Bitrates from the lowest to the highest, both included: `300-6000`, in kbit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitrateRange {
    lowest: u32,
    highest: u32,
}

/// Why a text is no [`BitrateRange`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected LOWEST-HIGHEST in kbit/s, two numbers from 30 to 200000 in rising order, such as 300-6000")]
pub struct BitrateRangeError;

impl BitrateRange {
    /// Bits per second.
    pub fn bits_per_second(self) -> RangeInclusive<u32> {
        self.lowest * 1000..=self.highest * 1000
    }
}

impl FromStr for BitrateRange {
    type Err = BitrateRangeError;

    fn from_str(text: &str) -> Result<Self, BitrateRangeError> {
        let kbps = |text: &str| text.parse().ok().filter(|kbps| (30..=200_000).contains(kbps));
        let (lowest, highest) = rising(text, kbps).ok_or(BitrateRangeError)?;
        Ok(Self { lowest, highest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitrate_range_is_two_numbers_in_rising_order_or_a_single_one() {
        let rates = |text: &str| text.parse().map(BitrateRange::bits_per_second);
        assert_eq!(rates("300-6000"), Ok(300_000..=6_000_000));
        assert_eq!(rates("30 - 200000"), Ok(30_000..=200_000_000));
        assert_eq!(rates("2000"), Ok(2_000_000..=2_000_000));
        for wrong in ["", "-", "29-100", "100-200001", "500-300", "a", "1M-3M", "1-2-3"] {
            assert_eq!(rates(wrong), Err(BitrateRangeError), "{wrong}");
        }
    }
}
