//! Who sees no new picture must not drive.

/// Without a new picture for longer than this the picture stands still, milliseconds.
pub const STALL_MS: f64 = 1000.0;

/// Blocks motion while the picture stands still, and after it until everything that moves was released once.
#[derive(Clone, Copy, Debug, Default)]
pub struct StallGate {
    media_time: f64,
    /// When the picture last changed; `None` before the first one.
    grew_at: Option<f64>,
    stalled: bool,
    resuming: bool,
}

impl StallGate {
    /// To be called often. `media_time`: grows with every picture, negative before the first; `now`: milliseconds of a
    /// monotonic clock; `held`: a key or button that moves the robot is held. Tells whether motion is blocked.
    pub fn tick(&mut self, media_time: f64, now: f64, held: bool) -> bool {
        let grew = media_time >= 0.0 && self.grew_at.is_none_or(|_| media_time > self.media_time);
        if grew {
            self.media_time = media_time;
            self.grew_at = Some(now);
            self.resuming |= self.stalled;
            self.stalled = false;
        } else if !self.stalled && self.grew_at.is_some_and(|at| now - at > STALL_MS) {
            self.stalled = true;
            self.resuming = false;
        }
        if !held {
            self.resuming = false;
        }
        self.is_blocked()
    }

    /// A picture has been there.
    pub fn is_armed(&self) -> bool {
        self.grew_at.is_some()
    }

    /// The picture stands still.
    pub fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Nothing may move.
    pub fn is_blocked(&self) -> bool {
        self.stalled || self.resuming
    }

    /// Motion is blocked until everything was released once, as after a stop or a lost link.
    pub fn demand_release(&mut self) {
        self.resuming = true;
    }
}
