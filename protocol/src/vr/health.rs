//! How well poses and pictures travel.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::message::{Message, integer, number};
use crate::exchange::Exchange;

/// Asks the server for a [`Pong`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ping {
    /// The client's number of it.
    pub n: i64,
    /// The client's clock when it was sent, milliseconds.
    pub t: f64,
}

/// Answer to a ping. With `now` read at its arrival, the server's clock less the client's is about
/// ((rx − t) + (tx − now)) / 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pong {
    /// The ping's number.
    pub n: i64,
    /// The ping's `t`, unchanged.
    pub t: f64,
    /// The server's clock when the ping arrived, milliseconds.
    pub rx: f64,
    /// The server's clock when the answer left, milliseconds.
    pub tx: f64,
}

impl Pong {
    /// What the server's clock is ahead of the client's, milliseconds; `now` is the client's at arrival.
    pub fn offset(&self, now: f64) -> f64 {
        self.exchange(now).offset
    }

    /// The time on the way, both ways together, milliseconds; `now` is the client's clock at arrival.
    pub fn round_trip(&self, now: f64) -> f64 {
        self.exchange(now).round_trip
    }

    pub(super) fn exchange(&self, now: f64) -> Exchange {
        Exchange::new(self.t, self.rx, self.tx, now)
    }

    pub(super) fn encode(self) -> String {
        Message::new("pong").with("n", &self.n).with("t", &self.t).with("rx", &self.rx).with("tx", &self.tx).finish()
    }

    pub(super) fn from_fields(fields: &Map<String, Value>) -> Option<Self> {
        let number = |key| number(fields, key).ok();
        Some(Self { n: integer(fields, "n").ok()?, t: number("t")?, rx: number("rx")?, tx: number("tx")? })
    }
}

/// What the server sees of one client's poses, and of its pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Poses accepted per second.
    pub pose_hz: f64,
    /// Time since the newest pose arrived, milliseconds; null before the first.
    pub pose_age_ms: Option<f64>,
    /// Longest time between two poses in the last half second, milliseconds.
    pub gap_ms: f64,
    /// What the transport's delay varies by, milliseconds.
    pub jitter_ms: f64,
    /// Delay that the playout adds, milliseconds.
    pub delay_ms: f64,
    /// Frames whose number never came.
    pub lost: u64,
    /// Frames that came more than once, or too late.
    pub duplicates: u64,
    /// Control ticks per second.
    pub ik_hz: f64,
    /// Per camera.
    pub video: BTreeMap<String, VideoHealth>,
}

/// What the server knows of one camera's pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VideoHealth {
    /// Pictures encoded per second.
    pub fps: f64,
    /// Age of the newest picture, milliseconds; null before the first.
    pub age_ms: Option<f64>,
    /// Bits per second after encoding, in thousands.
    pub kbps: f64,
    /// Mean time to encode a picture, milliseconds.
    pub encode_ms: f64,
}

impl Health {
    pub(super) fn from_value(value: &Value) -> Option<Self> {
        Self::deserialize(value).ok()
    }
}
