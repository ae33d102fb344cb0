//! Reading JSON objects whose fields are taken one by one, so that one bad field does not cost the others.

use serde_json::{Map, Value};

/// Why a message of a data channel was not read. It is dropped and counted; the channel lives on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It does not begin with a brace: to be ignored without a word.
    #[error("not a JSON object")]
    NotAnObject,
    /// It is no JSON.
    #[error("malformed JSON: {0}")]
    Malformed(String),
    /// A field is missing or wrong without which it means nothing, and nothing can be refused by its nonce.
    #[error("{0} is missing or wrong")]
    Field(&'static str),
}

/// An object from a text or binary frame.
pub(super) fn object(frame: &[u8]) -> Result<Map<String, Value>, Unreadable> {
    if frame.first() != Some(&b'{') {
        return Err(Unreadable::NotAnObject);
    }
    serde_json::from_slice(frame).map_err(|error| Unreadable::Malformed(error.to_string()))
}

/// The fields of an object; what does not fit counts as missing.
pub(super) trait Fields {
    fn text(&self, key: &str) -> Option<&str>;
    fn number(&self, key: &str) -> Option<f64>;
    fn flag(&self, key: &str) -> Option<bool>;
    fn object(&self, key: &str) -> Option<&Map<String, Value>>;
}

impl Fields for Map<String, Value> {
    fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(Value::as_f64)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(Value::as_bool)
    }

    fn object(&self, key: &str) -> Option<&Map<String, Value>> {
        self.get(key).and_then(Value::as_object)
    }
}

/// JSON text of what always has one.
pub(super) fn encode(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("text keys and plain values")
}
