//! How far the gripper moves for a motion of the hand.

use serde::Serialize;
use serde_json::{Map, Value};

use super::message::number;
use super::{Refusal, RefusalKind};

/// Factors that [`super::Clutch`] applies to the motion of a controller; on the wire each is within 0.1…2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MotionScale {
    /// Of positions, 1 by default.
    pub pos: f64,
    /// Of rotations, 1 by default: scales the angle, keeps the axis.
    pub rot: f64,
}

impl Default for MotionScale {
    fn default() -> Self {
        Self { pos: 1.0, rot: 1.0 }
    }
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
