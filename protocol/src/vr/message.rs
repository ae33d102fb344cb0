//! Writing the one shape that every message but the pose frame has: a flat object, `type` first.

use serde::Serialize;

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
