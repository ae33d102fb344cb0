//! How an episode stands: reward, end, and who drives.

use super::fields::Field;
use super::writer::MapWriter;
use super::{Frame, WireError};
use crate::names::wire_names;

/// What an action, or the time since the last observation, led to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Reward.
    pub reward: f64,
    /// The episode came to its end.
    pub terminated: bool,
    /// The episode was cut off.
    pub truncated: bool,
}

impl Outcome {
    pub(super) fn write(self, header: &mut MapWriter<'_>) {
        header.float("reward", self.reward);
        header.flag("terminated", self.terminated);
        header.flag("truncated", self.truncated);
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [reward, terminated, truncated] = frame.members(["reward", "terminated", "truncated"]);
        Ok(Self {
            reward: reward.optional(Field::number)?.unwrap_or(0.0),
            terminated: terminated.optional(Field::flag)?.unwrap_or(false),
            truncated: truncated.optional(Field::flag)?.unwrap_or(false),
        })
    }
}

wire_names! {
    /// Who drives the robot.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Driver {
        /// A policy.
        Policy = "policy",
        /// A person.
        Operator = "operator",
        /// Nobody.
        None = "none",
    }
}

/// How the episode stands, in every observation for peers with `episode`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Episode {
    /// Reward and end.
    pub outcome: Outcome,
    /// Counter of the episodes.
    pub episode: u64,
    /// Who drives.
    pub driver: Driver,
}

impl Episode {
    /// All but the outcome, which some messages have anyhow.
    pub(super) fn write(self, header: &mut MapWriter<'_>) {
        header.integer("episode", self.episode);
        header.text("driver", self.driver.name());
    }

    /// `None` for a message without a counter of episodes.
    pub(super) fn read(frame: &Frame<'_>) -> Result<Option<Self>, WireError> {
        let [episode, driver] = frame.members(["episode", "driver"]);
        let Some(episode) = episode.optional(Field::integer)? else { return Ok(None) };
        let driver = driver.named(Driver::from_name, "policy, operator or none")?;
        Ok(Some(Self { outcome: Outcome::read(frame)?, episode, driver }))
    }
}
