//! The buttons of a cockpit in the headset: where they are on their panel, and which one a laser chose. Sans-I/O; times are
//! milliseconds of any monotonic clock.

use glam::DVec2;

use super::acks::Progress;

/// A second press of a dangerous button counts within this.
pub const CONFIRM_MS: f64 = 4000.0;
/// Beside the stop.
const COLUMNS: usize = 5;
/// Between buttons, as a part of the panel's width.
const GAP: f64 = 0.012;

/// One button.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Button {
    /// What it does.
    pub control: &'static str,
    /// What is written on it.
    pub label: String,
    /// It shows the present choice.
    pub chosen: bool,
    /// It is the stop.
    pub danger: bool,
    /// It must be pressed twice.
    pub confirmed: bool,
    /// What became of its last press.
    pub progress: Progress,
}

/// A button's place on the panel: left, top, width, height, as parts of the panel's width and height. The first one, which
/// is the stop, is as high as the panel; the others stand in rows beside it.
pub fn place(index: usize, count: usize, aspect: f64) -> [f64; 4] {
    let others = count.saturating_sub(1).max(1);
    let rows = others.div_ceil(COLUMNS);
    let columns = others.div_ceil(rows);
    let (row, column) = index.checked_sub(1).map_or((0, 0), |other| (other / columns, 1 + other % columns));
    #[expect(clippy::cast_precision_loss, reason = "a handful of buttons")]
    let [row, column, rows, columns] = [row, column, rows, columns + 1].map(|number| number as f64);
    let gap = [GAP, GAP * aspect];
    let size = [(1.0 - gap[0] * (columns + 1.0)) / columns, (1.0 - gap[1] * (rows + 1.0)) / rows];
    let height = if index == 0 { 1.0 - 2.0 * gap[1] } else { size[1] };
    [gap[0] + column * (size[0] + gap[0]), gap[1] + row * (size[1] + gap[1]), size[0], height]
}

/// The button at this place of the panel.
pub fn button_at(at: DVec2, count: usize, aspect: f64) -> Option<usize> {
    (0..count).find(|index| {
        let [left, top, width, height] = place(*index, count, aspect);
        (left..=left + width).contains(&at.x) && (top..=top + height).contains(&at.y)
    })
}

/// The first press of a button that must be pressed twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Confirm {
    waiting: Option<(&'static str, f64)>,
}

impl Confirm {
    /// Whether the press counts; any other press is forgotten.
    pub fn press(&mut self, control: &'static str, needed: bool, now: f64) -> bool {
        let again = self.waiting(now) == Some(control);
        self.waiting = (needed && !again).then_some((control, now));
        !needed || again
    }

    /// The button that waits for its second press.
    pub fn waiting(&self, now: f64) -> Option<&'static str> {
        self.waiting.and_then(|(control, at)| (now - at < CONFIRM_MS).then_some(control))
    }
}

/// A press of the stop's button; shaky fingers and contacts count once.
#[derive(Clone, Copy, Debug, Default)]
pub struct StopButton {
    down: bool,
    pressed_at: Option<f64>,
}

impl StopButton {
    /// Further presses within this are the same.
    pub const DEBOUNCE_MS: f64 = 1500.0;

    /// To be called with every frame; true if it was pressed now.
    pub fn look(&mut self, down: bool, now: f64) -> bool {
        let edge = down && !self.down;
        self.down = down;
        let pressed = edge && self.pressed_at.is_none_or(|at| now - at >= Self::DEBOUNCE_MS);
        if pressed {
            self.pressed_at = Some(now);
        }
        pressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_button_is_hit_in_its_middle_and_none_between() {
        for count in 1..=14 {
            for index in 0..count {
                let [left, top, width, height] = place(index, count, 2.9);
                let middle = DVec2::new(left + width / 2.0, top + height / 2.0);
                assert_eq!(button_at(middle, count, 2.9), Some(index));
                assert!(left + width <= 1.0 && top + height <= 1.0);
            }
            assert_eq!(button_at(DVec2::ZERO, count, 2.9), None);
        }
    }

    #[test]
    fn a_dangerous_button_needs_a_second_press_within_four_seconds() {
        let mut confirm = Confirm::default();
        assert!(confirm.press("sit", false, 0.0));
        assert!(!confirm.press("jump", true, 0.0));
        assert_eq!(confirm.waiting(3999.0), Some("jump"));
        assert!(confirm.press("jump", true, 3999.0));
        assert!(!confirm.press("jump", true, 5000.0), "each time anew");
        assert!(!confirm.press("jump", true, 9000.0), "too late");
        assert!(!confirm.press("pounce", true, 9100.0));
        assert!(!confirm.press("jump", true, 9200.0), "another one came between");
    }

    #[test]
    fn the_stop_is_pressed_once_however_shaky_the_finger() {
        let mut button = StopButton::default();
        assert!(button.look(true, 0.0) && !button.look(true, 100.0));
        assert!(!button.look(false, 200.0) && !button.look(true, 300.0));
        assert!(!button.look(false, 400.0) && button.look(true, 1500.0));
    }
}
