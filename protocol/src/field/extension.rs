//! What both sides may agree on beyond the plain wire, in `ext` of hello and its answer.

use std::fmt;

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserializer, Serialize, Serializer};

use crate::names::wire_names;

use super::hello::AnyText;
use super::read::{At, Seed, Wire, expecting};

wire_names! {
    /// An extension. Nothing of it is sent to a client that did not ask.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    #[non_exhaustive]
    pub enum Extension {
        /// Silence ends a command early, see [`Hello::deadman_s`](super::Hello::deadman_s), and the client is told.
        Deadman = "deadman/1",
        /// Samples have numbers, and scenes tell the newest that came.
        InputSeq = "input-seq/1",
        /// The answer to hello tells the bounds, and scenes tell which arms are clamped.
        Limits = "limits/1",
        /// A lost user may come back to the same arms with a token.
        Resume = "resume/1",
        /// After a full scene only what changed.
        SceneDelta = "scene-delta/1",
        /// Moving arms come as binary frames, the rest as with [`Self::SceneDelta`], which this includes.
        SceneBin = "scene-bin/1",
        /// Acks tell whether anything changed, errors have a code and the type of what they answer.
        Acks = "acks/1",
        /// Scenes have the people in them, see [`Person`](super::Person), and tell who of the users is away.
        People = "people/1",
        /// Scenes tell that the simulation stands still.
        Paused = "paused/1",
    }
}

/// Names in an `ext` list beyond these are not looked at.
const MAX_LISTED: usize = 64;

/// A set of extensions. `scene-bin/1` brings `scene-delta/1`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Extensions(u16);

impl Extensions {
    /// None: what a peer of the original wire has.
    pub const NONE: Self = Self(0);

    /// Every extension known here.
    pub fn all() -> Self {
        Extension::ALL.iter().copied().collect()
    }

    /// Whether it is in the set.
    pub const fn has(self, extension: Extension) -> bool {
        self.0 & 1 << extension as u16 != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// What both sets have: of what a client asked for, what a server offers.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The set without one.
    #[must_use]
    pub const fn without(self, extension: Extension) -> Self {
        Self(self.0 & !(1 << extension as u16))
    }

    /// Its extensions, in the order of [`Extension::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Extension> {
        Extension::ALL.iter().copied().filter(move |extension| self.has(*extension))
    }
}

impl FromIterator<Extension> for Extensions {
    fn from_iter<I: IntoIterator<Item = Extension>>(extensions: I) -> Self {
        let bit = |extension: Extension| match extension {
            Extension::SceneBin => 1 << Extension::SceneBin as u16 | 1 << Extension::SceneDelta as u16,
            extension => 1 << extension as u16,
        };
        Self(extensions.into_iter().fold(0, |set, extension| set | bit(extension)))
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Extensions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// The known ones of a list; what is no text is skipped.
impl<'de> Wire<'de> for Extensions {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        struct Names(At);

        impl<'de> Visitor<'de> for Names {
            type Value = Extensions;

            expecting!(self, "{} must be a list", self.0);

            fn visit_unit<E: Error>(self) -> Result<Extensions, E> {
                Ok(Extensions::NONE)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Extensions, A::Error> {
                let mut known = Vec::new();
                for _ in 0..MAX_LISTED {
                    match seq.next_element_seed(Seed::<AnyText>::at(self.0))? {
                        Some(name) => known.extend(name.0.as_deref().and_then(Extension::from_name)),
                        None => break,
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(known.into_iter().collect())
            }
        }

        deserializer.deserialize_any(Names(at))
    }
}
