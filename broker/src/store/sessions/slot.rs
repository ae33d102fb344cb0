//! The operator's slot: who holds it, and by which join.

use sqlx::AssertSqlSafe;

use super::{NO_BRIDGE, State};
use crate::sfu::Track;
use crate::store::{Session, Store, StoreError};

/// How often a claim looks again if the row changes under it.
const CLAIM_TRIES: usize = 8;

/// What came of asking for the slot.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// It was free.
    Taken,
    /// The caller had it already, by this lease.
    Kept(Option<String>),
    /// Somebody else has it.
    Held(String),
    /// The session is over.
    Gone,
}

impl Store {
    /// Takes the slot for an operator if it is free, under a new lease.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self, id: &str, operator: &str, lease: &str, now: i64) -> Result<Claim, StoreError> {
        for _ in 0..CLAIM_TRIES {
            let claimed = sqlx::query(
                "UPDATE sessions SET operator_id = $1, state = 'active', operator_heartbeat = $2, lease_id = $3, \
                 row_version = row_version + 1 WHERE id = $4 AND state = 'idle'",
            )
            .bind(operator)
            .bind(now)
            .bind(lease)
            .bind(id)
            .execute(&self.pool)
            .await?;
            if claimed.rows_affected() == 1 {
                return Ok(Claim::Taken);
            }
            match self.session(id).await? {
                Some(Session { state: State::Active, operator_id: Some(holder), lease_id, .. }) => {
                    if holder != operator {
                        return Ok(Claim::Held(holder));
                    }
                    if self.operator_beat(id, operator, lease_id.as_deref(), now).await? {
                        return Ok(Claim::Kept(lease_id));
                    }
                }
                // Freed in between: once more.
                Some(Session { state: State::Idle, .. }) => {}
                _ => return Ok(Claim::Gone),
            }
        }
        Err(StoreError::Nonsense(format!("the slot of session {id} changes all the time")))
    }

    /// Puts an operator's peer into the slot, under a new lease if there was one by `lease`; false if the slot has
    /// another lease by now. The bridge of the peer before ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn seat(
        &self,
        id: &str,
        lease: Option<&str>,
        new_lease: &str,
        peer: Option<&str>,
        audio: Option<&Track>,
        now: i64,
    ) -> Result<bool, StoreError> {
        let seated = sqlx::query(AssertSqlSafe(format!(
            "UPDATE sessions SET operator_peer = $1, audio_mid = $2, audio_track = $3, lease_id = $4, \
             operator_heartbeat = $5, {NO_BRIDGE}, row_version = row_version + 1 \
             WHERE id = $6 AND state = 'active' AND lease_id = $7"
        )))
        .bind(peer)
        .bind(audio.map(|track| track.mid.clone()))
        .bind(audio.map(|track| track.name.clone()))
        .bind(new_lease)
        .bind(now)
        .bind(id)
        .bind(lease.unwrap_or(new_lease))
        .execute(&self.pool)
        .await?;
        Ok(seated.rows_affected() == 1)
    }

    /// Gives the slot from one lease to another operator and lease in one step; false if the first one ended meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_over(
        &self,
        id: &str,
        from: &str,
        operator: &str,
        lease: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        let taken = sqlx::query(AssertSqlSafe(format!(
            "UPDATE sessions SET operator_id = $1, operator_heartbeat = $2, lease_id = $3, operator_peer = NULL, \
             audio_mid = NULL, audio_track = NULL, {NO_BRIDGE}, row_version = row_version + 1 \
             WHERE id = $4 AND state = 'active' AND lease_id = $5"
        )))
        .bind(operator)
        .bind(now)
        .bind(lease)
        .bind(id)
        .bind(from)
        .execute(&self.pool)
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Frees the slot that a lease holds; false if it does not hold it (any more), or if the operator was heard since
    /// `unless_heard_since`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn vacate(&self, id: &str, lease: &str, unless_heard_since: Option<i64>) -> Result<bool, StoreError> {
        let freed = sqlx::query(AssertSqlSafe(format!(
            "UPDATE sessions SET state = 'idle', operator_id = NULL, operator_heartbeat = NULL, lease_id = NULL, \
             operator_peer = NULL, audio_mid = NULL, audio_track = NULL, {NO_BRIDGE}, row_version = row_version + 1 \
             WHERE id = $1 AND state = 'active' AND lease_id = $2 AND operator_heartbeat < $3"
        )))
        .bind(id)
        .bind(lease)
        .bind(unless_heard_since.unwrap_or(i64::MAX))
        .execute(&self.pool)
        .await?;
        Ok(freed.rows_affected() == 1)
    }

    /// Notes that the operator is there; false if they do not hold the slot, or not by this lease.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn operator_beat(
        &self,
        id: &str,
        operator: &str,
        lease: Option<&str>,
        now: i64,
    ) -> Result<bool, StoreError> {
        let noted = sqlx::query(
            "UPDATE sessions SET operator_heartbeat = $1 WHERE id = $2 AND state = 'active' AND operator_id = $3 \
             AND ($4 = 1 OR lease_id = $5)",
        )
        .bind(now)
        .bind(id)
        .bind(operator)
        .bind(i64::from(lease.is_none()))
        .bind(lease.unwrap_or_default())
        .execute(&self.pool)
        .await?;
        Ok(noted.rows_affected() == 1)
    }
}
