//! What a refused request is answered with.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The body of every error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// What is wrong.
    pub detail: ErrorDetail,
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ErrorDetail {
    /// In words; some are in [`detail`].
    Text(String),
    /// What other brokers say of each field that does not fit.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    Fields(Vec<Value>),
}

impl ErrorBody {
    /// An error in words.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: ErrorDetail::Text(detail.into()) }
    }
}

impl fmt::Display for ErrorBody {
    /// Of a list, the messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            ErrorDetail::Text(text) => f.write_str(text),
            ErrorDetail::Fields(fields) => {
                for (i, field) in fields.iter().enumerate() {
                    let separator = if i == 0 { "" } else { "; " };
                    match field["msg"].as_str() {
                        Some(message) => write!(f, "{separator}{message}")?,
                        None => write!(f, "{separator}{field}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// Words of errors that clients compare with, or that all brokers have in common.
pub mod detail {
    /// 401: a robot's key is missing, unknown or revoked.
    pub const INVALID_ROBOT: &str = "Invalid robot credentials";
    /// 401: an operator's token is missing.
    pub const NOT_AUTHENTICATED: &str = "Not authenticated";
    /// 401: the identity provider has not seen the operator's e-mail answered.
    pub const EMAIL_NOT_VERIFIED: &str = "Email not verified";
    /// 403: somebody else operates, or nobody, or an older lease of the caller.
    pub const NOT_BOUND: &str = "Not the bound operator";
    /// 404: unknown, another's, or gone.
    pub const SESSION_NOT_FOUND: &str = "Session not found";
    /// 404 when joining a robot that has not been heard of.
    pub const ROBOT_STALE: &str = "Robot heartbeat stale — reconnect required";
    /// 404: another's key, or one that is revoked.
    pub const KEY_NOT_FOUND: &str = "Key not found or already revoked";
    /// 404 of a path that does not exist.
    pub const NOT_FOUND: &str = "Not Found";
    /// 409 when joining a robot without a peer.
    pub const NO_ROBOT_PEER: &str = "Robot CF session not established";
    /// 409 when bridging what the SFU does not bridge.
    pub const BRIDGE_OTHER_TRANSPORT: &str = "bridge-datachannel is cloudflare-only";
    /// 409 when bridging before both peers exist.
    pub const PEERS_NOT_READY: &str = "CF sessions not ready";
    /// 409 when bridging and the robot's peer is gone.
    pub const ROBOT_PEER_GONE: &str = "Robot CF session expired — waiting for robot to reconnect";
    /// 409 when bridging and the operator's peer is gone.
    pub const OPERATOR_PEER_GONE: &str = "Operator CF session expired — rejoin";
    /// 409 when bridging and one peer is gone, who knows which.
    pub const PEER_GONE: &str = "CF session expired — rejoin (robot may need to reconnect)";
    /// 409 when answering without a peer.
    pub const OPERATOR_PEER_NOT_READY: &str = "Operator CF session not ready";
    /// 409 when answering an offer that was not made.
    pub const NO_VIDEO_OFFER: &str = "No pending video renegotiation — re-bridge to get a fresh offer";
    /// 409 when a robot answers an offer that was not made.
    pub const NO_ROBOT_OFFER: &str = "No pending robot renegotiation";
    /// 422 of a registration for an SFU that takes offers.
    pub const OFFER_REQUIRED: &str = "sdp_offer required for cloudflare transport";
    /// 429, with `Retry-After`.
    pub const RATE_LIMITED: &str = "Rate limit exceeded";
    /// 502: the registration could not be stored.
    pub const NOT_STORED: &str = "Session persist failed";
    /// 503: that SFU is not configured.
    pub const NO_LIVEKIT: &str = "LiveKit backend not configured";
}
