//! What both controllers hold, in one word, for whatever follows the hands.

use super::{Hand, HandJoy, MIN_BUTTONS};
use crate::lcm::UInt32;

/// An axis beyond this counts as pressed.
const PRESSED: f64 = 0.5;
/// A full trigger.
const FULL: f64 = 127.0;
const TRIGGER: usize = 0;
const GRIP: usize = 1;

/// Seven bits and a trigger of each hand; bits 7, 15, 30 and 31 are always zero, so that the word is never negative.
///
/// Bits 0 to 6 are the left hand's trigger, grip, touchpad, thumbstick, primary, secondary and menu; bits 8 to 14 the
/// right hand's; bits 16 to 22 and 23 to 29 the triggers, 0 to 127.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Buttons(u32);

impl Buttons {
    const USED: u32 = 0x3fff_7f7f;

    /// The word of both controllers, left first; one that is missing holds nothing. Trigger and grip count by how far they
    /// are pulled, not by the controller's own buttons. Without `analog` the triggers' bits stay zero, as robots that drive
    /// have it.
    pub fn pack(controllers: &[Option<HandJoy>; 2], analog: bool) -> Self {
        let mut word = 0;
        for (hand, joy) in [Hand::Left, Hand::Right].into_iter().zip(controllers) {
            let Some(joy) = joy else { continue };
            let mut held = joy.buttons;
            held[TRIGGER] = joy.trigger > PRESSED;
            held[GRIP] = joy.grip > PRESSED;
            let bits = held.into_iter().rev().fold(0, |bits, held| bits << 1 | u32::from(held));
            word |= bits << held_shift(hand);
            if analog {
                word |= seven_bits(joy.trigger) << trigger_shift(hand);
            }
        }
        Self(word)
    }

    /// A word as it came; bits without meaning are dropped.
    pub const fn from_word(word: u32) -> Self {
        Self(word & Self::USED)
    }

    /// The word.
    pub const fn word(self) -> u32 {
        self.0
    }

    /// What a hand holds, in the order of [`HandJoy::buttons`].
    pub fn held(self, hand: Hand) -> [bool; MIN_BUTTONS] {
        std::array::from_fn(|button| self.0 >> held_shift(hand) >> button & 1 == 1)
    }

    /// Whether a hand holds the button that engages.
    pub fn primary(self, hand: Hand) -> bool {
        self.held(hand)[HandJoy::PRIMARY]
    }

    /// How far a hand's trigger is pulled, 0 to 1; 0 from robots that drive.
    pub fn trigger(self, hand: Hand) -> f64 {
        f64::from(self.0 >> trigger_shift(hand) & 0x7f) / FULL
    }
}

const fn held_shift(hand: Hand) -> u32 {
    match hand {
        Hand::Left => 0,
        Hand::Right => 8,
    }
}

const fn trigger_shift(hand: Hand) -> u32 {
    match hand {
        Hand::Left => 16,
        Hand::Right => 23,
    }
}

/// 0 for what is not a number: a gripper must not close because of it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 127")]
fn seven_bits(trigger: f64) -> u32 {
    (trigger.clamp(0.0, 1.0) * FULL).round_ties_even() as u32
}

impl From<Buttons> for UInt32 {
    fn from(buttons: Buttons) -> Self {
        Self { data: buttons.0.cast_signed() }
    }
}

impl From<UInt32> for Buttons {
    fn from(message: UInt32) -> Self {
        Self::from_word(message.data.cast_unsigned())
    }
}
