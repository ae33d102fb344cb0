//! What a policy server sends.

use super::app_map::AppMap;
use super::capability::{Capabilities, Capability};
use super::chunk::ChunkResponse;
use super::clock::ClockResponse;
use super::configure::Configure;
use super::episode::Outcome;
use super::error::quoted;
use super::error_reply::ErrorReply;
use super::ext::MetadataResponse;
use super::fields::Field;
use super::ids::RequestId;
use super::lease::{LeaseEvent, LeaseResponse};
use super::observation::Observation;
use super::observation_header::PushMark;
use super::stats::StatsResponse;
use super::stream::StreamRef;
use super::{Frame, WireError};

/// A message of a policy server.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ServerMessage {
    /// `metadata_response`
    Metadata(MetadataResponse),
    /// `obs_response`
    Observation(ObsResponse),
    /// `reset_response`
    Reset(ResetResponse),
    /// `step_response` of the coupled generation.
    Step(StepResponse),
    /// `obs_push`. Needs `push`.
    Push(ObsPush),
    /// `subscribed`. Needs `push`.
    Subscribed(StreamRef),
    /// `unsubscribed`. Needs `push`.
    Unsubscribed(StreamRef),
    /// `error`. Needs `err`.
    Error(ErrorReply),
    /// `configure_response`. Needs `enc`.
    Configured(Configure),
    /// `chunk_response`. Needs `chunk`.
    Chunk(ChunkResponse),
    /// `lease_response`. Needs `lease`.
    Lease(LeaseResponse),
    /// `lease_event`. Needs `lease`.
    LeaseEvent(LeaseEvent),
    /// `clock_response`. Needs `clock`.
    Clock(ClockResponse),
    /// `stats_response`. Needs `stats`.
    Stats(StatsResponse),
    /// A type that is not known, or was not negotiated.
    Unknown {
        /// The type; `None` if it is no text. A long one is cut.
        kind: Option<String>,
    },
}

/// An observation on request.
#[derive(Clone, Debug, PartialEq)]
pub struct ObsResponse {
    /// The observation.
    pub observation: Observation,
    /// Id of the request.
    pub id: Option<RequestId>,
}

/// The first observation of an episode.
#[derive(Clone, Debug, PartialEq)]
pub struct ResetResponse {
    /// The observation.
    pub observation: Observation,
    /// Whatever the application says about the episode.
    pub info: AppMap,
    /// The key `extra` stood before `cameras`: so write servers in C++, of the coupled generation, alone.
    pub extra_first: bool,
    /// Id of the request.
    pub id: Option<RequestId>,
}

/// What an action of the coupled generation led to.
#[derive(Clone, Debug, PartialEq)]
pub struct StepResponse {
    /// The observation.
    pub observation: Observation,
    /// Reward and end.
    pub outcome: Outcome,
    /// Whatever the application says about the step; only texts from servers in C++.
    pub info: AppMap,
    /// Id of the request.
    pub id: Option<RequestId>,
}

/// An observation of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct ObsPush {
    /// The observation.
    pub observation: Observation,
    /// Where it stands in its stream.
    pub mark: PushMark,
}

impl ServerMessage {
    /// Reads a frame of a server with which `caps` were negotiated. Keys that were not are skipped.
    ///
    /// # Errors
    /// The frame cannot be read; nothing of it counts then.
    pub fn decode(frame: &[u8], caps: Capabilities) -> Result<Self, WireError> {
        let frame = Frame::split(frame)?;
        let needs = |capability| caps.has(capability);
        let observation = || Observation::read(&frame, caps);
        let [id, info, extra, cameras] = frame.members(["id", "info", "extra", "cameras"]);
        let id = || id.negotiated(needs(Capability::Id), Field::id);
        let kind = frame.kind()?;
        Ok(match kind {
            Some("metadata_response") => Self::Metadata(MetadataResponse::read(&frame, id()?)?),
            Some("obs_response") => Self::Observation(ObsResponse { observation: observation()?, id: id()? }),
            Some("reset_response") => Self::Reset(ResetResponse {
                observation: observation()?,
                info: AppMap::from_field(&info)?,
                extra_first: extra.position().is_some_and(|at| cameras.position().is_some_and(|other| at < other)),
                id: id()?,
            }),
            Some("step_response") => Self::Step(StepResponse {
                observation: observation()?,
                outcome: Outcome::read(&frame)?,
                info: AppMap::from_field(&info)?,
                id: id()?,
            }),
            Some("obs_push") if needs(Capability::Push) => {
                Self::Push(ObsPush { observation: observation()?, mark: PushMark::read(&frame)? })
            }
            Some("subscribed") if needs(Capability::Push) => Self::Subscribed(StreamRef::read(&frame)?),
            Some("unsubscribed") if needs(Capability::Push) => Self::Unsubscribed(StreamRef::read(&frame)?),
            Some("error") if needs(Capability::Err) => Self::Error(ErrorReply::read(&frame)?),
            Some("configure_response") if needs(Capability::Enc) => Self::Configured(Configure::read(&frame)?),
            Some("chunk_response") if needs(Capability::Chunk) => Self::Chunk(ChunkResponse::read(&frame)?),
            Some("lease_response") if needs(Capability::Lease) => Self::Lease(LeaseResponse::read(&frame)?),
            Some("lease_event") if needs(Capability::Lease) => Self::LeaseEvent(LeaseEvent::read(&frame)?),
            Some("clock_response") if needs(Capability::Clock) => Self::Clock(ClockResponse::read(&frame)?),
            Some("stats_response") if needs(Capability::Stats) => Self::Stats(StatsResponse::read(&frame)?),
            _ => Self::Unknown { kind: kind.map(quoted) },
        })
    }

    /// Its type on the wire; `unknown` for one that is not known or was not negotiated.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Metadata(_) => "metadata_response",
            Self::Observation(_) => "obs_response",
            Self::Reset(_) => "reset_response",
            Self::Step(_) => "step_response",
            Self::Push(_) => "obs_push",
            Self::Subscribed(_) => "subscribed",
            Self::Unsubscribed(_) => "unsubscribed",
            Self::Error(_) => "error",
            Self::Configured(_) => "configure_response",
            Self::Chunk(_) => "chunk_response",
            Self::Lease(_) => "lease_response",
            Self::LeaseEvent(_) => "lease_event",
            Self::Clock(_) => "clock_response",
            Self::Stats(_) => "stats_response",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The id of the request that it completes.
    pub fn id(&self) -> Option<RequestId> {
        match self {
            Self::Metadata(response) => response.id,
            Self::Observation(response) => response.id,
            Self::Reset(response) => response.id,
            Self::Step(response) => response.id,
            Self::Error(reply) => reply.id,
            Self::Subscribed(StreamRef { id, .. })
            | Self::Unsubscribed(StreamRef { id, .. })
            | Self::Configured(Configure { id, .. })
            | Self::Chunk(ChunkResponse { id, .. })
            | Self::Lease(LeaseResponse { id, .. })
            | Self::Clock(ClockResponse { id, .. })
            | Self::Stats(StatsResponse { id, .. }) => Some(*id),
            Self::Push(_) | Self::LeaseEvent(_) | Self::Unknown { .. } => None,
        }
    }

    /// The observation in it.
    pub fn observation(&self) -> Option<&Observation> {
        match self {
            Self::Observation(ObsResponse { observation, .. })
            | Self::Reset(ResetResponse { observation, .. })
            | Self::Step(StepResponse { observation, .. })
            | Self::Push(ObsPush { observation, .. }) => Some(observation),
            _ => None,
        }
    }
}
