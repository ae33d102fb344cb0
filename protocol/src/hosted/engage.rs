//! The engage button of one hand: the arm follows only while it is held, or, with hand tracking, from pinch to pinch.

use super::frames::HandDelta;
use crate::geometry::{Base, Pose};

/// What the engage button does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngageBy {
    /// Engaged while it is held: a controller's primary button.
    #[default]
    Hold,
    /// Each press engages or disengages: a pinch of a tracked hand.
    Toggle,
}

/// Whether one hand engages its arm, and from which pose on its motion counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Engage {
    by: EngageBy,
    /// The pose at the moment of engaging.
    baseline: Option<Pose<Base>>,
    /// After a stop, silence or the operator's loss: nothing engages before the button was seen released.
    wait_for_release: bool,
    held: bool,
}

impl Engage {
    /// A disengaged hand.
    pub const fn new(by: EngageBy) -> Self {
        Self { by, baseline: None, wait_for_release: false, held: false }
    }

    /// Whether the arm follows.
    pub const fn engaged(&self) -> bool {
        self.baseline.is_some()
    }

    /// Whether the button must be seen released first.
    pub const fn waits_for_release(&self) -> bool {
        self.wait_for_release
    }

    /// One tick: `primary` is the button, `None` without a controller, `pose` the hand's newest pose while it is fresh.
    /// True if the arm follows from here on.
    pub fn update(&mut self, primary: Option<bool>, pose: Option<&Pose<Base>>) -> bool {
        let Some(held) = primary else { return self.engaged() };
        let pressed = held && !std::mem::replace(&mut self.held, held);
        if !held {
            self.wait_for_release = false;
        }
        if self.wait_for_release {
            return false;
        }
        match (self.by, self.engaged()) {
            (EngageBy::Hold, false) if held => self.baseline = pose.copied(),
            (EngageBy::Hold, true) if !held => self.baseline = None,
            (EngageBy::Toggle, false) if pressed => self.baseline = pose.copied(),
            (EngageBy::Toggle, true) if pressed => self.baseline = None,
            _ => {}
        }
        self.engaged()
    }

    /// The button was seen released, in whatever message.
    pub fn released(&mut self) {
        self.held = false;
        self.wait_for_release = false;
        if self.by == EngageBy::Hold {
            self.baseline = None;
        }
    }

    /// Disengages from outside; only a press that follows a release engages again. True if the arm followed.
    pub fn stop(&mut self) -> bool {
        self.wait_for_release = true;
        self.baseline.take().is_some()
    }

    /// Keeps what the arm was asked for so far when the scale becomes `ratio` times what it was: the next
    /// [`Engage::delta`] with the new scale is the last one with the old.
    pub fn rescale(&mut self, current: &Pose<Base>, ratio: f64) {
        let Some(baseline) = &mut self.baseline else { return };
        let moved = current.position() - baseline.position();
        match Pose::new(current.position() - moved / ratio, baseline.orientation()) {
            Ok(rebased) => *baseline = rebased,
            Err(_) => drop(self.stop()),
        }
    }

    /// The motion since engaging, with its position times `scale`; `None` while disengaged.
    pub fn delta(&self, current: &Pose<Base>, scale: f64) -> Option<HandDelta> {
        self.baseline.as_ref().map(|baseline| HandDelta::between(baseline, current, scale))
    }
}
