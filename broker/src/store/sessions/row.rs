//! A session as it is kept.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::sfu::{Bridge, LegIds, Track};
use crate::store::StoreError;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The robot is there, nobody drives.
    Idle,
    /// An operator holds the slot.
    Active,
    /// Over, for ever.
    Disconnected,
}

impl State {
    /// The word in the store and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Active => "active",
            Self::Disconnected => "disconnected",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "idle" => Ok(Self::Idle),
            "active" => Ok(Self::Active),
            "disconnected" => Ok(Self::Disconnected),
            other => Err(StoreError::Nonsense(format!("a session is `{other}`"))),
        }
    }
}

/// A robot's registration.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// A UUID, version 4.
    pub id: String,
    /// The tenant: whose key it was.
    pub owner_id: String,
    /// Tells robots of one key apart; may be empty.
    pub robot_id: String,
    /// Shown to operators.
    pub robot_name: String,
    /// `go2`, `arm`, or whatever it says.
    pub robot_type: Option<String>,
    /// `cloudflare` (any engine that takes offers) or `livekit`.
    pub transport: String,
    /// `si` or `normalized`.
    pub twist_units: Option<String>,
    /// The first characters of the key that was used.
    pub key_prefix: String,
    /// The process that holds the peers, if the engine is inside of it.
    pub engine_node: Option<String>,
    /// The robot's peer at the engine.
    pub robot_peer: Option<String>,
    /// The video it offers.
    pub video: Option<Track>,
}

/// What a robot tells of itself in a heartbeat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Round trip in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Lost packets in percent.
    pub packet_loss_pct: Option<f64>,
    /// Its video, in kbit/s.
    pub video_bitrate_kbps: Option<i64>,
    /// Commands it gets, per second.
    pub command_rate_hz: Option<f64>,
    /// `nominal`, `estopped`, `degraded`.
    pub safety_state: String,
}

/// A session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// A UUID, version 4.
    pub id: String,
    /// Grows with each change other than heartbeats.
    pub row_version: i64,
    /// The tenant.
    pub owner_id: String,
    /// May be empty.
    pub robot_id: String,
    /// Shown to operators.
    pub robot_name: String,
    /// `go2`, `arm`, or whatever it says.
    pub robot_type: Option<String>,
    /// `cloudflare` or `livekit`.
    pub transport: String,
    /// `si` or `normalized`.
    pub twist_units: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// The session that took over for the same robot.
    pub superseded_by: Option<String>,
    /// The process that holds the peers.
    pub engine_node: Option<String>,
    /// Milliseconds since 1970.
    pub last_heartbeat: i64,
    /// What the last heartbeat told.
    pub figures: Figures,
    /// The robot's peer at the engine.
    pub robot_peer: Option<String>,
    /// The video the robot offers.
    pub video: Option<Track>,
    /// Who holds the slot.
    pub operator_id: Option<String>,
    /// Milliseconds since 1970.
    pub operator_heartbeat: Option<i64>,
    /// Names the join that holds the slot.
    pub lease_id: Option<String>,
    /// The operator's peer at the engine.
    pub operator_peer: Option<String>,
    /// The operator's voice.
    pub audio: Option<Track>,
    /// Grows with each bridge.
    pub bridge_generation: i64,
    /// The open bridge.
    pub bridge: Option<Bridge>,
    /// The robot's ids of the last bridge.
    pub stale: Option<LegIds>,
    /// An offer that the operator has not answered.
    pub video_offer: Option<String>,
    /// How many answers to it failed.
    pub video_offer_failures: i64,
    /// An offer that the robot has not answered, and since when it waits.
    pub robot_offer: Option<(String, i64)>,
    /// How many answers to it failed.
    pub robot_offer_failures: i64,
}

impl Session {
    pub(super) fn from_row(row: &AnyRow) -> Result<Self, StoreError> {
        let state: String = row.try_get("state")?;
        let bridge_generation: i64 = row.try_get("bridge_generation")?;
        let bridge = match (leg(row, "robot")?, leg(row, "operator")?) {
            (Some(robot), Some(operator)) => {
                Some(Bridge { generation: bridge_generation.unsigned_abs(), robot, operator })
            }
            _ => None,
        };
        let offer: Option<String> = row.try_get("robot_offer")?;
        let offer_at: Option<i64> = row.try_get("robot_offer_at")?;
        Ok(Self {
            id: row.try_get("id")?,
            row_version: row.try_get("row_version")?,
            owner_id: row.try_get("owner_id")?,
            robot_id: row.try_get("robot_id")?,
            robot_name: row.try_get("robot_name")?,
            robot_type: row.try_get("robot_type")?,
            transport: row.try_get("transport")?,
            twist_units: row.try_get("twist_units")?,
            state: State::parse(&state)?,
            created_at: row.try_get("created_at")?,
            superseded_by: row.try_get("superseded_by")?,
            engine_node: row.try_get("engine_node")?,
            last_heartbeat: row.try_get("last_heartbeat")?,
            figures: Figures {
                rtt_ms: row.try_get("rtt_ms")?,
                packet_loss_pct: row.try_get("packet_loss_pct")?,
                video_bitrate_kbps: row.try_get("video_bitrate_kbps")?,
                command_rate_hz: row.try_get("command_rate_hz")?,
                safety_state: row.try_get("safety_state")?,
            },
            robot_peer: row.try_get("robot_peer")?,
            video: track(row, "video_mid", "video_track")?,
            operator_id: row.try_get("operator_id")?,
            operator_heartbeat: row.try_get("operator_heartbeat")?,
            lease_id: row.try_get("lease_id")?,
            operator_peer: row.try_get("operator_peer")?,
            audio: track(row, "audio_mid", "audio_track")?,
            bridge_generation,
            bridge,
            stale: leg(row, "stale")?,
            video_offer: row.try_get("video_offer")?,
            video_offer_failures: row.try_get("video_offer_failures")?,
            robot_offer: offer.zip(offer_at),
            robot_offer_failures: row.try_get("robot_offer_failures")?,
        })
    }
}

fn track(row: &AnyRow, mid: &str, name: &str) -> Result<Option<Track>, StoreError> {
    let mid: Option<String> = row.try_get(mid)?;
    let name: Option<String> = row.try_get(name)?;
    Ok(mid.zip(name).map(|(mid, name)| Track { mid, name }))
}

fn leg(row: &AnyRow, leg: &str) -> Result<Option<LegIds>, StoreError> {
    let id = |channel: &str| -> Result<Option<u16>, StoreError> {
        let id: Option<i64> = row.try_get(format!("{leg}_{channel}").as_str())?;
        id.map(|id| u16::try_from(id).map_err(|_| StoreError::Nonsense(format!("a channel has the id {id}"))))
            .transpose()
    };
    let ids = (id("cmd")?, id("state")?, id("state_back")?, id("map")?);
    Ok(match ids {
        (Some(cmd), Some(state), Some(state_back), Some(map)) => Some(LegIds { cmd, state, state_back, map }),
        _ => None,
    })
}
