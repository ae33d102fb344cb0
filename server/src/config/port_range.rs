//! A range of ports.

use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::rising::rising;

/// Ports from the first to the last, both included: `50000-50100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: NonZeroU16,
    last: NonZeroU16,
}

/// Why a text is no [`PortRange`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected FIRST-LAST, two ports from 1 to 65535 in rising order, such as 50000-50100")]
pub struct PortRangeError;

impl PortRange {
    /// The ports.
    pub fn ports(self) -> RangeInclusive<u16> {
        self.first.get()..=self.last.get()
    }
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        let (first, last) = rising(text, |port| port.parse().ok()).ok_or(PortRangeError)?;
        Ok(Self { first, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_range_is_two_ports_in_rising_order_or_a_single_one() {
        let ports = |text: &str| text.parse().map(PortRange::ports);
        assert_eq!(ports("50000-50100"), Ok(50000..=50100));
        assert_eq!(ports("7000 - 65535"), Ok(7000..=65535));
        assert_eq!(ports("7000"), Ok(7000..=7000));
        for wrong in ["", "-", "0-5", "5-0", "9-8", "1-65536", "a-b", "1-2-3", "1..2"] {
            assert_eq!(ports(wrong), Err(PortRangeError), "{wrong}");
        }
    }
}
