//! What a robot asks of the broker.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::IceServer;
use super::number::whole;
use crate::hosted::{ChannelLabel, TwistUnits};

/// `POST /sessions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisterRobot {
    /// Shown to operators.
    pub robot_name: String,
    /// Tells robots of one key apart; a new registration of the same ends the older session. Empty: it does not.
    #[serde(default, deserialize_with = "or_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub robot_id: String,
    /// `go2` is driven, `arm` is an arm; others are kept as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robot_type: Option<String>,
    /// The kind of SFU.
    #[serde(default)]
    pub transport: Transport,
    /// A whole offer, with its candidates; needed unless the SFU is LiveKit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp_offer: Option<String>,
    /// What its twists are in (extension [`Extension::TwistUnits`](super::Extension::TwistUnits)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twist_units: Option<TwistUnits>,
    /// The session that this one goes on with (extension [`Extension::Resume`](super::Extension::Resume)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_of: Option<String>,
    /// Extensions it knows, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ext: Vec<String>,
}

fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The kind of SFU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// One that takes offers through the broker, wherever it runs.
    #[default]
    Cloudflare,
    /// One that is spoken to directly.
    Livekit,
}

/// Its reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisteredRobot {
    /// UUID of the session.
    pub session_id: String,
    /// The robot's peer at the SFU. Robots need it for nothing, so it may be missing.
    #[serde(default, deserialize_with = "readable")]
    pub cf_session_id: String,
    /// A whole answer.
    pub sdp_answer: String,
    /// Comes too late to be used; whatever cannot be read counts as none.
    #[serde(default, deserialize_with = "readable")]
    pub ice_servers: Vec<IceServer>,
    /// Extensions of the broker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ext: Vec<String>,
}

/// A value, or the default in place of one that is something else.
fn readable<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// `POST /sessions/{id}/heartbeat`. Figures that are not known are null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Heartbeat {
    /// To the operator and back, ms.
    #[serde(default)]
    pub rtt_ms: Option<f64>,
    /// Of commands, percent.
    #[serde(default)]
    pub packet_loss_pct: Option<f64>,
    /// kbit/s.
    #[serde(default, deserialize_with = "whole")]
    pub video_bitrate_kbps: Option<i64>,
    /// Commands a second.
    #[serde(default)]
    pub command_rate_hz: Option<f64>,
    /// How the robot is.
    #[serde(default)]
    pub safety_state: SafetyState,
}

/// How a robot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum SafetyState {
    /// Well.
    #[default]
    Nominal,
    /// Its stop latch is set.
    Estopped,
    /// Something is wrong; also whatever else a robot says.
    #[serde(other)]
    Degraded,
}

/// Its reply: what the robot should do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatAck {
    /// Always true; robots do not look.
    #[serde(default = "yes")]
    pub ack: bool,
    /// The channels that should be open.
    #[serde(flatten)]
    pub ids: RobotChannelIds,
    /// An offer to answer with `POST /sessions/{id}/renegotiate-robot`.
    #[serde(default)]
    pub renegotiate_offer: Option<String>,
}

const fn yes() -> bool {
    true
}

/// SCTP ids of the robot's leg; null: to be closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RobotChannelIds {
    /// Of [`ChannelLabel::CmdUnreliable`], for reading.
    #[serde(default, deserialize_with = "whole")]
    pub cmd_channel_subscriber_id: Option<u16>,
    /// Of [`ChannelLabel::StateReliable`], for reading.
    #[serde(default, deserialize_with = "whole")]
    pub state_channel_subscriber_id: Option<u16>,
    /// Of [`ChannelLabel::StateReliableBack`], for writing.
    #[serde(default, deserialize_with = "whole")]
    pub state_back_channel_publisher_id: Option<u16>,
    /// Of [`ChannelLabel::MapUnreliable`], for writing.
    #[serde(default, deserialize_with = "whole")]
    pub map_channel_publisher_id: Option<u16>,
}

impl RobotChannelIds {
    /// The id of one channel.
    pub const fn get(&self, label: ChannelLabel) -> Option<u16> {
        match label {
            ChannelLabel::CmdUnreliable => self.cmd_channel_subscriber_id,
            ChannelLabel::StateReliable => self.state_channel_subscriber_id,
            ChannelLabel::StateReliableBack => self.state_back_channel_publisher_id,
            ChannelLabel::MapUnreliable => self.map_channel_publisher_id,
        }
    }
}

/// The reply to a robot at a LiveKit SFU.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LiveKitAck {
    /// Always true.
    pub ack: bool,
    /// A new token, when the old one ends soon; never logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub livekit_token: Option<String>,
}

impl std::fmt::Debug for LiveKitAck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveKitAck").field("ack", &self.ack).finish_non_exhaustive()
    }
}

/// What the broker pushes to a robot that asked for it (extension [`Extension::Push`](super::Extension::Push)): the ids of
/// its next heartbeat reply, at once. A text frame on the channel `ctl_reliable`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Pushed", into = "Pushed")]
pub struct BridgeUpdate {
    /// Of the bridge; an older one than the last is to be ignored.
    pub generation: u64,
    /// The channels that should be open.
    pub ids: RobotChannelIds,
}

/// An enumeration, because serde holds a tag only to those.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Pushed {
    BridgeUpdate { generation: u64, ids: RobotChannelIds },
}

impl From<Pushed> for BridgeUpdate {
    fn from(Pushed::BridgeUpdate { generation, ids }: Pushed) -> Self {
        Self { generation, ids }
    }
}

impl From<BridgeUpdate> for Pushed {
    fn from(BridgeUpdate { generation, ids }: BridgeUpdate) -> Self {
        Self::BridgeUpdate { generation, ids }
    }
}

/// An answer to an offer, of a robot or an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SdpAnswer {
    /// A whole answer.
    pub sdp_answer: String,
}

/// Its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Done {
    /// Always true.
    pub ok: bool,
}
