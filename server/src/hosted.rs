//! Hosted teleoperation: operators far away, who reach the robot through a broker and an SFU.
//!
//! The robot dials out. [`HostedTeleop`] registers it with a broker and keeps one connection to the SFU, over which its
//! picture, telemetry and map go to whoever operates it, and commands come back. What the operator asks for takes the way of
//! everybody who drives: the [`Arbiter`](crate::control::Arbiter) decides, limits and the stop latch hold.
//!
//! A command is judged by [`waldo_protocol::hosted`] (too old, out of order, senseless), moves arms or base for as long as it
//! is held, and is put out by name for others in the robot: see [`Outputs`].

mod answering;
mod beats;
mod body;
mod broker;
mod channels;
mod commands;
mod hands;
mod link;
mod listeners;
mod opened;
mod operator;
mod outputs;
mod pace;
mod pictures;
mod presence;
mod redial;
mod relays;
mod rest_gate;
mod robot;
mod service;
mod speaker;
mod stops;
mod surroundings;
mod telemetry;
mod teleop;
#[cfg(test)]
mod tests;
mod voice;

pub use self::broker::BrokerError;
pub(crate) use self::listeners::Listeners;
pub use self::outputs::{Output, Outputs, Stream};
pub(crate) use self::pictures::Pictures;
pub(crate) use self::robot::Robot;
pub use self::teleop::{HostedStartError, HostedStatus, HostedTeleop};
pub use self::voice::{CHANNELS, Hearing, SAMPLE_RATE};
pub use crate::rtc::Voice;
