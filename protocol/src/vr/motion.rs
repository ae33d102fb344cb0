//! How far the gripper moves for a motion of the hand.

use serde::Serialize;
use serde_json::{Map, Value};

use super::message::number;
use super::{Refusal, RefusalKind};

/// Scale of the clutch, each 0.1 to 2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MotionScale {
    /// Of positions.
    pub pos: f64,
    /// Of rotations.
    pub rot: f64,
}

impl MotionScale {
    /// Values out of range are clamped.
    pub(super) fn from_fields(fields: &Map<String, Value>) -> Result<Self, Refusal> {
        let value = fields.get("value").and_then(Value::as_object);
        let value = value.ok_or_else(|| Refusal::new(RefusalKind::WrongType, "value", "must be an object"))?;
        let scale = |key| number(value, key).map(|scale| scale.clamp(0.1, 2.0));
        Ok(Self { pos: scale("pos")?, rot: scale("rot")? })
    }
}
