//! How many frames one socket may send.

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::VrFrame;

use crate::vr::bucket::Bucket;

/// Frames that may come at once, in seconds of the rate: what a headset sends after a gap of its network.
const BURST: f64 = 0.5;

/// Lets so many frames per second pass. Whatever changes a button passes too, at the same rate again, so that a flood of
/// poses swallows no edge; of the others the newest is kept.
#[derive(Debug)]
pub(super) struct Limiter {
    limits: Option<Limits>,
    buttons: Option<Buttons>,
    held: Option<VrFrame>,
}

#[derive(Debug)]
struct Limits {
    poses: Bucket,
    edges: Bucket,
}

/// What must not be lost of a frame.
type Buttons = (bool, bool, bool, waldo_protocol::vr::VrState, Option<u32>, Option<u32>);

fn buttons(frame: &VrFrame) -> Buttons {
    (frame.left.lock, frame.right.lock, frame.reset, frame.state, frame.reset_n, frame.ep_n)
}

impl Limiter {
    pub(super) fn new(rate: Option<u32>) -> Self {
        let limits = rate.map(f64::from).map(|rate| {
            let bucket = || Bucket::new(rate, rate * BURST);
            Limits { poses: bucket(), edges: bucket() }
        });
        Self { limits, buttons: None, held: None }
    }

    /// Whether this frame may pass; if not, it is kept until a newer one comes.
    pub(super) fn passes(&mut self, now: MonoTime, frame: &VrFrame) -> bool {
        let Some(limits) = &mut self.limits else { return true };
        let pressed = self.buttons.replace(buttons(frame)).is_some_and(|before| before != buttons(frame));
        let passes = limits.poses.take(now) || (pressed && limits.edges.take(now));
        self.held = (!passes).then_some(*frame);
        passes
    }

    /// The frame that was kept, if it may pass now.
    pub(super) fn overdue(&mut self, now: MonoTime) -> Option<VrFrame> {
        let (Some(_), Some(limits)) = (self.held, &mut self.limits) else { return None };
        if limits.poses.take(now) { self.held.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::frame;

    #[test]
    fn a_press_passes_in_the_middle_of_a_flood() {
        let mut limiter = Limiter::new(Some(250));
        let at = MonoTime::from_nanos;
        let passed = (0..1000).filter(|n| limiter.passes(at(*n), &frame())).count();
        assert_eq!(passed, 125);
        assert!(limiter.passes(at(1000), &VrFrame { reset: true, ..frame() }));
        assert!(limiter.passes(at(1001), &frame()), "and so does its release");
        assert!(!limiter.passes(at(1002), &frame()));
    }

    #[test]
    fn a_headset_at_its_usual_rate_is_never_slowed_down() {
        let mut limiter = Limiter::new(Some(250));
        for n in 0..1000 {
            let now = MonoTime::from_nanos(n * 11_111_111);
            // A gap of the network, then all that waited at once.
            let arrival = if n % 100 < 30 { MonoTime::from_nanos(n / 100 * 1_111_111_100 + 333_333_330) } else { now };
            assert!(limiter.passes(arrival, &frame()), "{n}");
        }
    }
}
