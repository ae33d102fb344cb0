//! The four data channels.

use std::fmt;

/// A data channel between an operator and a robot. Each goes one way only; what is sent against it goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChannelLabel {
    /// Poses, sticks and twists of the operator, as [`lcm`](crate::lcm) messages.
    CmdUnreliable,
    /// What the operator says: [`ToRobot`](super::ToRobot).
    StateReliable,
    /// What the robot says: [`ToOperator`](super::ToOperator).
    StateReliableBack,
    /// What the robot knows of its surroundings: [`MapMessage`](super::MapMessage).
    MapUnreliable,
}

/// The channel beside the four by which a robot that asked for pushes (`push/1`) is told its ids, as text; both sides open it, as
/// reliable as can be, with [`CONTROL_ID`].
pub const CONTROL_LABEL: &str = "ctl_reliable";

/// The SCTP id of [`CONTROL_LABEL`].
pub const CONTROL_ID: u16 = 2;

/// Which way a channel goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the operator.
    ToRobot,
    /// From the robot.
    ToOperator,
}

impl ChannelLabel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::CmdUnreliable, Self::StateReliable, Self::StateReliableBack, Self::MapUnreliable];

    /// The label as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CmdUnreliable => "cmd_unreliable",
            Self::StateReliable => "state_reliable",
            Self::StateReliableBack => "state_reliable_back",
            Self::MapUnreliable => "map_unreliable",
        }
    }

    /// The channel of this label.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == label)
    }

    /// Which way it goes.
    pub const fn direction(self) -> Direction {
        match self {
            Self::CmdUnreliable | Self::StateReliable => Direction::ToRobot,
            Self::StateReliableBack | Self::MapUnreliable => Direction::ToOperator,
        }
    }

    /// Whether messages may be lost and overtake each other: `ordered: false, maxRetransmits: 0` instead of neither.
    pub const fn lossy(self) -> bool {
        matches!(self, Self::CmdUnreliable | Self::MapUnreliable)
    }
}

impl fmt::Display for ChannelLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
