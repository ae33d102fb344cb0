//! What the viewers' networks leave for one camera. Pure.

use std::ops::RangeInclusive;

/// What one viewer's network leaves for this camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Bits per second.
    pub(super) bps: u32,
    /// The robot follows this viewer's hands.
    pub(super) drives: bool,
}

/// What the one encoder shall aim at within `limits`, which rise, in bits per second: what the driver can take, or else the
/// median viewer. Who can take less gets fewer pictures. The most while nothing is known.
pub(super) fn target(shares: impl Iterator<Item = Share>, limits: RangeInclusive<u32>) -> u32 {
    judged(shares).unwrap_or(*limits.end()).clamp(*limits.start(), *limits.end())
}

/// The same without limits; none while nothing is known.
pub(super) fn judged(shares: impl Iterator<Item = Share>) -> Option<u32> {
    let (drivers, mut others): (Vec<_>, Vec<_>) = shares.partition(|share| share.drives);
    // A driver with two connections watches one of them, we do not know which.
    let driver = drivers.iter().map(|share| share.bps).min();
    others.sort_unstable_by_key(|share| share.bps);
    driver.or_else(|| others.get(others.len() / 2).map(|share| share.bps))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(viewers: &[u32], driver: Option<u32>) -> u32 {
        let watching = viewers.iter().map(|&bps| Share { bps, drives: false });
        target(watching.chain(driver.map(|bps| Share { bps, drives: true })), 300..=3000)
    }

    #[test]
    fn the_driver_alone_decides() {
        assert_eq!(of(&[], Some(1000)), 1000);
        assert_eq!(of(&[400, 2900, 2900], Some(1000)), 1000);
        assert_eq!(judged([900, 700].map(|bps| Share { bps, drives: true }).into_iter()), Some(700));
    }

    #[test]
    fn without_a_driver_the_median_viewer_decides() {
        assert_eq!(of(&[1000], None), 1000);
        assert_eq!(of(&[2000, 500], None), 2000, "one slow viewer takes nothing from the other");
        assert_eq!(of(&[2000, 500, 1000], None), 1000);
        assert_eq!(of(&[2000, 500, 1000, 2500], None), 2000);
    }

    #[test]
    fn the_limits_hold_and_the_highest_comes_first() {
        assert_eq!(of(&[], None), 3000);
        assert_eq!(of(&[], Some(1)), 300);
        assert_eq!(of(&[90_000], None), 3000);
    }
}
