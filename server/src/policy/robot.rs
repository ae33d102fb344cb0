//! What a robot implements, and what it gets and gives.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use waldo_protocol::policy::{AppMap, ArrayRef, ArrayView, ErrorCode, Outcome};
use waldo_protocol::time::MonoTime;

use crate::sensors::Snapshot;

/// A robot that policies see and move.
///
/// `reset`, `apply_action`, `step`, `on_stale`, `on_connect` and `on_disconnect` are called one after the other on one
/// thread, in the order in which things happened; `observation` on threads of its own, several at a time; none of them on
/// a thread that serves the network, so all may block. What one of them returns as an error, or a panic in it, is told to
/// the client that caused it and disturbs no other.
pub trait PolicyRobot: Send + Sync + 'static {
    /// Static facts about the robot; asked for once, when the server is made. Customary keys: `action_shape`, such as
    /// [1, 7], and `cameras`.
    fn metadata(&self) -> AppMap {
        AppMap::default()
    }

    /// Starts an episode. Returns its first observation and whatever there is to say about it.
    ///
    /// # Errors
    /// The robot cannot start an episode now.
    fn reset(&self) -> Result<(Observation, AppMap), PolicyError>;

    /// Executes one action, which may be an array of any shape. Nothing is sent back.
    ///
    /// # Errors
    /// The robot cannot do that, such as a shape that does not fit.
    fn apply_action(&self, action: &ActionData) -> Result<(), PolicyError>;

    /// Executes one action of a client that waits for what it led to. `None`, the default: the action is applied, then the
    /// hub's snapshot is sent with reward 0, not ended, and no info.
    fn step(&self, action: &ActionData) -> Option<Result<StepResult, PolicyError>> {
        let _ = action;
        None
    }

    /// The robot's own answer to requests for an observation, which may wait for a fresh frame. `None`, the default, means
    /// the hub's snapshot with timestamp 0, which takes microseconds; then this is not called again.
    fn observation(&self) -> Option<Result<Observation, PolicyError>> {
        None
    }

    /// How the episode stands, for clients that want to know it with each observation. Called on a thread of the network,
    /// so it must not block.
    fn outcome(&self) -> Outcome {
        Outcome::default()
    }

    /// Holds: the policy acted, and then was silent for [`action_timeout`](super::PolicyConfig::action_timeout), is gone, gave
    /// control away, or the server stops. Called once, before anything else that waits, until the policy acts again.
    fn on_stale(&self);

    /// A client connected.
    fn on_connect(&self, client: &Peer) {
        let _ = client;
    }

    /// A client is gone.
    fn on_disconnect(&self, client: &Peer) {
        let _ = client;
    }
}

/// What a robot sees and feels at one moment, to be sent.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Cameras and proprioception.
    pub sensors: Snapshot,
    /// Whatever the application means by it; customary are wall clock and step × dt, seconds. 0 by default.
    pub timestamp: f64,
    /// Whatever the application adds.
    pub extra: AppMap,
}

impl From<Snapshot> for Observation {
    fn from(sensors: Snapshot) -> Self {
        Self { sensors, timestamp: 0.0, extra: AppMap::default() }
    }
}

/// What a step led to.
#[derive(Clone, Debug)]
pub struct StepResult {
    /// What the robot sees after it.
    pub observation: Observation,
    /// Reward and end of the episode.
    pub outcome: Outcome,
    /// Whatever there is to say about the step.
    pub info: AppMap,
}

impl From<Observation> for StepResult {
    fn from(observation: Observation) -> Self {
        Self { observation, outcome: Outcome::default(), info: AppMap::default() }
    }
}

/// An action for the robot.
#[derive(Clone, Debug)]
pub struct ActionData {
    /// Dimensions of the array, outermost first; none at all is a single number. One array is one action.
    pub shape: Vec<usize>,
    /// Its elements in C order; all finite unless the server was told to
    /// [apply others too](super::PolicyConfig::apply_non_finite).
    pub values: Vec<f32>,
    /// Stamps of the observation it was computed from: camera → seconds, as the client sent them back. May be empty.
    pub obs_timestamps: Vec<(String, f64)>,
    /// When the newest picture was taken from which it was computed, if the stamps are times of this computer and the
    /// client has extensions: others send the stamps of whatever came last.
    pub observed: Option<MonoTime>,
    /// When it arrived.
    pub arrived: MonoTime,
    /// Whose it is.
    pub from: Peer,
    frame: Option<(Bytes, ArrayRef)>,
}

impl ActionData {
    /// An action that did not come over the network as it is, such as a row of a chunk, or one of a test.
    pub fn new(shape: Vec<usize>, values: Vec<f32>, from: Peer, arrived: MonoTime) -> Self {
        Self { shape, values, obs_timestamps: Vec::new(), observed: None, arrived, from, frame: None }
    }

    /// Says from which observation it was computed.
    #[must_use]
    pub fn with_stamps(mut self, stamps: Vec<(String, f64)>) -> Self {
        let now = self.arrived.as_secs_f64();
        let times = stamps.iter().map(|(_, stamp)| *stamp).filter(|stamp| *stamp > 0.0 && *stamp <= now);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the present")]
        let nanos = times.max_by(f64::total_cmp).map(|stamp| (stamp * 1e9) as u64);
        self.observed = nanos.map(MonoTime::from_nanos);
        self.obs_timestamps = stamps;
        self
    }

    pub(super) fn received(
        frame: &Bytes,
        action: waldo_protocol::policy::Action,
        from: Peer,
        arrived: MonoTime,
    ) -> Self {
        let values = action.array.view(frame).map(|view| view.f32s().collect()).unwrap_or_default();
        let data = Self::new(action.array.shape().to_vec(), values, from, arrived).with_stamps(action.obs_timestamps);
        Self { frame: Some((frame.clone(), action.array)), ..data }
    }

    /// The array with the element type in which it came; `None` if it did not come by itself, such as a row of a chunk.
    pub fn array(&self) -> Option<ArrayView<'_>> {
        self.frame.as_ref().and_then(|(frame, array)| array.view(frame))
    }
}

/// A client of the policy service. Clones are equal, and are so under another name too.
#[derive(Clone, Debug)]
pub struct Peer {
    number: u64,
    name: Arc<str>,
}

impl Peer {
    /// Another client of that name. Servers make those they have; a test of a robot may make its own.
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        Self { number: NUMBER.fetch_add(1, Ordering::Relaxed), name: name.into() }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The same client under the name it gave itself.
    pub(super) fn renamed(&self, name: &str) -> Self {
        Self { number: self.number, name: name.into() }
    }

    /// The id it gave itself, or its address.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Peer {}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Why a robot did not do what it was asked for.
///
/// Any error and any text can be made one: `Err("no such pose".into())`, `reading.map_err(PolicyError::app)?`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PolicyError {
    /// What kind of error it is. [`ErrorCode::Busy`], [`ErrorCode::Stale`], [`ErrorCode::NotHolder`] and
    /// [`ErrorCode::NonFinite`] of an action mean that it was left out; a client that knows no errors keeps its connection
    /// then, and is told nothing.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

impl PolicyError {
    /// An error of that kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// An error of the application.
    pub fn app(error: impl fmt::Display) -> Self {
        Self::new(ErrorCode::App, error.to_string())
    }
}

impl From<&str> for PolicyError {
    fn from(message: &str) -> Self {
        Self::app(message)
    }
}

impl From<String> for PolicyError {
    fn from(message: String) -> Self {
        Self::new(ErrorCode::App, message)
    }
}
