//! JSON as the vectors mean it: 1 and 1.0 are the same number.

use serde_json::Value;

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|b| same(v, b)))
        }
        _ => a == b,
    }
}

#[track_caller]
pub(crate) fn assert_same(actual: &Value, expected: &Value, at: &str) {
    assert!(same(actual, expected), "{at}: {actual} instead of {expected}");
}
