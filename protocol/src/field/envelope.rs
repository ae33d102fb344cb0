//! The envelope that every message comes in: version, type, payload.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, Serialize};

use super::Invalid;
use super::read::{At, Seed, Wire, from_json_seed};

/// Version of the wire.
pub const VERSION: u32 = 1;

/// A message whose envelope is in order; its payload is a JSON object that nobody has looked into yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    kind: Cow<'a, str>,
    text: &'a str,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope of a message.
    ///
    /// # Errors
    /// The reason, as on the wire: not JSON, no envelope, another version, a type that is no text, a payload that is no
    /// object, in this order.
    pub fn read(text: &'a str) -> Result<Self, Invalid> {
        let Outline { version: Some(version), kind: Some(kind), payload: Some(payload) } =
            from_json_seed(Outlining, text)?
        else {
            return Err(Invalid::reason("message must contain version, type, and payload"));
        };
        if !matches!(version, Sketch::Number(number) if number == f64::from(VERSION)) {
            return Err(Invalid::reason(format!("unsupported protocol version {version}")));
        }
        let Sketch::Text(kind) = kind else { return Err(Invalid::reason("message type must be a string")) };
        if !matches!(payload, Sketch::Object) {
            return Err(Invalid::reason("message payload must be a dictionary"));
        }
        Ok(Self { kind, text })
    }

    /// Its type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Reads the payload.
    pub(super) fn payload<T: Wire<'a>>(&self) -> Result<T, Invalid> {
        // There is one, or the envelope had not been read.
        from_json_seed(Payload(PhantomData), self.text)?.ok_or_else(|| Invalid::missing("payload"))
    }
}

/// A message as its envelope is written.
#[derive(Serialize)]
struct Outgoing<'a, P> {
    version: u32,
    r#type: &'a str,
    payload: P,
}

/// A message of that type.
pub(super) fn message(kind: &str, payload: impl Serialize) -> String {
    // Only a map with keys that are not texts could fail; no message holds one.
    serde_json::to_string(&Outgoing { version: VERSION, r#type: kind, payload }).unwrap_or_default()
}

/// Longest piece of a version that a refusal repeats, bytes.
const SHOWN: usize = 64;

/// What stands behind a key of the envelope, without its content.
enum Sketch<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    List,
    Object,
}

impl fmt::Display for Sketch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(&text[..text.floor_char_boundary(SHOWN)]),
            Self::List => f.write_str("[...]"),
            Self::Object => f.write_str("{...}"),
        }
    }
}

impl<'de> Wire<'de> for Sketch<'de> {
    fn read<D: Deserializer<'de>>(_: At, deserializer: D) -> Result<Self, D::Error> {
        struct Sketching;

        impl<'de> Visitor<'de> for Sketching {
            type Value = Sketch<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Sketch::Null)
            }
            fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
                Ok(Sketch::Bool(flag))
            }
            #[expect(clippy::cast_precision_loss, reason = "only 1 counts")]
            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Sketch::Number(number as f64))
            }
            #[expect(clippy::cast_precision_loss, reason = "only 1 counts")]
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Sketch::Number(number as f64))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Sketch::Number(number))
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Sketch::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Sketch::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                IgnoredAny.visit_seq(seq)?;
                Ok(Sketch::List)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                IgnoredAny.visit_map(map)?;
                Ok(Sketch::Object)
            }
        }

        deserializer.deserialize_any(Sketching)
    }
}

/// What an envelope consists of; of two keys of one name the later counts.
#[derive(Default)]
struct Outline<'a> {
    version: Option<Sketch<'a>>,
    kind: Option<Sketch<'a>>,
    payload: Option<Sketch<'a>>,
}

/// Reads an [`Outline`]; what is no object has none of its parts.
struct Outlining;

impl<'de> DeserializeSeed<'de> for Outlining {
    type Value = Outline<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Outlining {
    type Value = Outline<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut outline = Outline::default();
        let at = At::field("message");
        while let Some(key) = map.next_key_seed(Seed::<Cow<'de, str>>::at(at))? {
            let part = match key.as_ref() {
                "version" => &mut outline.version,
                "type" => &mut outline.kind,
                "payload" => &mut outline.payload,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *part = Some(map.next_value_seed(Seed::at(at))?);
        }
        Ok(outline)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Outline::default())
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Outline::default())
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Outline::default())
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Outline::default())
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Outline::default())
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Outline::default())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_seq(seq)?;
        Ok(Outline::default())
    }
}

/// Reads the payload of a message, which comes as what its type needs.
struct Payload<T>(PhantomData<T>);

impl<'de, T: Wire<'de>> DeserializeSeed<'de> for Payload<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Wire<'de>> Visitor<'de> for Payload<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("message must be an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut payload = None;
        let at = At::field("payload");
        while let Some(key) = map.next_key_seed(Seed::<Cow<'de, str>>::at(at))? {
            if key == "payload" {
                payload = Some(map.next_value_seed(Seed::<T>::at(at))?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(payload)
    }
}
