//! Maps of the application: `data`, `extra` and `info`.

use super::fields::Field;
use super::reader::{MAX_DEPTH, MAX_VALUES};
use super::{Value, WireError};

/// A map of the application with text keys, in their order. Passed on as it is; nothing of ours is put inside.
///
/// ```
/// use waldo_protocol::policy::AppMap;
///
/// let mut metadata = AppMap::default();
/// metadata.insert("rate", 30.0)?;
/// assert_eq!(metadata.get("rate").and_then(|rate| rate.as_f64()), Some(30.0));
/// # Ok::<(), waldo_protocol::policy::NotForTheWire>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppMap(Vec<(String, Value)>);

/// A value that no peer would accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key:?}: keys of nested maps must be text, and nothing may be nested deeper than 126 levels")]
pub struct NotForTheWire {
    /// Key of the refused value.
    pub key: String,
}

impl AppMap {
    /// Sets a value, in the place of an earlier one of that key.
    ///
    /// # Errors
    /// A value that has a map with keys that are not text, or is nested too deep.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Result<(), NotForTheWire> {
        let (key, value) = (key.into(), value.into());
        // The header and this map are two levels.
        if !fits(&value, MAX_DEPTH - 2) {
            return Err(NotForTheWire { key });
        }
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, place)) => *place = value,
            None => self.0.push((key, value)),
        }
        Ok(())
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// Keys and values in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A missing one, or nil, is empty.
    pub(super) fn from_field(field: &Field<'_>) -> Result<Self, WireError> {
        let entries = field.optional(|field| field.entries(MAX_VALUES))?;
        Ok(Self(entries.unwrap_or_default()))
    }
}

fn fits(value: &Value, levels: usize) -> bool {
    let inner = levels.checked_sub(1);
    match value {
        Value::Array(values) => inner.is_some_and(|levels| values.iter().all(|value| fits(value, levels))),
        Value::Map(entries) => {
            inner.is_some_and(|levels| entries.iter().all(|(key, value)| key.as_str().is_some() && fits(value, levels)))
        }
        Value::String(text) => text.is_str(),
        _ => true,
    }
}
