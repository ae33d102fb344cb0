//! Lists, maps, and numbers that belong together.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};

use super::{At, Seed, Wire, expecting};
use crate::field::{Director, ROTATION_NORM};

/// A list of at most `MAX` elements.
pub(in crate::field) struct List<T, const MAX: usize>(pub(in crate::field) Vec<T>);

/// A list that only the length of its message bounds.
pub(in crate::field) type AnyList<T> = List<T, { usize::MAX }>;

impl<T, const MAX: usize> From<List<T, MAX>> for Vec<T> {
    fn from(list: List<T, MAX>) -> Self {
        list.0
    }
}

impl<'de, T: Wire<'de>, const MAX: usize> Wire<'de> for List<T, MAX> {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T, const MAX: usize>(At, PhantomData<T>);

        impl<'de, T: Wire<'de>, const MAX: usize> Visitor<'de> for Elements<T, MAX> {
            type Value = Vec<T>;

            expecting!(self, "{} must be {}", self.0, T::LIST);

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                loop {
                    let at = if T::PLAIN { self.0 } else { self.0.place(elements.len()) };
                    let Some(element) = seq.next_element_seed(Seed::at(at))? else { return Ok(elements) };
                    if elements.len() == MAX {
                        return Err(A::Error::custom(format_args!("{} must have at most {MAX} elements", self.0)));
                    }
                    elements.push(element);
                }
            }
        }

        deserializer.deserialize_seq(Elements::<T, MAX>(at, PhantomData)).map(Self)
    }
}

/// At most `MAX` values by name. Of two with one name the later counts.
pub(in crate::field) struct Named<T, const MAX: usize>(pub(in crate::field) BTreeMap<String, T>);

/// Values by name that only the length of their message bounds.
pub(in crate::field) type AnyNamed<T> = Named<T, { usize::MAX }>;

impl<T, U: From<T>, const MAX: usize> From<Named<T, MAX>> for BTreeMap<String, U> {
    fn from(named: Named<T, MAX>) -> Self {
        // One by one: collecting brings the page a sort for each type of value.
        let mut map = Self::new();
        for (name, value) in named.0 {
            map.insert(name, value.into());
        }
        map
    }
}

impl<'de, T: Wire<'de>, const MAX: usize> Wire<'de> for Named<T, MAX> {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T, const MAX: usize>(At, PhantomData<T>);

        impl<'de, T: Wire<'de>, const MAX: usize> Visitor<'de> for Entries<T, MAX> {
            type Value = BTreeMap<String, T>;

            expecting!(self, "{} must be an object", self.0);

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some(name) = map.next_key_seed(Seed::<String>::at(self.0))? {
                    if entries.len() == MAX && !entries.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("{} must have at most {MAX} entries", self.0)));
                    }
                    let value = map.next_value_seed(Seed::at(self.0))?;
                    entries.insert(name, value);
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(Entries::<T, MAX>(at, PhantomData)).map(Self)
    }
}

/// A quaternion of about unit length.
#[derive(Clone, Copy)]
pub(in crate::field) struct Rotation([f64; 4]);

impl From<Rotation> for [f64; 4] {
    fn from(rotation: Rotation) -> Self {
        rotation.0
    }
}

impl<'de> Wire<'de> for Rotation {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        let rotation = <[f64; 4]>::read(at, deserializer)?;
        let [x, y, z, w] = rotation;
        if ROTATION_NORM.contains(&x.hypot(y).hypot(z.hypot(w))) {
            Ok(Self(rotation))
        } else {
            Err(D::Error::custom(format_args!("{at} must be a unit quaternion")))
        }
    }
}

/// Numbers of which none is negative.
pub(in crate::field) struct Lengths(Vec<f64>);

impl From<Lengths> for Vec<f64> {
    fn from(lengths: Lengths) -> Self {
        lengths.0
    }
}

impl<'de> Wire<'de> for Lengths {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        let lengths = AnyList::<f64>::read(at, deserializer)?.0;
        if lengths.iter().any(|length| *length < 0.0) {
            return Err(D::Error::custom(format_args!("{at} cannot contain negative values")));
        }
        Ok(Self(lengths))
    }
}

pub(in crate::field) type Points = AnyList<[f64; 3]>;
pub(in crate::field) type Directors = AnyList<Director>;
