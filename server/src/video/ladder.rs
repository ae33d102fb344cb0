//! What becomes of the picture when the network carries less than it needs: smaller first, then fewer.
//!
//! An encoder that gets too few bits per pixel shows blocks and still sends more than it may. So size and rate follow
//! the target bitrate down a few rungs. Each change of size costs a keyframe, hence up only with some reserve and not at
//! once.

use std::time::Duration;

use waldo_protocol::time::MonoTime;

/// Fewer bits per pixel than this make the next rung better. At 30 pictures per second: 1280x720 holds out down to
/// 1.1 Mbit/s, 640x480 to 370 kbit/s.
const ENOUGH: f64 = 0.04;

/// How much more than that there must be for a rung up.
const RESERVE: f64 = 1.4;

/// How long after a change there is none down, and none up.
const REST_DOWN: Duration = Duration::from_millis(500);
const REST_UP: Duration = Duration::from_secs(3);

/// Pictures are not made smaller than this, in pixels on the shorter side.
const SMALLEST: u32 = 120;

/// How a picture is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    /// Each side is divided by this power of two.
    pub(super) halvings: u32,
    /// Of so many pictures one is sent.
    pub(super) stride: u32,
}

/// From the best to the poorest.
const RUNGS: [Rung; 4] = [
    Rung { halvings: 0, stride: 1 },
    Rung { halvings: 1, stride: 1 },
    Rung { halvings: 1, stride: 2 },
    Rung { halvings: 2, stride: 2 },
];

/// Where on the ladder one source is. Reads no clock.
pub(super) struct Ladder {
    at: usize,
    changed: Option<MonoTime>,
}

impl Ladder {
    pub(super) fn new() -> Self {
        Self { at: 0, changed: None }
    }

    /// How to send pictures of this size, so many per second, with so many bits per second.
    pub(super) fn choose(&mut self, now: MonoTime, size: (u32, u32), fps: f64, bps: u32) -> Rung {
        // Another size may not have the rung.
        while self.at > 0 && !possible(RUNGS[self.at], size) {
            self.at -= 1;
        }
        let wanted = |factor: f64| {
            let mut best = 0;
            for (index, rung) in RUNGS.iter().enumerate().filter(|(_, rung)| possible(**rung, size)) {
                best = index;
                if f64::from(bps) >= factor * needed(*rung, size, fps) {
                    break;
                }
            }
            best
        };
        let rested = |rest| self.changed.is_none_or(|changed| now.since(changed) >= rest);
        let (down, up) = (wanted(1.0), wanted(RESERVE));
        let next = if self.changed.is_none() || (down > self.at && rested(REST_DOWN)) {
            down
        } else if up < self.at && rested(REST_UP) {
            up
        } else {
            self.at
        };
        if next != self.at || self.changed.is_none() {
            self.at = next;
            self.changed = Some(now);
        }
        RUNGS[self.at]
    }
}

fn possible(rung: Rung, (width, height): (u32, u32)) -> bool {
    // The sides of what comes out are even, as encoders need them.
    let divisor = 2 << rung.halvings;
    let whole = width.is_multiple_of(divisor) && height.is_multiple_of(divisor);
    rung.halvings == 0 || (whole && width.min(height) >> rung.halvings >= SMALLEST)
}

fn needed(rung: Rung, (width, height): (u32, u32), fps: f64) -> f64 {
    let pixels = f64::from(width) * f64::from(height) / f64::from(1_u32 << (2 * rung.halvings));
    ENOUGH * pixels * fps / f64::from(rung.stride)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: (u32, u32) = (1280, 720);

    fn ms(ms: u64) -> MonoTime {
        MonoTime::from_nanos(1_000_000_000) + Duration::from_millis(ms)
    }

    fn first(size: (u32, u32), bps: u32) -> (u32, u32) {
        let rung = Ladder::new().choose(ms(0), size, 30.0, bps);
        (rung.halvings, rung.stride)
    }

    #[test]
    fn the_picture_gets_smaller_before_it_gets_rarer() {
        for (bps, expected) in [
            (3_300_000, (0, 1)),
            (1_150_000, (0, 1)),
            (800_000, (1, 1)),
            (200_000, (1, 2)),
            (50_000, (2, 2)),
            (1, (2, 2)),
        ] {
            assert_eq!(first(HD, bps), expected, "{bps}");
        }
    }

    #[test]
    fn small_pictures_and_odd_ones_keep_their_size() {
        assert_eq!(first((640, 480), 40_000), (2, 2));
        assert_eq!(first((320, 240), 1), (1, 2));
        assert_eq!(first((64, 48), 1), (0, 1));
        assert_eq!(first((1282, 722), 1), (0, 1));
    }

    #[test]
    fn it_goes_down_soon_and_up_with_reserve_and_patience() {
        let mut ladder = Ladder::new();
        let mut at = |now, bps| ladder.choose(ms(now), HD, 30.0, bps).halvings;
        assert_eq!(at(0, 3_000_000), 0);
        assert_eq!(at(100, 500_000), 0, "just begun");
        assert_eq!(at(600, 500_000), 1);
        assert_eq!(at(5000, 1_300_000), 1, "too little reserve");
        assert_eq!(at(5001, 1_800_000), 0);
        assert_eq!(at(5600, 600_000), 1);
        assert_eq!(at(6000, 3_000_000), 1, "too soon");
        assert_eq!(at(8600, 3_000_000), 0);
    }

    #[test]
    fn a_source_that_becomes_small_leaves_rungs_it_does_not_have() {
        let mut ladder = Ladder::new();
        assert_eq!(ladder.choose(ms(0), HD, 30.0, 1).halvings, 2);
        assert_eq!(ladder.choose(ms(1), (320, 240), 30.0, 1).halvings, 1);
        assert_eq!(ladder.choose(ms(2), (64, 48), 30.0, 1).halvings, 0);
    }
}
