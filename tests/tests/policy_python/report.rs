//! What was seen, in the form of `waldo_policy/report.py`: arrays and numbers as hexadecimal bytes, little endian.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use waldo_protocol::policy::{self, AppMap, ArrayRef, Image, Observation, Outcome};

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

/// Shape, element type and bytes of an array in the frame.
pub(crate) fn array(array: &ArrayRef, frame: &[u8]) -> Value {
    json!({"shape": array.shape(), "dtype": array.dtype().name(), "hex": hex(&frame[array.bytes()])})
}

/// A square matrix, row major.
pub(crate) fn matrix(numbers: &[f64], side: usize) -> Value {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    json!({"shape": [side, side], "dtype": "float64", "hex": hex(&bytes)})
}

/// An observation in its frame.
pub(crate) fn observation(observation: &Observation, frame: &[u8]) -> Value {
    let camera = |camera: &policy::Camera| {
        let Image::Raw(image) = &camera.image else { panic!("{:?} was not negotiated", camera.image) };
        json!({
            "name": camera.name,
            "timestamp": number(camera.timestamp),
            "intrinsics": matrix(&camera.intrinsics, 3),
            "extrinsics": matrix(&camera.extrinsics, 4),
            "image": array(image, frame),
            "depth": camera.depth.as_ref().map(|depth| array(depth, frame)),
        })
    };
    let proprios: Map<_, _> =
        observation.proprios.iter().map(|proprio| (proprio.name.clone(), array(&proprio.array, frame))).collect();
    json!({
        "timestamp": number(observation.timestamp),
        "cameras": observation.cameras.iter().map(camera).collect::<Vec<_>>(),
        "proprios": proprios,
        "extra": map(&observation.extra),
    })
}

/// Adds what a reply has behind its observation.
pub(crate) fn add_outcome(report: &mut Value, outcome: Outcome) {
    report["reward"] = msgpack(&outcome.reward.into());
    report["terminated"] = msgpack(&outcome.terminated.into());
    report["truncated"] = msgpack(&outcome.truncated.into());
}
