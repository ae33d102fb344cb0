//! Why a message was refused.

use std::borrow::Cow;

use crate::geometry::InvalidPose;

/// Kind of a refused message, for counters and rate-limited logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RefusalKind {
    /// Not JSON.
    NotJson,
    /// JSON, but neither a pose object nor signalling.
    NotAnObject,
    /// A required field is missing.
    MissingField,
    /// A field has the wrong type.
    WrongType,
    /// A number is not finite.
    NotFinite,
    /// A value is out of its range.
    OutOfRange,
    /// A quaternion of zero length.
    ZeroQuaternion,
    /// Binary where text is spoken.
    Binary,
}

impl RefusalKind {
    /// The kind's name in counters and logs, such as `not_json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::NotFinite => "not_finite",
            Self::OutOfRange => "out_of_range",
            Self::ZeroQuaternion => "zero_quaternion",
            Self::Binary => "binary",
        }
    }
}

impl From<InvalidPose> for RefusalKind {
    fn from(invalid: InvalidPose) -> Self {
        match invalid {
            InvalidPose::NotFinite => Self::NotFinite,
            InvalidPose::OutOfRange => Self::OutOfRange,
            InvalidPose::ZeroQuaternion => Self::ZeroQuaternion,
        }
    }
}

/// Why a message was refused; names the offending field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct Refusal {
    /// The kind.
    pub kind: RefusalKind,
    /// Path of the offending field, such as `l_ee.position.x`; `message` for the whole.
    pub field: &'static str,
    /// What is wrong with it. Never holds a value of the message.
    pub detail: Cow<'static, str>,
}

impl Refusal {
    /// A refusal of `field`.
    pub fn new(kind: RefusalKind, field: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, field, detail: detail.into() }
    }

    /// A refusal of the whole message.
    pub fn of_message(kind: RefusalKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, "message", detail)
    }
}
