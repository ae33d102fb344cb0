//! What everybody sees of a session.

use serde::{Deserialize, Deserializer, Serialize};

use super::{SafetyState, Transport};
use crate::hosted::TwistUnits;

/// One registration of a robot: `GET /sessions/{id}/status`, and each entry of the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionInfo {
    /// UUID.
    pub session_id: String,
    /// May be empty.
    #[serde(default)]
    pub robot_id: String,
    /// For people.
    pub robot_name: String,
    /// Chooses the page's view.
    #[serde(default)]
    pub robot_type: Option<String>,
    /// Whether it can be joined.
    pub state: SessionState,
    /// The kind of SFU.
    #[serde(default)]
    pub transport: Transport,
    /// E-mail address of who operates it.
    #[serde(default)]
    pub operator_id: Option<String>,
    /// As the robot says, ms.
    #[serde(default)]
    pub rtt_ms: Option<f64>,
    /// As the robot says, percent.
    #[serde(default)]
    pub packet_loss_pct: Option<f64>,
    /// ISO 8601, UTC.
    #[serde(default)]
    pub created_at: String,
    /// As the robot says, kbit/s (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_bitrate_kbps: Option<i64>,
    /// As the robot says, commands a second (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_rate_hz: Option<f64>,
    /// As the robot says (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety_state: Option<SafetyState>,
    /// How many watch (extension [`Extension::Viewers`]).
    #[serde(default)]
    pub viewers: u32,
    /// What its twists are in (extension [`Extension::TwistUnits`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twist_units: Option<TwistUnits>,
    /// The session to go on with (extension [`Extension::Resume`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
}

/// What a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Nobody operates it.
    #[default]
    Idle,
    /// Somebody does.
    Active,
    /// It is over, for good.
    Disconnected,
}

impl SessionState {
    /// The word of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Active => "active",
            Self::Disconnected => "disconnected",
        }
    }
}

/// `GET /sessions`: a flat list; one inside of an object is read too.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct SessionList(pub Vec<SessionInfo>);

impl<'de> Deserialize<'de> for SessionList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Forms {
            Flat(Vec<SessionInfo>),
            Wrapped { sessions: Vec<SessionInfo> },
        }
        Ok(Self(match Forms::deserialize(deserializer)? {
            Forms::Flat(sessions) | Forms::Wrapped { sessions } => sessions,
        }))
    }
}

/// `GET /health` of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BrokerHealth {
    /// `ok`.
    pub status: String,
    /// The same for every broker, [`BrokerHealth::SERVICE`].
    pub service: String,
    /// `prod` or `dev`.
    pub environment: String,
    /// By their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
}

impl BrokerHealth {
    /// What the wire calls itself.
    pub const SERVICE: &'static str = "dimos-teleop";
}

/// What is not of the original wire. A peer that does not name one never meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extension {
    /// Peers that only watch.
    Viewers,
    /// A robot that comes back goes on with its session.
    Resume,
    /// Channel ids are pushed to the robot.
    Push,
    /// Leases, takeover and audit.
    Lease,
    /// Twists say what they are in.
    TwistUnits,
    /// The robot's microphone.
    RobotAudio,
    /// A stop through the broker.
    Estop,
}

impl Extension {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Viewers, Self::Resume, Self::Push, Self::Lease, Self::TwistUnits, Self::RobotAudio, Self::Estop];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewers => "viewers/1",
            Self::Resume => "resume/1",
            Self::Push => "push/1",
            Self::Lease => "lease/1",
            Self::TwistUnits => "twist_units/1",
            Self::RobotAudio => "robot_audio/1",
            Self::Estop => "estop/1",
        }
    }

    /// Whether a peer's list has it.
    pub fn is_in(self, names: &[String]) -> bool {
        names.iter().any(|name| name == self.as_str())
    }
}
