//! Where something is and how it moves, in the world of the field: +Y up, −Z forward, +X right, floor at y = 0.

use serde::{Deserializer, Serialize};

use super::Invalid;
use super::object::object;
use super::read::{At, Rotation, Wire, from_json};

/// Least and greatest norm of a rotation that is taken for a unit quaternion.
pub const ROTATION_NORM: std::ops::RangeInclusive<f64> = 0.5..=2.0;

/// A pose in the world of the field.
///
/// The rotation is passed on as it came and normalised where it is used. What comes from a headset has a norm within
/// [`ROTATION_NORM`]; in a scene of somebody else's server it can be anything finite.
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

    /// Reads a JSON object with both keys.
    ///
    /// # Errors
    /// The reason, as on the wire.
    pub fn from_json(text: &str) -> Result<Self, Invalid> {
        from_json("Transform", text)
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        finite(&self.translation) && finite(&self.rotation_xyzw)
    }
}

object! {
    Transform {
        translation: [f64; 3],
        rotation_xyzw: Rotation,
    }
}

/// A transform of a scene, which may be turned by anything: what one user sends shall blind nobody.
pub(super) struct AnyTransform {
    translation: [f64; 3],
    rotation_xyzw: [f64; 4],
}

object! {
    AnyTransform {
        translation: [f64; 3],
        rotation_xyzw: [f64; 4],
    }
}

impl From<AnyTransform> for Transform {
    fn from(AnyTransform { translation, rotation_xyzw }: AnyTransform) -> Self {
        Self { translation, rotation_xyzw }
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
    /// Reads a JSON object with both keys, or none.
    ///
    /// # Errors
    /// The reason, as on the wire.
    pub fn from_json(text: &str) -> Result<Self, Invalid> {
        from_json("Twist", text)
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        finite(&self.linear) && finite(&self.angular)
    }
}

struct TwistFields {
    linear: Option<[f64; 3]>,
    angular: Option<[f64; 3]>,
}

object! {
    TwistFields {
        linear: [f64; 3] = None,
        angular: [f64; 3] = None,
    }
}

impl<'de> Wire<'de> for Twist {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        let missing = |key| serde::de::Error::custom(Invalid::missing(key));
        match TwistFields::read(at, deserializer)? {
            TwistFields { linear: Some(linear), angular: Some(angular) } => Ok(Self { linear, angular }),
            TwistFields { linear: None, angular: None } => Ok(Self::default()),
            TwistFields { linear: None, .. } => Err(missing("linear")),
            TwistFields { angular: None, .. } => Err(missing("angular")),
        }
    }
}

pub(super) fn finite(numbers: &[f64]) -> bool {
    numbers.iter().all(|number| number.is_finite())
}
