//! Pulses that the operator feels.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Hands;
use super::message::{Message, integer, number};
use super::names::wire_names;

wire_names! {
    /// What a pulse is about.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum HapticPattern {
        /// The arms follow now.
        Engage = "engage",
        /// The arms no longer follow.
        Disengage = "disengage",
        /// Motion is limited.
        Clamp = "clamp",
        /// Motion is held.
        Hold = "hold",
        /// The arm touches something.
        Contact = "contact",
    }
}

/// One pulse; it replaces one that is running.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Haptic {
    /// Which controllers.
    pub hand: Hands,
    /// Strength, 0 to 1.
    pub amplitude: f64,
    /// Length in milliseconds, 1 to 2000.
    pub ms: u16,
    /// What it is about, if told.
    pub pattern: Option<HapticPattern>,
}

impl Haptic {
    pub(super) fn encode(self) -> String {
        let message = Message::new("haptic")
            .with("hand", &self.hand)
            .with("amplitude", &self.amplitude.clamp(0.0, 1.0))
            .with("ms", &self.ms.clamp(1, 2000));
        match self.pattern {
            Some(pattern) => message.with("pattern", &pattern).finish(),
            None => message.finish(),
        }
    }

    /// Values out of range are clamped.
    pub(super) fn from_fields(fields: &Map<String, Value>) -> Option<Self> {
        let ms = integer(fields, "ms").ok()?.clamp(1, 2000);
        Some(Self {
            hand: Hands::deserialize(fields.get("hand")?).ok()?,
            amplitude: number(fields, "amplitude").ok()?.clamp(0.0, 1.0),
            ms: u16::try_from(ms).ok()?,
            pattern: fields.get("pattern").and_then(Value::as_str).and_then(HapticPattern::from_name),
        })
    }
}
