//! The stop latch.

use serde_json::{Map, Value};

use super::message::{Message, integer};

/// Sets the stop latch, or clears it: while it is set, nothing moves. Sent on every open path at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The client's number; the same number counts once. A stop counts without one too.
    pub n: Option<i64>,
    /// Clears the latch instead of setting it.
    pub clear: bool,
}

impl Stop {
    pub(super) fn encode(self) -> String {
        let message = Message::new("stop");
        let message = if let Some(n) = self.n { message.with("n", &n) } else { message };
        if self.clear { message.with("clear", &true).finish() } else { message.finish() }
    }

    /// Only a true `clear` clears: whatever else it holds, the message sets the latch.
    pub(super) fn from_fields(fields: &Map<String, Value>) -> Self {
        Self { n: integer(fields, "n").ok(), clear: fields.get("clear") == Some(&Value::Bool(true)) }
    }
}
