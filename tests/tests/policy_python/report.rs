//! What was seen, in the form of `waldo_policy/report.py`: arrays and numbers as hexadecimal bytes, little endian.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use waldo_policy_client::{AppMap, ArrayView, Camera, Observation, Outcome};
use waldo_protocol::policy;

/// Bytes as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The eight bytes of a number.
pub(crate) fn number(number: f64) -> Value {
    json!(hex(&number.to_le_bytes()))
}

/// The msgpack of a map of the application.
pub(crate) fn map(map: &AppMap) -> Value {
    let entries = map.iter().map(|(key, value)| (key.into(), value.clone())).collect();
    msgpack(&policy::Value::Map(entries))
}

/// The msgpack of a value.
pub(crate) fn msgpack(value: &policy::Value) -> Value {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    json!(hex(&bytes))
}

/// A square matrix, row major.
pub(crate) fn matrix(numbers: &[f64], side: usize) -> Value {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    json!({"shape": [side, side], "dtype": "float64", "hex": hex(&bytes)})
}

/// An array as it was received.
fn array(array: &ArrayView<'_>) -> Value {
    json!({"shape": array.shape(), "dtype": array.dtype().name(), "hex": hex(array.data())})
}

/// An observation as our client shows it.
pub(crate) fn observation(observation: &Observation) -> Value {
    let camera = |camera: Camera<'_>| {
        json!({
            "name": camera.name(),
            "timestamp": number(camera.timestamp()),
            "intrinsics": matrix(camera.intrinsics().as_slice().unwrap(), 3),
            "extrinsics": matrix(camera.extrinsics().as_slice().unwrap(), 4),
            "image": camera.raw().as_ref().map(array),
            "depth": camera.raw_depth().as_ref().map(array),
        })
    };
    let proprios: Map<_, _> = observation
        .proprios()
        .map(|proprio| (proprio.name().to_owned(), json!(proprio.raw().as_ref().map(array))))
        .collect();
    json!({
        "timestamp": number(observation.timestamp()),
        "cameras": observation.cameras().map(camera).collect::<Vec<_>>(),
        "proprios": proprios,
        "extra": map(observation.extra()),
    })
}

/// Adds what a reply has behind its observation.
pub(crate) fn add_outcome(report: &mut Value, outcome: Outcome) {
    report["reward"] = msgpack(&outcome.reward.into());
    report["terminated"] = msgpack(&outcome.terminated.into());
    report["truncated"] = msgpack(&outcome.truncated.into());
}
