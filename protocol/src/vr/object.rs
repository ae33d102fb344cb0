//! Reading one JSON object member by member, without allocation and without failing on what does not fit.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::RefusalKind;
use super::coerce::Slot;

/// Path of the field that is being read, for the one error the parser raises inside a value: a number too large.
pub(super) type Reading = Cell<&'static str>;

/// The slots of one object while it is read.
pub(super) trait Members: Sized {
    /// A member's name, told apart once.
    type Key;

    fn key(name: &str) -> Self::Key;

    /// Reads the value that follows `key`. The last of duplicate keys counts, so it overwrites.
    fn read<'de, A: MapAccess<'de>>(&mut self, key: Self::Key, map: &mut A, at: &Reading) -> Result<(), A::Error>;
}

/// Reads an object into `members`; anything but an object is a fault in the slot.
pub(super) struct Object<'a, M> {
    pub(super) members: M,
    pub(super) at: &'a Reading,
}

impl<'de, M: Members> DeserializeSeed<'de> for Object<'_, M> {
    type Value = Slot<M>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, M: Members> Visitor<'de> for Object<'_, M> {
    type Value = Slot<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some(key) = map.next_key_seed(Name::<M>(PhantomData))? {
            self.members.read(key, &mut map, self.at)?;
        }
        Ok(Slot::Read(self.members))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Slot::Bad(RefusalKind::WrongType))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Slot::Bad(RefusalKind::WrongType))
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Slot::Bad(RefusalKind::WrongType))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Slot::Bad(RefusalKind::WrongType))
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Slot::Bad(RefusalKind::WrongType))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Slot::Bad(RefusalKind::WrongType))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_seq(seq)?;
        Ok(Slot::Bad(RefusalKind::WrongType))
    }
}

/// Reads a member's name straight into a key.
struct Name<M>(PhantomData<M>);

impl<'de, M: Members> DeserializeSeed<'de> for Name<M> {
    type Value = M::Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<M: Members> Visitor<'_> for Name<M> {
    type Value = M::Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(M::key(name))
    }
}
