//! Writing and reading the one shape that every message but the pose frame has: a flat object, `type` first.

use serde::Serialize;
use serde_json::{Map, Value};

use super::coerce::MAX_SAFE_INTEGER;
use super::{Refusal, RefusalKind};

/// A message under construction.
pub(super) struct Message(String);

impl Message {
    pub(super) fn new(name: &'static str) -> Self {
        Self(format!("{{\"type\":\"{name}\""))
    }

    pub(super) fn with(mut self, key: &'static str, value: &(impl Serialize + ?Sized)) -> Self {
        self.0.push_str(",\"");
        self.0.push_str(key);
        self.0.push_str("\":");
        // Only a map with keys that are not texts could fail; no message holds one.
        self.0.push_str(&serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()));
        self
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A field that must be a finite number.
pub(super) fn number(fields: &Map<String, Value>, field: &'static str) -> Result<f64, Refusal> {
    let number = fields.get(field).and_then(Value::as_f64).filter(|n| n.is_finite());
    number.ok_or_else(|| Refusal::new(RefusalKind::WrongType, field, "must be a number"))
}

/// A field that must be an integer within ±(2^53 − 1).
pub(super) fn integer(fields: &Map<String, Value>, field: &'static str) -> Result<i64, Refusal> {
    let number = number(fields, field)?;
    if number.fract() != 0.0 {
        return Err(Refusal::new(RefusalKind::WrongType, field, "must be an integer"));
    }
    if number.abs() > MAX_SAFE_INTEGER {
        return Err(Refusal::new(RefusalKind::OutOfRange, field, "is out of range"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "an integer within ±(2^53−1)")]
    let integer = number as i64;
    Ok(integer)
}
