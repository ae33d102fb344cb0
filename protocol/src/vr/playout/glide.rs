//! A difference that dies away smoothly, so that what is shown never steps.

use glam::DVec3;

/// The time constant of the decay, in seconds: half is gone after 1.7 of them, 99 % after 6.6.
const TIME_CONSTANT: f64 = 0.025;

/// A vector that returns to zero as a critically damped spring does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Glide {
    value: DVec3,
    rate: DVec3,
    since: f64,
}

impl Glide {
    /// The difference that is left at a time in seconds.
    pub(super) fn at(&self, now: f64) -> DVec3 {
        self.state(now).0
    }

    /// Sets the difference; the rate at which it changes goes on.
    pub(super) fn set(&mut self, now: f64, value: DVec3) {
        let (_, rate) = self.state(now);
        *self = Self { value, rate, since: now };
    }

    fn state(&self, now: f64) -> (DVec3, DVec3) {
        let passed = (now - self.since).max(0.0) / TIME_CONSTANT;
        let decay = (-passed).exp();
        let pull = self.rate * TIME_CONSTANT + self.value;
        let value = (self.value + pull * passed) * decay;
        let rate = (self.rate - pull * (passed / TIME_CONSTANT)) * decay;
        (value, rate)
    }
}
