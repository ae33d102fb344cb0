//! What a Joy of a hand says.

use super::staleness::Dropped;

/// The fewest axes of a Joy of a hand.
pub const MIN_AXES: usize = 4;
/// The buttons of a Joy of a hand: trigger, grip, touchpad, thumbstick, primary, secondary, menu.
pub const MIN_BUTTONS: usize = 7;

/// Sticks, trigger, grip and buttons of one hand's controller, all finite.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HandJoy {
    /// Stick: x right positive, y pulled back positive.
    pub stick: [f64; 2],
    /// 0 to 1.
    pub trigger: f64,
    /// 0 to 1.
    pub grip: f64,
    /// In the order of the wire.
    pub buttons: [bool; MIN_BUTTONS],
}

impl HandJoy {
    /// The button that engages, X or A.
    pub const PRIMARY: usize = 4;

    /// Reads the axes and buttons of a message; more than the contract asks for are ignored.
    ///
    /// # Errors
    /// [`Dropped::JoyContract`] if there are too few, [`Dropped::NotFinite`] if an axis is not finite.
    pub fn read(axes: &[f32], buttons: &[i32]) -> Result<Self, Dropped> {
        let (&[x, y, trigger, grip, ..], Some(pressed)) = (axes, buttons.first_chunk::<MIN_BUTTONS>()) else {
            return Err(Dropped::JoyContract);
        };
        if ![x, y, trigger, grip].iter().all(|axis| axis.is_finite()) {
            return Err(Dropped::NotFinite);
        }
        Ok(Self {
            stick: [x.into(), y.into()],
            trigger: trigger.into(),
            grip: grip.into(),
            buttons: pressed.map(|button| button > 0),
        })
    }

    /// Lets go of what a message that does not count otherwise shows as released.
    pub fn release(&mut self, seen: &Self) {
        (self.trigger, self.grip) = (self.trigger.min(seen.trigger), self.grip.min(seen.grip));
        for (held, seen) in self.buttons.iter_mut().zip(seen.buttons) {
            *held &= seen;
        }
    }

    /// Whether the button that engages is held.
    pub const fn primary(&self) -> bool {
        self.buttons[Self::PRIMARY]
    }
}
