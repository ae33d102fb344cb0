//! Whole numbers from peers that write them as floats.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

/// A whole number, null or nothing; 16.0 is 16.
#[expect(clippy::cast_possible_truncation, reason = "a whole number within the range of both")]
pub(super) fn whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else { return Ok(None) };
    let integer = number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
    });
    let fits = integer.and_then(|integer| T::try_from(integer).ok());
    let wrong = || D::Error::invalid_value(Unexpected::Other(&format!("number {number}")), &"a whole number in range");
    fits.map(Some).ok_or_else(wrong)
}

/// The same where it must be there.
pub(super) fn required<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<T, D::Error> {
    whole(deserializer)?.ok_or_else(|| D::Error::invalid_type(Unexpected::Unit, &"a whole number"))
}
