//! Reading JSON into values, with the texts of the wire for what does not fit, and nothing built of what is not asked
//! for.

mod many;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, SeqAccess, Visitor};

pub(super) use self::many::{AnyList, AnyNamed, Directors, Lengths, List, Named, Points, Rotation};
use super::Invalid;

/// Longest name that is read: ids, keys of maps, bytes.
pub const MAX_NAME: usize = 256;

/// Where in a message something stands, as refusals name it: a field, and places in its lists.
#[derive(Clone, Copy)]
pub(super) struct At {
    name: &'static str,
    places: [Option<usize>; 2],
}

impl At {
    pub(super) const fn field(name: &'static str) -> Self {
        Self { name, places: [None; 2] }
    }

    const fn place(self, place: usize) -> Self {
        let places = match self.places {
            [None, _] => [Some(place), None],
            [first, _] => [first, Some(place)],
        };
        Self { name: self.name, places }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        self.places.iter().flatten().try_for_each(|place| write!(f, "[{place}]"))
    }
}

/// What can stand in a message.
pub(super) trait Wire<'de>: Sized {
    /// Refusals of an element name its list only.
    const PLAIN: bool = false;

    /// What refusals call a list of it.
    const LIST: &'static str = "a list";

    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error>;
}

/// Reads a [`Wire`] value where serde wants a seed.
pub(super) struct Seed<T>(pub(super) At, PhantomData<T>);

impl<T> Seed<T> {
    pub(super) const fn at(at: At) -> Self {
        Self(at, PhantomData)
    }
}

impl<'de, T: Wire<'de>> DeserializeSeed<'de> for Seed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(self.0, deserializer)
    }
}

/// The value a JSON text is.
pub(super) fn from_json<'de, T: Wire<'de>>(at: &'static str, text: &'de str) -> Result<T, Invalid> {
    from_json_seed(Seed::at(At::field(at)), text)
}

/// As [`from_json`], with a seed of one's own.
pub(super) fn from_json_seed<'de, S: DeserializeSeed<'de>>(seed: S, text: &'de str) -> Result<S::Value, Invalid> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut json).map_err(invalid)?;
    json.end().map_err(invalid)?;
    Ok(value)
}

/// The text of the wire for an error of the parser. What we raise ourselves comes with a position, and what has the
/// wrong type with a description of what was found; neither belongs to the text.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn invalid(error: serde_json::Error) -> Invalid {
    let text = error.to_string();
    if !error.is_data() {
        return Invalid::reason(format!("message is not JSON: {text}"));
    }
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&position).unwrap_or(&text);
    let ours = if text.starts_with("invalid type: ") { text.rsplit_once(", expected ") } else { None };
    Invalid::reason(ours.map_or(text, |(_, ours)| ours))
}

/// A visitor's `expecting` is the whole text of the refusal, see [`invalid`].
macro_rules! expecting {
    ($self:ident, $($text:tt)+) => {
        fn expecting(&$self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, $($text)+)
        }
    };
}
pub(super) use expecting;

impl<'de> Wire<'de> for f64 {
    const PLAIN: bool = true;

    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        struct Number(At);

        impl Visitor<'_> for Number {
            type Value = f64;

            expecting!(self, "{} must be a number", self.0);

            fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
                if number.is_finite() { Ok(number) } else { Err(E::custom(format_args!("{} must be finite", self.0))) }
            }
            #[expect(clippy::cast_precision_loss, reason = "numbers of the wire are f64")]
            fn visit_u64<E>(self, number: u64) -> Result<f64, E> {
                Ok(number as f64)
            }
            #[expect(clippy::cast_precision_loss, reason = "numbers of the wire are f64")]
            fn visit_i64<E>(self, number: i64) -> Result<f64, E> {
                Ok(number as f64)
            }
        }

        deserializer.deserialize_f64(Number(at)).map_err(|error| {
            // What JSON writes as a number but no f64 can hold.
            let text = error.to_string();
            if text.starts_with("number out of range") {
                D::Error::custom(format_args!("{at} must be finite"))
            } else {
                error
            }
        })
    }
}

impl<'de> Wire<'de> for bool {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        struct Flag(At);

        impl Visitor<'_> for Flag {
            type Value = bool;

            expecting!(self, "{} must be true or false", self.0);

            fn visit_bool<E>(self, flag: bool) -> Result<bool, E> {
                Ok(flag)
            }
        }

        deserializer.deserialize_bool(Flag(at))
    }
}

/// An unsigned 32-bit number.
impl<'de> Wire<'de> for u32 {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        let number = f64::read(at, deserializer)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number within its range")]
        let whole = (number.fract() == 0.0 && (0.0..=f64::from(Self::MAX)).contains(&number)).then_some(number as Self);
        whole.ok_or_else(|| D::Error::custom(format_args!("{at} must be an unsigned 32-bit number")))
    }
}

impl<'de> Wire<'de> for Cow<'de, str> {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        struct Text(At);

        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            expecting!(self, "{} must be a text", self.0);

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }

        deserializer.deserialize_str(Text(at))
    }
}

impl<'de> Wire<'de> for Arc<str> {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        Ok(Cow::read(at, deserializer)?.as_ref().into())
    }
}

/// A text that names something, at most [`MAX_NAME`] long.
impl<'de> Wire<'de> for String {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::read(at, deserializer)?;
        if text.len() > MAX_NAME {
            return Err(D::Error::custom(format_args!("{at} must have at most {MAX_NAME} bytes")));
        }
        Ok(text.into_owned())
    }
}

/// A text that only the length of its message bounds.
pub(super) struct LongText(String);

impl From<LongText> for String {
    fn from(text: LongText) -> Self {
        text.0
    }
}

impl<'de> Wire<'de> for LongText {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        Cow::read(at, deserializer).map(|text| Self(text.into_owned()))
    }
}

/// Null is absent.
impl<'de, T: Wire<'de>> Wire<'de> for Option<T> {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        struct Maybe<T>(At, PhantomData<T>);

        impl<'de, T: Wire<'de>> Visitor<'de> for Maybe<T> {
            type Value = Option<T>;

            expecting!(self, "{} must be null or a value", self.0);

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_none<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                T::read(self.0, deserializer).map(Some)
            }
        }

        deserializer.deserialize_option(Maybe(at, PhantomData))
    }
}

impl<'de, T: Wire<'de> + Copy + Default, const N: usize> Wire<'de> for [T; N] {
    const LIST: &'static str = if N == 3 && T::PLAIN { "a list of [x, y, z]" } else { "a list" };

    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        struct Array<T, const N: usize>(At, PhantomData<T>);

        impl<'de, T: Wire<'de> + Copy + Default, const N: usize> Visitor<'de> for Array<T, N> {
            type Value = [T; N];

            expecting!(self, "{} must be a list of {N}", self.0);

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut array = [T::default(); N];
                let mut got = 0;
                while got < N {
                    let at = if T::PLAIN { self.0 } else { self.0.place(got) };
                    let Some(element) = seq.next_element_seed(Seed::at(at))? else { break };
                    array[got] = element;
                    got += 1;
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    got += 1;
                }
                if got == N { Ok(array) } else { Err(A::Error::custom(Invalid::size(&self.0.to_string(), N, got))) }
            }
        }

        deserializer.deserialize_seq(Array(at, PhantomData))
    }
}
