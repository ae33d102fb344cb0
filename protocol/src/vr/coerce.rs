//! What a JSON value of a pose field may be instead of its proper type.
//!
//! The table of the original: numbers as decimal text, booleans as numbers, and so on. A value that does not fit is
//! kept as a fault in its [`Slot`] instead of failing at once, because a later key may turn the whole message into
//! signalling, or the same key may come again with a better value.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{Deserialize, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{EpisodeOp, Refusal, RefusalKind, VrState};

/// Integers beyond ±(2^53 − 1) have no exact form in a browser.
pub(super) const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// What was read for one key so far.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot<T> {
    Missing,
    Bad(RefusalKind),
    Read(T),
}

impl<T: Coerce> Slot<T> {
    pub(super) fn required(self, field: &'static str) -> Result<T, Refusal> {
        match self {
            Self::Read(value) => Ok(value),
            Self::Missing => Err(Refusal::new(RefusalKind::MissingField, field, "is missing")),
            Self::Bad(kind) => Err(refuse::<T>(kind, field)),
        }
    }

    pub(super) fn or(self, field: &'static str, default: T) -> Result<T, Refusal> {
        match self {
            Self::Read(value) => Ok(value),
            Self::Missing => Ok(default),
            Self::Bad(kind) => Err(refuse::<T>(kind, field)),
        }
    }
}

#[cold]
fn refuse<T: Coerce>(kind: RefusalKind, field: &'static str) -> Refusal {
    let detail = match kind {
        RefusalKind::NotFinite => "is not a finite number",
        RefusalKind::OutOfRange => "is out of range",
        _ => T::EXPECTED,
    };
    Refusal::new(kind, field, detail)
}

/// A type of pose field: what it takes from each kind of JSON value. The default is to refuse.
pub(super) trait Coerce: Sized {
    const EXPECTED: &'static str;

    fn from_bool(_: bool) -> Result<Self, RefusalKind> {
        Err(RefusalKind::WrongType)
    }
    /// Integers come as the nearest float too: every range of the wire ends where floats still hold integers exactly.
    fn from_number(_: f64) -> Result<Self, RefusalKind> {
        Err(RefusalKind::WrongType)
    }
    fn from_text(_: &str) -> Result<Self, RefusalKind> {
        Err(RefusalKind::WrongType)
    }
    fn from_null() -> Result<Self, RefusalKind> {
        Err(RefusalKind::WrongType)
    }
}

impl Coerce for f64 {
    const EXPECTED: &'static str = "must be a number";

    fn from_bool(value: bool) -> Result<Self, RefusalKind> {
        Ok(f64::from(u8::from(value)))
    }
    fn from_number(value: f64) -> Result<Self, RefusalKind> {
        if value.is_finite() { Ok(value) } else { Err(RefusalKind::NotFinite) }
    }
    fn from_text(text: &str) -> Result<Self, RefusalKind> {
        // The standard library's grammar is decimal text plus the words for infinity and not-a-number.
        text.trim().parse().map_err(|_| RefusalKind::WrongType).and_then(Self::from_number)
    }
}

impl Coerce for Option<f64> {
    const EXPECTED: &'static str = "must be a number or null";

    fn from_bool(value: bool) -> Result<Self, RefusalKind> {
        f64::from_bool(value).map(Some)
    }
    fn from_number(value: f64) -> Result<Self, RefusalKind> {
        f64::from_number(value).map(Some)
    }
    fn from_text(text: &str) -> Result<Self, RefusalKind> {
        f64::from_text(text).map(Some)
    }
    fn from_null() -> Result<Self, RefusalKind> {
        Ok(None)
    }
}

impl Coerce for Option<i64> {
    const EXPECTED: &'static str = "must be an integer or null";

    fn from_bool(value: bool) -> Result<Self, RefusalKind> {
        Ok(Some(i64::from(value)))
    }
    fn from_number(value: f64) -> Result<Self, RefusalKind> {
        if !value.is_finite() {
            return Err(RefusalKind::NotFinite);
        }
        if value.abs() > MAX_SAFE_INTEGER {
            return Err(RefusalKind::OutOfRange);
        }
        if value.fract() != 0.0 {
            return Err(RefusalKind::WrongType);
        }
        #[expect(clippy::cast_possible_truncation, reason = "an integer within ±(2^53−1)")]
        Ok(Some(value as i64))
    }
    fn from_text(text: &str) -> Result<Self, RefusalKind> {
        let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if !decimal || fraction.bytes().any(|b| b != b'0') {
            return Err(RefusalKind::WrongType);
        }
        Self::from_number(whole.parse().map_err(|_| RefusalKind::WrongType)?).map_err(|kind| {
            match kind {
                // Digits never spell infinity; there are only too many of them.
                RefusalKind::NotFinite => RefusalKind::OutOfRange,
                other => other,
            }
        })
    }
    fn from_null() -> Result<Self, RefusalKind> {
        Ok(None)
    }
}

impl Coerce for bool {
    const EXPECTED: &'static str = "must be true or false";

    fn from_bool(value: bool) -> Result<Self, RefusalKind> {
        Ok(value)
    }
    fn from_number(value: f64) -> Result<Self, RefusalKind> {
        if value == 0.0 {
            Ok(false)
        } else if value == 1.0 {
            Ok(true)
        } else {
            Err(RefusalKind::WrongType)
        }
    }
    fn from_text(text: &str) -> Result<Self, RefusalKind> {
        let any = |words: &[&str]| words.iter().any(|w| w.eq_ignore_ascii_case(text));
        if any(&["true", "1", "yes", "on", "t", "y"]) {
            Ok(true)
        } else if any(&["false", "0", "no", "off", "f", "n"]) {
            Ok(false)
        } else {
            Err(RefusalKind::WrongType)
        }
    }
}

impl Coerce for VrState {
    const EXPECTED: &'static str = "must be teleop, data_collection, recording, saving or error";

    fn from_text(text: &str) -> Result<Self, RefusalKind> {
        Self::from_name(text).ok_or(RefusalKind::WrongType)
    }
}

impl Coerce for EpisodeOp {
    const EXPECTED: &'static str = "must be start, save or discard";

    fn from_text(text: &str) -> Result<Self, RefusalKind> {
        Self::from_name(text).ok_or(RefusalKind::WrongType)
    }
}

impl<'de, T: Coerce> Deserialize<'de> for Slot<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor(PhantomData))
    }
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<T> From<Result<T, RefusalKind>> for Slot<T> {
    fn from(result: Result<T, RefusalKind>) -> Self {
        result.map_or_else(Self::Bad, Self::Read)
    }
}

impl<'de, T: Coerce> Visitor<'de> for ScalarVisitor<T> {
    type Value = Slot<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(T::from_bool(value).into())
    }
    #[expect(clippy::cast_precision_loss, reason = "see Coerce::from_number")]
    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(T::from_number(value as f64).into())
    }
    #[expect(clippy::cast_precision_loss, reason = "see Coerce::from_number")]
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(T::from_number(value as f64).into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(T::from_number(value).into())
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::from_text(text).into())
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(T::from_null().into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_seq(seq)?;
        Ok(Slot::Bad(RefusalKind::WrongType))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_map(map)?;
        Ok(Slot::Bad(RefusalKind::WrongType))
    }
}
