//! What an operator asks of the broker.

use serde::{Deserialize, Serialize};

use super::number::{required, whole};
use super::{IceServer, SessionState, Transport};
use crate::hosted::ChannelLabel;

/// `POST /sessions/{id}/join`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinSession {
    /// As what.
    #[serde(default)]
    pub role: Role,
    /// A whole offer, with its candidates; needed unless the SFU is LiveKit.
    #[serde(default)]
    pub sdp_offer: Option<String>,
}

/// As what somebody joins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes the robot's one slot.
    #[default]
    Operator,
    /// Only watches.
    Viewer,
}

/// Its reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinedSession {
    /// The operator's peer at the SFU.
    pub cf_session_id: String,
    /// A whole answer.
    pub sdp_answer: String,
    /// The robot's peer at the SFU.
    pub robot_cf_session_id: String,
    /// Comes too late to be used.
    #[serde(default)]
    pub ice_servers: Vec<IceServer>,
    /// As what.
    #[serde(default)]
    pub role: Role,
    /// For the header [`LEASE_HEADER`](super::LEASE_HEADER) of later calls (extension
    /// [`Extension::Lease`](super::Extension::Lease)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<String>,
    /// Extensions of the broker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ext: Vec<String>,
}

/// The reply to a registration or a join at a LiveKit SFU.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LiveKitAccess {
    /// UUID of the session.
    pub session_id: String,
    /// Always [`Transport::Livekit`].
    pub transport: Transport,
    /// Of the SFU.
    pub url: String,
    /// Of the SFU; never logged: see `Debug`.
    pub token: String,
    /// The room.
    pub room: String,
    /// Null for a robot.
    pub role: Option<Role>,
}

impl std::fmt::Debug for LiveKitAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveKitAccess").field("url", &self.url).field("room", &self.room).finish_non_exhaustive()
    }
}

/// `POST /sessions/{id}/bridge-datachannel`: SCTP ids of the operator's leg, and what became of the video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BridgedSession {
    /// Of [`ChannelLabel::CmdUnreliable`], for writing. There is no operating without it.
    #[serde(deserialize_with = "required")]
    pub cmd_channel_id: u16,
    /// Of [`ChannelLabel::StateReliable`], for writing.
    #[serde(default, deserialize_with = "whole")]
    pub state_channel_id: Option<u16>,
    /// Of [`ChannelLabel::StateReliableBack`], for reading.
    #[serde(default, deserialize_with = "whole")]
    pub state_back_channel_id: Option<u16>,
    /// Of [`ChannelLabel::MapUnreliable`], for reading.
    #[serde(default, deserialize_with = "whole")]
    pub map_channel_id: Option<u16>,
    /// An offer to answer with `POST /sessions/{id}/renegotiate-answer`.
    #[serde(default)]
    pub video_offer: Option<String>,
    /// With `ok` and no offer the video flows already.
    #[serde(default)]
    pub video_status: VideoStatus,
    /// The same for the robot's microphone (extension [`Extension::RobotAudio`](super::Extension::RobotAudio)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_offer: Option<String>,
}

impl BridgedSession {
    /// The channels to open, negotiated, with their ids; older brokers give fewer than four.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelLabel, u16)> {
        let ids = [Some(self.cmd_channel_id), self.state_channel_id, self.state_back_channel_id, self.map_channel_id];
        ChannelLabel::ALL.into_iter().zip(ids).filter_map(|(label, id)| Some((label, id?)))
    }
}

/// What became of the video when bridging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum VideoStatus {
    /// It flows, or will when the offer is answered.
    Ok,
    /// The robot has offered none.
    NoPublishedTrack,
    /// The SFU did not take it from the robot.
    PublishError,
    /// The SFU did not give it to the operator.
    PullError,
    /// There is nothing to answer, or another broker's word for whatever went wrong.
    #[default]
    #[serde(other)]
    NoOffer,
}

/// A viewer's bridge (extension [`Extension::Viewers`](super::Extension::Viewers)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BridgedViewer {
    /// Of [`ChannelLabel::StateReliableBack`], for reading.
    #[serde(deserialize_with = "required")]
    pub state_back_channel_id: u16,
    /// Of [`ChannelLabel::MapUnreliable`], for reading.
    #[serde(deserialize_with = "required")]
    pub map_channel_id: u16,
    /// An offer to answer.
    #[serde(default)]
    pub video_offer: Option<String>,
    /// As for an operator.
    #[serde(default)]
    pub video_status: VideoStatus,
}

/// The reply to a heartbeat of an operator or viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ack {
    /// Always true.
    pub ack: bool,
}

/// `POST /sessions/{id}/leave`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct LeaveSession {
    /// `user_initiated`, or `pagehide` of a tab that closes.
    pub reason: String,
}

impl Default for LeaveSession {
    fn default() -> Self {
        Self { reason: "user_initiated".to_owned() }
    }
}

/// Its reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeftSession {
    /// UUID of the session.
    pub session_id: String,
    /// What it is now.
    pub state: SessionState,
}

/// `POST /sessions/{id}/takeover`, answered like a join (extension [`Extension::Lease`](super::Extension::Lease)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TakeOver {
    /// For the audit.
    pub reason: String,
    /// A whole offer, as in a join.
    #[serde(default)]
    pub sdp_offer: Option<String>,
}

/// One line of `GET /sessions/{id}/audit` (extension [`Extension::Lease`](super::Extension::Lease)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// ISO 8601, UTC.
    pub ts: String,
    /// Who: an e-mail address, `robot` or `broker`.
    pub actor: String,
    /// What happened, one word.
    pub event: String,
    /// The rest, in words.
    pub detail: String,
}
