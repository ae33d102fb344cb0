//! What two peers can agree on beyond the plain wire.

use std::fmt;

use crate::names::wire_names;

wire_names! {
    /// An extension both sides may agree on, see [`ClientExt`](super::ClientExt).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    #[non_exhaustive]
    pub enum Capability {
        /// Requests have ids and replies repeat them, so that they may come out of order.
        Id = "id",
        /// Errors are replies instead of a closed connection, see [`ErrorReply`](super::ErrorReply).
        Err = "err",
        /// The server sends observations by itself, see [`Subscribe`](super::Subscribe).
        Push = "push",
        /// The control lease, see [`LeaseRequest`](super::LeaseRequest).
        Lease = "lease",
        /// Several actions at once with due times, see [`ActionChunk`](super::ActionChunk).
        Chunk = "chunk",
        /// Actions have a number, a time of sending and a longest age, see [`ActionMarks`](super::ActionMarks).
        Ttl = "ttl",
        /// Cameras can be chosen, cut, scaled and compressed, see [`Configure`](super::Configure).
        Enc = "enc",
        /// Exchanges that relate the clocks, see [`ClockMap`](super::ClockMap).
        Clock = "clock",
        /// Statistics of the server.
        Stats = "stats",
        /// Requests may ask for newer pictures only, see [`Freshness`](super::Freshness).
        Fresh = "fresh",
        /// Observations tell reward, end and driver of the episode, see [`Episode`](super::Episode).
        Episode = "episode",
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(u16);

impl Capabilities {
    /// No extension: what a peer of the original wire has.
    pub const NONE: Self = Self(0);

    /// Every capability known here.
    pub fn all() -> Self {
        Capability::ALL.iter().copied().collect()
    }

    /// Whether it is in the set.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & 1 << capability as u16 != 0
    }

    /// What both sets have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The set without one.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !(1 << capability as u16))
    }

    /// Its capabilities, in the order of [`Capability::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |capability| self.has(*capability))
    }

    /// Its names on the wire.
    pub(super) fn names(self) -> std::vec::IntoIter<&'static str> {
        self.iter().map(Capability::name).collect::<Vec<_>>().into_iter()
    }

    /// The known ones among names of the wire.
    pub(super) fn from_names(names: &[&str]) -> Self {
        names.iter().filter_map(|name| Capability::from_name(name)).collect()
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self(capabilities.into_iter().fold(0, |set, capability| set | 1 << capability as u16))
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
