//! How far the gripper moves for a motion of the hand.

use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::{Map, Value};

use super::message::number;
use super::{Refusal, RefusalKind};

/// Factors that [`super::Clutch`] applies to the motion of a controller; on the wire each is within
/// [`MotionScale::RANGE`].
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
    /// What a factor may be.
    pub const RANGE: RangeInclusive<f64> = 0.1..=2.0;

    /// Whether both factors are in range.
    pub fn in_range(&self) -> bool {
        Self::RANGE.contains(&self.pos) && Self::RANGE.contains(&self.rot)
    }

    /// Values out of range are clamped.
    pub(super) fn from_fields(fields: &Map<String, Value>) -> Result<Self, Refusal> {
        let value = fields.get("value").and_then(Value::as_object);
        let value = value.ok_or_else(|| Refusal::new(RefusalKind::WrongType, "value", "must be an object"))?;
        let scale = |key| number(value, key).map(|scale| scale.clamp(*Self::RANGE.start(), *Self::RANGE.end()));
        Ok(Self { pos: scale("pos")?, rot: scale("rot")? })
    }

    /// `None` for what is no scale.
    pub(super) fn from_value(value: &Value) -> Option<Self> {
        let scale = Self { pos: value["pos"].as_f64()?, rot: value["rot"].as_f64()? };
        scale.in_range().then_some(scale)
    }
}
