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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grips_held_on_the_first_frame_engage_nothing() {
        let mut toggle = EngageToggle::default();
        assert_eq!(toggle.update(true, true, true), None);
        assert_eq!(toggle.update(false, true, true), None);
        assert_eq!(toggle.update(true, true, true), None);
        assert!(!toggle.released());
    }

    #[test]
    fn a_squeeze_while_engaging_is_not_allowed_engages_only_after_a_release() {
        let mut toggle = EngageToggle::default();
        toggle.update(false, false, true);
        assert!(toggle.released());
        assert_eq!(toggle.update(true, true, false), None);
        assert_eq!(toggle.update(true, true, true), None);
        assert!(!toggle.released());
        assert_eq!(toggle.update(false, false, true), None);
        assert_eq!(toggle.update(true, true, true), Some(true));
    }

    #[test]
    fn disengaging_is_always_allowed() {
        let mut toggle = EngageToggle::default();
        toggle.update(false, false, true);
        assert_eq!(toggle.update(true, true, true), Some(true));
        assert_eq!(toggle.update(false, false, false), None);
        assert_eq!(toggle.update(false, true, false), Some(false));
    }

    #[test]
    fn pressing_the_other_grip_while_one_is_held_is_no_edge() {
        let mut toggle = EngageToggle::default();
        toggle.update(false, false, true);
        toggle.update(true, true, true);
        assert_eq!(toggle.update(true, false, true), None);
        assert_eq!(toggle.update(true, true, true), None);
        assert!(toggle.engaged());
    }

    #[test]
    fn grips_held_through_a_disengage_from_outside_engage_nothing() {
        let mut toggle = EngageToggle::default();
        toggle.update(false, false, true);
        toggle.update(true, true, true);
        assert!(toggle.disengage());
        assert!(!toggle.disengage());
        assert_eq!(toggle.update(true, true, true), None);
        assert_eq!(toggle.update(false, true, true), None);
        assert_eq!(toggle.update(true, true, true), None);
        assert_eq!(toggle.update(false, false, true), None);
        assert_eq!(toggle.update(true, true, true), Some(true));
    }
}
