//! Why a call is refused, in the words that existing clients know.

use crate::sfu::{EngineError, Leg};
use crate::store::StoreError;

/// Why a call is refused. The texts are part of the wire.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// No such session, or none of the caller's tenant, or it is over.
    #[error("Session not found")]
    NotFound,
    /// The robot was not heard for too long.
    #[error("Robot heartbeat stale — reconnect required")]
    Stale,
    /// The caller does not hold the slot, or by an older join.
    #[error("Not the bound operator")]
    NotBound,
    /// Somebody else holds the slot.
    #[error("Session already has operator: {0}")]
    Busy(String),
    /// Something else stands in the way.
    #[error("{0}")]
    Conflict(&'static str),
    /// Something is missing or makes no sense.
    #[error("{0}")]
    Unfit(String),
    /// The engine failed.
    #[error("Cloudflare error: {0}")]
    Engine(String),
    /// The new session could not be stored.
    #[error("Session persist failed")]
    Persist,
    /// There is no LiveKit.
    #[error("LiveKit backend not configured")]
    NoLivekit,
    /// No viewer of this name.
    #[error("Viewer not found")]
    NoViewer,
    /// The store failed.
    #[error("Storage failed")]
    Store(#[from] StoreError),
    /// The operation itself broke.
    #[error("Internal error")]
    Failed(String),
}

impl Refusal {
    /// What an engine's error means to the caller of a bridge or an answer.
    pub(super) fn of_engine(error: &EngineError) -> Self {
        match error {
            EngineError::Gone { leg: Leg::Robot, .. } => {
                Self::Conflict("Robot CF session expired — waiting for robot to reconnect")
            }
            EngineError::Gone { leg: Leg::Operator, .. } => Self::Conflict("Operator CF session expired — rejoin"),
            EngineError::Gone { .. } => Self::Conflict("CF session expired — rejoin (robot may need to reconnect)"),
            error => Self::Engine(error.to_string()),
        }
    }

    /// What an engine's error means to who gave it a description.
    pub(super) fn of_description(error: &EngineError, field: &str) -> Self {
        match error {
            EngineError::Malformed(detail) => Self::Unfit(format!("{field} cannot be used: {detail}")),
            error => Self::of_engine(error),
        }
    }
}
