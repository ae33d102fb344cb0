//! The engage toggle: both grips engage, either grip disengages, by edges only.

/// One toggle for both arms, fed with the lock (grip) buttons of every frame.
///
/// Engaging needs both grips to have been seen released in one frame since the start of the stream or the last
/// disengage. So letting go with two grips a frame apart does not engage again, and grips that are already held when a
/// stream starts engage nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngageToggle {
    engaged: bool,
    released: bool,
    both: bool,
    either: bool,
}

impl EngageToggle {
    /// Whether the toggle is on.
    pub fn engaged(&self) -> bool {
        self.engaged
    }

    /// Whether both grips were seen released, so that the next squeeze of both engages.
    pub fn released(&self) -> bool {
        self.released
    }

    /// Feeds one frame; returns the new state if it changed.
    ///
    /// With `may_engage` false nothing engages, and both grips must be seen released again once it is true.
    /// It has no influence on disengaging.
    pub fn update(&mut self, left: bool, right: bool, may_engage: bool) -> Option<bool> {
        let (both, either) = (left && right, left || right);
        let both_rose = both && !self.both;
        let either_rose = either && !self.either;
        (self.both, self.either) = (both, either);

        if self.engaged {
            return (either_rose && self.disengage()).then_some(false);
        }
        self.released = may_engage && (self.released || !either);
        if both_rose && self.released {
            self.engaged = true;
            self.released = false;
            return Some(true);
        }
        None
    }

    /// Turns the toggle off from outside (silence, reset, another driver); true if it was on.
    /// Both grips must then be seen released before they engage again.
    pub fn disengage(&mut self) -> bool {
        self.released = false;
        std::mem::take(&mut self.engaged)
    }
}
