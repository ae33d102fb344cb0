//! The clock of a stream against the clock of its receiver.

use std::time::Duration;

use crate::time::MonoTime;

/// A frame's skew farther than this from the window's offset is a jump of the clock, in seconds.
const JUMP: f64 = 0.25;

const WINDOW: Duration = Duration::from_secs(2);

const SLICES: usize = 40;

const SLICE_NANOS: u64 = WINDOW.as_nanos() as u64 / SLICES as u64;

/// The range of skews, arrival minus capture time in seconds, of the last two seconds.
///
/// Kept in a ring of slices of time, so that its size does not depend on the rate of frames.
#[derive(Clone, Debug)]
pub(super) struct ClockWindow {
    slices: [Range; SLICES],
    newest: u64,
    whole: Range,
}

#[derive(Clone, Copy, Debug)]
struct Range {
    least: f64,
    most: f64,
}

impl Range {
    const EMPTY: Self = Self { least: f64::INFINITY, most: f64::NEG_INFINITY };

    fn with(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }
}

impl Default for ClockWindow {
    fn default() -> Self {
        Self { slices: [Range::EMPTY; SLICES], newest: 0, whole: Range::EMPTY }
    }
}

impl ClockWindow {
    /// Whether a frame with this skew fits the window. None does after two seconds without any: the clock may be another
    /// one by now.
    pub(super) fn fits(&mut self, arrived: MonoTime, skew: f64) -> bool {
        self.advance(arrived);
        (skew - self.whole.least).abs() <= JUMP
    }

    /// Counts a frame.
    pub(super) fn add(&mut self, arrived: MonoTime, skew: f64) {
        self.advance(arrived);
        let one = Range { least: skew, most: skew };
        let slice = &mut self.slices[self.newest as usize % SLICES];
        *slice = slice.with(one);
        self.whole = self.whole.with(one);
    }

    /// The smallest skew of the window; zero before the first frame.
    pub(super) fn offset(&self) -> f64 {
        if self.whole.least.is_finite() { self.whole.least } else { 0.0 }
    }

    /// The largest skew minus the smallest.
    pub(super) fn jitter(&self) -> f64 {
        (self.whole.most - self.whole.least).max(0.0)
    }

    /// Forgets what is older than the window.
    fn advance(&mut self, now: MonoTime) {
        let slice = (now.as_nanos() / SLICE_NANOS).max(self.newest);
        let passed = usize::try_from(slice - self.newest).unwrap_or(SLICES).min(SLICES);
        if passed == 0 {
            return;
        }
        for gone in 0..passed {
            self.slices[(slice - gone as u64) as usize % SLICES] = Range::EMPTY;
        }
        self.newest = slice;
        self.whole = self.slices.into_iter().fold(Range::EMPTY, Range::with);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn offset_and_jitter_are_of_the_last_two_seconds() {
        let mut clock = ClockWindow::default();
        clock.add(at(1000), 0.10);
        clock.add(at(1500), 0.25);
        clock.add(at(2900), 0.15);
        assert!((clock.offset() - 0.10).abs() < 1e-12 && (clock.jitter() - 0.15).abs() < 1e-12);
        clock.add(at(3100), 0.16);
        assert!((clock.offset() - 0.15).abs() < 1e-12 && (clock.jitter() - 0.10).abs() < 1e-12);
        clock.add(at(9000), 0.30);
        assert!((clock.offset() - 0.30).abs() < 1e-12 && clock.jitter() == 0.0);
    }

    #[test]
    fn only_a_quarter_of_a_second_against_the_window_is_a_jump() {
        let mut clock = ClockWindow::default();
        clock.add(at(0), 5.0);
        for (skew, fits) in [(5.2, true), (4.8, true), (5.3, false), (4.7, false), (-400.0, false)] {
            assert_eq!(clock.fits(at(100), skew), fits, "{skew}");
        }
        assert!(!clock.fits(at(2100), 5.0), "nothing is left to compare with");
    }
}
