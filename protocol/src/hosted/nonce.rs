//! What tells one command of an operator from its repetition.

use serde::Serialize;
use serde_json::{Number, Value};

/// Longest text of a nonce, bytes.
pub const MAX_NONCE: usize = 128;

/// The number or text by which a command is acknowledged, echoed as it came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Nonce {
    /// A JSON number.
    Number(Number),
    /// A text of at most [`MAX_NONCE`] bytes.
    Text(String),
}

impl Nonce {
    /// Nothing if there is none; an error if it is neither number nor text, or too long.
    pub(super) fn read(value: Option<&Value>) -> Result<Option<Self>, ()> {
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => Ok(Some(Self::Number(number.clone()))),
            Some(Value::String(text)) if text.len() <= MAX_NONCE => Ok(Some(Self::Text(text.clone()))),
            Some(_) => Err(()),
        }
    }
}

impl From<u64> for Nonce {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Nonce {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
