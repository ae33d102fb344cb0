//! What may drive a robot, and what distinguishes one kind of source from another.

use std::time::Duration;

/// The kinds of source, lowest rank first. A stop ranks above all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// Recorded motion.
    Replay,
    /// A program that observes and acts.
    Policy,
    /// A person who reaches the robot through a broker.
    RemoteHuman,
    /// A person who reaches the robot through the field service, with a grip to be held while an arm follows. Among people
    /// nobody ranks: none takes the robot from another unasked.
    FieldUser,
    /// A person on the robot's own network.
    LocalHuman,
}

impl SourceKind {
    /// Silence after which what it asked for last no longer counts: the arms hold.
    pub const fn stale_after(self) -> Duration {
        match self {
            Self::FieldUser => Duration::from_millis(300),
            Self::Replay | Self::Policy | Self::RemoteHuman | Self::LocalHuman => Duration::from_millis(500),
        }
    }

    /// Silence after which it no longer holds the lease.
    pub const fn lost_after(self) -> Duration {
        match self {
            Self::Replay | Self::Policy | Self::RemoteHuman | Self::FieldUser | Self::LocalHuman => {
                Duration::from_secs(2)
            }
        }
    }

    /// Whether a source of this kind must agree before another one takes its place.
    pub const fn is_human(self) -> bool {
        matches!(self, Self::RemoteHuman | Self::FieldUser | Self::LocalHuman)
    }
}

/// One source: its kind, and a number that tells it from all others of all kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId {
    /// The kind.
    pub kind: SourceKind,
    /// The number.
    pub number: u64,
}

impl SourceId {
    /// A person on the robot's own network.
    pub const fn person(number: u64) -> Self {
        Self { kind: SourceKind::LocalHuman, number }
    }

    /// A user of the field service.
    pub const fn field_user(number: u64) -> Self {
        Self { kind: SourceKind::FieldUser, number }
    }

    /// An operator who reaches the robot through a broker.
    pub const fn remote(number: u64) -> Self {
        Self { kind: SourceKind::RemoteHuman, number }
    }

    /// The policy service. Its clients share one place: which of them acts is its own business.
    pub const POLICY: Self = Self { kind: SourceKind::Policy, number: u64::MAX };
}
