//! Messages in the form in which the vectors write them.

use serde_json::{Value, json};
use waldo_protocol::policy::{self, AppMap, ArrayRef};

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

pub(super) fn frame(entry: &Value) -> Vec<u8> {
    hex(entry["hex"].as_str().unwrap())
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A value of the application as the vectors write it.
fn to_json(value: &policy::Value) -> Value {
    match value {
        policy::Value::Nil => Value::Null,
        policy::Value::Boolean(flag) => json!(flag),
        policy::Value::String(text) => json!(text.as_str().unwrap()),
        policy::Value::Binary(bytes) => json!({"$bin": to_hex(bytes)}),
        policy::Value::Array(values) => values.iter().map(to_json).collect(),
        policy::Value::Map(entries) => {
            entries.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), to_json(value))).collect()
        }
        number => json!(number.as_f64().unwrap()),
    }
}

pub(super) fn map_json(map: &AppMap) -> Value {
    Value::Object(map.iter().map(|(key, value)| (key.to_owned(), to_json(value))).collect())
}

pub(super) fn stamps_json(stamps: &[(String, f64)]) -> Value {
    Value::Object(stamps.iter().map(|(name, stamp)| (name.clone(), json!(stamp))).collect())
}

/// Shape, element type and elements of an array, in the form that `expected` has.
pub(super) fn array_json(array: &ArrayRef, frame: &[u8], expected: &Value) -> Value {
    let view = array.view(frame).unwrap();
    let values: Vec<f64> = view.f64s().collect();
    let all =
        json!({"shape": view.shape(), "dtype": view.dtype().name(), "values": values, "hex": to_hex(view.data())});
    let asked = expected.as_object().unwrap();
    Value::Object(all.as_object().unwrap().iter().filter(|(k, _)| asked.contains_key(*k)).map(own).collect())
}

pub(super) fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}
