//! The published examples of the VR wire.

use anyhow::{Context, Result};
use serde_json::Value;

/// All examples of one kind, such as `c2s`, `connect` or `scenario`.
///
/// # Errors
/// If the file is none of examples.
pub fn vectors(direction: &str) -> Result<Vec<Value>> {
    Ok(all()?.into_iter().filter(|example| example["direction"] == direction).collect())
}

/// The example of this name.
///
/// # Errors
/// If there is none.
pub fn vector(name: &str) -> Result<Value> {
    all()?.into_iter().find(|example| example["name"] == name).with_context(|| format!("no example {name}"))
}

fn all() -> Result<Vec<Value>> {
    Ok(serde_json::from_str(include_str!("../vectors/vr.json"))?)
}

/// Whether this is what an example wants: `<any>` stands for any text, `<ms>` for any number.
pub fn matches(got: &Value, wanted: &Value) -> bool {
    match (got, wanted) {
        (Value::String(_), Value::String(any)) if any == "<any>" => true,
        (Value::Number(_), Value::String(any)) if any == "<ms>" => true,
        (Value::Object(g), Value::Object(w)) => {
            g.len() == w.len() && w.iter().all(|(k, v)| g.get(k).is_some_and(|g| matches(g, v)))
        }
        (Value::Array(g), Value::Array(w)) => g.len() == w.len() && g.iter().zip(w).all(|(g, w)| matches(g, w)),
        _ => got == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_an_example_leaves_open_may_differ() {
        let wanted = json!({"a": "<any>", "b": ["<ms>", 1]});
        assert!(matches(&json!({"a": "x", "b": [0.5, 1]}), &wanted));
        for other in [
            json!({"a": 1, "b": [0.5, 1]}),
            json!({"a": "x", "b": ["0.5", 1]}),
            json!({"a": "x", "b": [0.5, 2]}),
            json!({"a": "x", "b": [0.5]}),
            json!({"a": "x", "b": [0.5, 1], "c": 1}),
            json!({"a": "x"}),
        ] {
            assert!(!matches(&other, &wanted), "{other}");
        }
    }
}
