//! What a policy client sends.

use super::action::Action;
use super::capability::{Capabilities, Capability};
use super::chunk::ActionChunk;
use super::clock::ClockRequest;
use super::configure::Configure;
use super::error::quoted;
use super::ext::MetadataRequest;
use super::fields::Field;
use super::ids::RequestId;
use super::lease::LeaseRequest;
use super::stream::{Credit, StreamRef, Subscribe};
use super::writer::{frame, integer, map, text};
use super::{Frame, WireError};

/// A message of a policy client.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientMessage {
    /// Asks for the metadata; always answered.
    Metadata(MetadataRequest),
    /// Starts an episode; answered by `reset_response`.
    Reset(SimpleRequest),
    /// Asks for an observation; answered by `obs_response`.
    ObsRequest(ObsRequest),
    /// An action; never answered.
    ApplyAction(Action),
    /// An action of the coupled generation; answered by `step_response`.
    Action(Action),
    /// Several actions with due times; answered by `chunk_response`. Needs `chunk`.
    Chunk(ActionChunk),
    /// Asks for a stream of observations; answered by `subscribed`. Needs `push`.
    Subscribe(Subscribe),
    /// Gives credit to a stream; never answered. Needs `push`.
    Credit(Credit),
    /// Ends a stream; answered by `unsubscribed`. Needs `push`.
    Unsubscribe(StreamRef),
    /// Asks for other settings of cameras; answered by `configure_response`. Needs `enc`.
    Configure(Configure),
    /// About the lease; answered by `lease_response`. Needs `lease`.
    Lease(LeaseRequest),
    /// Asks for the time; answered by `clock_response`. Needs `clock`.
    Clock(ClockRequest),
    /// Asks for statistics; answered by `stats_response`. Needs `stats`.
    Stats {
        /// Id of the request.
        id: RequestId,
    },
    /// A type that is not known, or was not negotiated: to be ignored, or answered by an error if it has an id.
    Unknown {
        /// The type; `None` if it is no text. A long one is cut.
        kind: Option<String>,
        /// Id of the request.
        id: Option<RequestId>,
    },
}

impl ClientMessage {
    /// Reads a frame of a client with which `caps` were negotiated. Keys that were not are skipped.
    ///
    /// # Errors
    /// The frame cannot be read; nothing of it counts then.
    pub fn decode(frame: &[u8], caps: Capabilities) -> Result<Self, WireError> {
        let frame = Frame::split(frame)?;
        let [id] = frame.members(["id"]);
        let needs = |capability| caps.has(capability);
        let request_id = |field: Field<'_>| field.negotiated(needs(Capability::Id), Field::id);
        let kind = frame.kind()?;
        Ok(match kind {
            Some("metadata") => Self::Metadata(MetadataRequest::read(&frame, request_id(id)?)?),
            Some("reset") => Self::Reset(SimpleRequest { id: request_id(id)? }),
            Some("obs_request") => Self::ObsRequest(ObsRequest::read(&frame, request_id(id)?, caps)?),
            Some("apply_action") => Self::ApplyAction(Action::read(&frame, request_id(id)?, caps)?),
            Some("action") => Self::Action(Action::read(&frame, request_id(id)?, caps)?),
            Some("action_chunk") if needs(Capability::Chunk) => Self::Chunk(ActionChunk::read(&frame)?),
            Some("subscribe") if needs(Capability::Push) => Self::Subscribe(Subscribe::read(&frame)?),
            Some("credit") if needs(Capability::Push) => Self::Credit(Credit::read(&frame)?),
            Some("unsubscribe") if needs(Capability::Push) => Self::Unsubscribe(StreamRef::read(&frame)?),
            Some("configure") if needs(Capability::Enc) => Self::Configure(Configure::read(&frame)?),
            Some("lease") if needs(Capability::Lease) => Self::Lease(LeaseRequest::read(&frame)?),
            Some("clock") if needs(Capability::Clock) => Self::Clock(ClockRequest::read(&frame)?),
            Some("stats") if needs(Capability::Stats) => Self::Stats { id: id.id()? },
            _ => Self::Unknown {
                kind: kind.map(quoted),
                id: id.negotiated(needs(Capability::Id), |id| Ok(id.id().ok()))?.flatten(),
            },
        })
    }

    /// Its type on the wire; `unknown` for one that is not known or was not negotiated.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Metadata(_) => "metadata",
            Self::Reset(_) => "reset",
            Self::ObsRequest(_) => "obs_request",
            Self::ApplyAction(_) => "apply_action",
            Self::Action(_) => "action",
            Self::Chunk(_) => "action_chunk",
            Self::Subscribe(_) => "subscribe",
            Self::Credit(_) => "credit",
            Self::Unsubscribe(_) => "unsubscribe",
            Self::Configure(_) => "configure",
            Self::Lease(_) => "lease",
            Self::Clock(_) => "clock",
            Self::Stats { .. } => "stats",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The id that the reply has to repeat.
    pub fn id(&self) -> Option<RequestId> {
        match self {
            Self::Metadata(request) => request.id,
            Self::Reset(request) => request.id,
            Self::ObsRequest(request) => request.id,
            Self::ApplyAction(action) | Self::Action(action) => action.id,
            Self::Chunk(ActionChunk { id, .. })
            | Self::Subscribe(Subscribe { id, .. })
            | Self::Unsubscribe(StreamRef { id, .. })
            | Self::Configure(Configure { id, .. })
            | Self::Lease(LeaseRequest { id, .. })
            | Self::Clock(ClockRequest { id, .. })
            | Self::Stats { id } => Some(*id),
            Self::Credit(_) => None,
            Self::Unknown { id, .. } => *id,
        }
    }
}

/// A request that says nothing but what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimpleRequest {
    /// Repeated by the reply; only if negotiated.
    pub id: Option<RequestId>,
}

impl SimpleRequest {
    /// Appends a `reset`.
    pub fn encode_reset(&self, out: &mut Vec<u8>) {
        frame(out, "reset", |header| {
            if let Some(id) = self.id {
                header.id(id);
            }
        });
    }
}

/// Appends a request for statistics. Only if `stats` is negotiated.
pub fn encode_stats(id: RequestId, out: &mut Vec<u8>) {
    frame(out, "stats", |header| header.id(id));
}

/// Which pictures a client has already.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Freshness {
    /// Camera → the counter `n` of the frame the client has.
    pub newer_than: Vec<(String, u64)>,
    /// How long the server may wait for a newer one, milliseconds.
    pub wait_ms: Option<f64>,
}

/// Asks for an observation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObsRequest {
    /// Only pictures the client does not have; only if `fresh` is negotiated.
    pub fresh: Option<Freshness>,
    /// Repeated by the reply; only if negotiated.
    pub id: Option<RequestId>,
}

impl ObsRequest {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "obs_request", |header| {
            if let Some(fresh) = &self.fresh {
                let out = header.key("newer_than");
                map(out, fresh.newer_than.len());
                for (camera, n) in &fresh.newer_than {
                    text(out, camera);
                    integer(out, *n);
                }
                if let Some(wait_ms) = fresh.wait_ms {
                    header.float("wait_ms", wait_ms);
                }
            }
            if let Some(id) = self.id {
                header.id(id);
            }
        });
    }

    fn read(frame: &Frame<'_>, id: Option<RequestId>, caps: Capabilities) -> Result<Self, WireError> {
        let [newer_than, wait_ms] = frame.members(["newer_than", "wait_ms"]);
        let fresh = caps.has(Capability::Fresh);
        let newer_than = newer_than.negotiated(fresh, Field::counters)?;
        let wait_ms = wait_ms.negotiated(fresh, Field::magnitude)?;
        let fresh = (newer_than.is_some() || wait_ms.is_some())
            .then(|| Freshness { newer_than: newer_than.unwrap_or_default(), wait_ms });
        Ok(Self { fresh, id })
    }
}
