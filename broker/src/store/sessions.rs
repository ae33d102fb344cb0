//! Sessions: one row per registration of a robot. Every change is one conditional statement.

mod bridges;
mod offers;
mod row;
mod slot;

use sqlx::Row;
use sqlx::any::AnyRow;

pub use self::row::{Figures, NewSession, Session, State};
pub use self::slot::Claim;
use super::{Store, StoreError};

/// What ends with a bridge: the ids. The robot's are kept as stale ones.
const NO_BRIDGE: &str = "stale_cmd = COALESCE(robot_cmd, stale_cmd), stale_state = COALESCE(robot_state, stale_state), \
     stale_state_back = COALESCE(robot_state_back, stale_state_back), stale_map = COALESCE(robot_map, stale_map), \
     robot_cmd = NULL, robot_state = NULL, robot_state_back = NULL, robot_map = NULL, operator_cmd = NULL, \
     operator_state = NULL, operator_state_back = NULL, operator_map = NULL, video_offer = NULL, \
     video_offer_failures = 0, robot_offer = NULL, robot_offer_at = NULL, robot_offer_failures = 0";

fn all(rows: &[AnyRow]) -> Result<Vec<Session>, StoreError> {
    rows.iter().map(Session::from_row).collect()
}

impl Store {
    /// Stores a new session that was asked for at `began`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_session(&self, new: &NewSession, began: i64, now: i64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO sessions (id, row_version, owner_id, robot_id, robot_name, robot_type, transport, twist_units, \
             key_prefix, state, created_at, engine_node, last_heartbeat, safety_state, robot_peer, video_mid, video_track, \
             bridge_generation, video_offer_failures, robot_offer_failures) \
             VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, 'idle', $9, $10, $11, 'nominal', $12, $13, $14, 0, 0, 0)",
        )
        .bind(&new.id)
        .bind(&new.owner_id)
        .bind(&new.robot_id)
        .bind(&new.robot_name)
        .bind(&new.robot_type)
        .bind(&new.transport)
        .bind(&new.twist_units)
        .bind(&new.key_prefix)
        .bind(began)
        .bind(&new.engine_node)
        .bind(now)
        .bind(&new.robot_peer)
        .bind(new.video.as_ref().map(|track| track.mid.clone()))
        .bind(new.video.as_ref().map(|track| track.name.clone()))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A session, also an ended one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session(&self, id: &str) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query("SELECT * FROM sessions WHERE id = $1").bind(id).fetch_optional(&self.pool).await?;
        row.as_ref().map(Session::from_row).transpose()
    }

    /// Sessions that go on and whose robot was heard since a moment; of one owner, or of all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn live_sessions(&self, owner: Option<&str>, since: i64) -> Result<Vec<Session>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM sessions WHERE state <> 'disconnected' AND last_heartbeat >= $1 \
             AND ($2 = 1 OR owner_id = $3) ORDER BY created_at, id LIMIT 10000",
        )
        .bind(since)
        .bind(i64::from(owner.is_none()))
        .bind(owner.unwrap_or_default())
        .fetch_all(&self.pool)
        .await?;
        all(&rows)
    }

    /// Sessions of one robot that go on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sessions_of_robot(&self, owner: &str, robot_id: &str) -> Result<Vec<Session>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM sessions WHERE owner_id = $1 AND robot_id = $2 AND state <> 'disconnected'")
                .bind(owner)
                .bind(robot_id)
                .fetch_all(&self.pool)
                .await?;
        all(&rows)
    }

    /// How many sessions are in each state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_sessions(&self) -> Result<Vec<(State, i64)>, StoreError> {
        let rows = sqlx::query("SELECT state, COUNT(*) AS sessions FROM sessions GROUP BY state")
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let state: String = row.try_get("state")?;
                Ok((State::parse(&state)?, row.try_get("sessions")?))
            })
            .collect()
    }

    /// How many sessions of an owner go on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_live(&self, owner: &str) -> Result<i64, StoreError> {
        let row =
            sqlx::query("SELECT COUNT(*) AS sessions FROM sessions WHERE owner_id = $1 AND state <> 'disconnected'")
                .bind(owner)
                .fetch_one(&self.pool)
                .await?;
        Ok(row.try_get("sessions")?)
    }

    /// Notes a robot's heartbeat; false if the session is over or unknown. It never changes the state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn robot_beat(&self, id: &str, figures: &Figures, now: i64) -> Result<bool, StoreError> {
        let noted = sqlx::query(
            "UPDATE sessions SET last_heartbeat = $1, rtt_ms = $2, packet_loss_pct = $3, video_bitrate_kbps = $4, \
             command_rate_hz = $5, safety_state = $6 WHERE id = $7 AND state <> 'disconnected'",
        )
        .bind(now)
        .bind(figures.rtt_ms)
        .bind(figures.packet_loss_pct)
        .bind(figures.video_bitrate_kbps)
        .bind(figures.command_rate_hz)
        .bind(&figures.safety_state)
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Ends a session for ever; false if it is over already, or if its robot was heard since `unless_heard_since`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_session(
        &self,
        id: &str,
        superseded_by: Option<&str>,
        unless_heard_since: Option<i64>,
        now: i64,
    ) -> Result<bool, StoreError> {
        let ended = sqlx::query(
            "UPDATE sessions SET state = 'disconnected', ended_at = $1, superseded_by = $2, robot_peer = NULL, \
             operator_id = NULL, operator_heartbeat = NULL, lease_id = NULL, operator_peer = NULL, audio_mid = NULL, \
             audio_track = NULL, robot_cmd = NULL, robot_state = NULL, robot_state_back = NULL, robot_map = NULL, \
             operator_cmd = NULL, operator_state = NULL, operator_state_back = NULL, operator_map = NULL, \
             video_offer = NULL, robot_offer = NULL, robot_offer_at = NULL, row_version = row_version + 1 \
             WHERE id = $3 AND state <> 'disconnected' AND last_heartbeat < $4",
        )
        .bind(now)
        .bind(superseded_by)
        .bind(id)
        .bind(unless_heard_since.unwrap_or(i64::MAX))
        .execute(&self.pool)
        .await?;
        Ok(ended.rows_affected() == 1)
    }

    /// Sessions that go on whose robot was not heard since a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn silent_robots(&self, since: i64) -> Result<Vec<Session>, StoreError> {
        let rows = sqlx::query("SELECT * FROM sessions WHERE state <> 'disconnected' AND last_heartbeat < $1")
            .bind(since)
            .fetch_all(&self.pool)
            .await?;
        all(&rows)
    }

    /// Sessions whose operator was not heard since a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn silent_operators(&self, since: i64) -> Result<Vec<Session>, StoreError> {
        let rows = sqlx::query("SELECT * FROM sessions WHERE state = 'active' AND operator_heartbeat < $1")
            .bind(since)
            .fetch_all(&self.pool)
            .await?;
        all(&rows)
    }

    /// The session that goes on with this peer as its robot's or its operator's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session_of_peer(&self, peer: &str) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query(
            "SELECT * FROM sessions WHERE state <> 'disconnected' AND (robot_peer = $1 OR operator_peer = $2)",
        )
        .bind(peer)
        .bind(peer)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(Session::from_row).transpose()
    }

    /// Sessions that go on whose peers were in a process that was not seen since a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn orphans(&self, since: i64) -> Result<Vec<Session>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM sessions WHERE state <> 'disconnected' AND engine_node IS NOT NULL \
             AND (robot_peer IS NOT NULL OR operator_peer IS NOT NULL) \
             AND engine_node NOT IN (SELECT id FROM nodes WHERE seen_at >= $1)",
        )
        .bind(since)
        .fetch_all(&self.pool)
        .await?;
        all(&rows)
    }

    /// Sessions that go on whose peers a process holds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sessions_at(&self, node: &str) -> Result<Vec<Session>, StoreError> {
        let rows = sqlx::query("SELECT * FROM sessions WHERE state <> 'disconnected' AND engine_node = $1")
            .bind(node)
            .fetch_all(&self.pool)
            .await?;
        all(&rows)
    }
}
