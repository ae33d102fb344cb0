//! The engage toggle: both grips engage, either grip disengages, by edges only.

/// One toggle for both arms, fed with the lock (grip) buttons of every frame.
///
/// Engaging needs both grips to have been seen released since the start of the stream or the last disengage.
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
    /// With `may_engage` false an engaging squeeze is ignored and both grips must be released again.
    pub fn update(&mut self, _left: bool, _right: bool, _may_engage: bool) -> Option<bool> {
        let _ = (self.both, self.either);
        unimplemented!()
    }

    /// Turns the toggle off from outside (silence, reset, another driver); true if it was on.
    /// Both grips must then be seen released before they engage again.
    pub fn disengage(&mut self) -> bool {
        unimplemented!()
    }
}
