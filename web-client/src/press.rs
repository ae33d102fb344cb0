//! One button with two meanings: a press, and a press that is held. Sans-I/O; times are milliseconds of any monotonic clock.

/// Held for this long a press is a long one.
pub const LONG_MS: f64 = 800.0;

/// What a button did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// Released before it was long.
    Short,
    /// Held for [`LONG_MS`]; told while it is still down, and once.
    Long,
}

/// Tells the presses of one button apart.
#[derive(Clone, Copy, Debug, Default)]
pub enum PressWatch {
    /// Up.
    Up,
    /// Down since then.
    Down(f64),
    /// Down, and nothing more will come of it; the start, so that a button that is down already does nothing.
    #[default]
    Spent,
}

impl PressWatch {
    /// To be called with every XR frame.
    pub fn look(&mut self, down: bool, now: f64) -> Option<Press> {
        let (next, press) = match (*self, down) {
            (Self::Up, true) => (Self::Down(now), None),
            (Self::Down(since), true) if now - since >= LONG_MS => (Self::Spent, Some(Press::Long)),
            (Self::Down(_), false) => (Self::Up, Some(Press::Short)),
            (_, false) => (Self::Up, None),
            (same, true) => (same, None),
        };
        *self = next;
        press
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_press_is_told_at_its_end_and_a_long_one_while_it_lasts() {
        let mut watch = PressWatch::default();
        watch.look(false, 0.0);
        assert_eq!([watch.look(true, 10.0), watch.look(false, 300.0)], [None, Some(Press::Short)]);
        assert_eq!([watch.look(true, 1000.0), watch.look(true, 1799.0)], [None, None]);
        assert_eq!(watch.look(true, 1800.0), Some(Press::Long));
        assert_eq!([watch.look(true, 5000.0), watch.look(false, 5100.0)], [None, None]);
    }

    #[test]
    fn a_button_that_is_down_from_the_start_does_nothing() {
        let mut watch = PressWatch::default();
        assert_eq!([watch.look(true, 0.0), watch.look(true, 900.0), watch.look(false, 1000.0)], [None; 3]);
    }
}
