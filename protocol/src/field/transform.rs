//! Where something is and how it moves, in the world of the field: +Y up, −Z forward, +X right, floor at y = 0.

use serde::Serialize;

/// Least and greatest norm of a rotation that is taken for a unit quaternion.
pub const ROTATION_NORM: std::ops::RangeInclusive<f64> = 0.5..=2.0;

/// A pose in the world of the field.
///
/// The rotation is passed on as it came, of a norm within [`ROTATION_NORM`]; it is normalised where it is used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Transform {
    /// Position, metres.
    pub translation: [f64; 3],
    /// Orientation as a quaternion x, y, z, w.
    pub rotation_xyzw: [f64; 4],
}

impl Transform {
    /// The origin, not turned.
    pub const IDENTITY: Self = Self::at([0.0; 3]);

    /// That position, not turned.
    pub const fn at(translation: [f64; 3]) -> Self {
        Self { translation, rotation_xyzw: [0.0, 0.0, 0.0, 1.0] }
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        finite(&self.translation) && finite(&self.rotation_xyzw)
    }
}

/// Velocities in the world of the field; zeros where a message has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Twist {
    /// Metres per second.
    pub linear: [f64; 3],
    /// Radians per second, about the axes of the world.
    pub angular: [f64; 3],
}

impl Twist {
    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        finite(&self.linear) && finite(&self.angular)
    }
}

pub(super) fn finite(numbers: &[f64]) -> bool {
    numbers.iter().all(|number| number.is_finite())
}
