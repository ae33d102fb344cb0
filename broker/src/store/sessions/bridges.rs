//! Bridges: their generations and the ids of their channels.

use sqlx::AssertSqlSafe;

use super::NO_BRIDGE;
use crate::sfu::{Bridge, LegIds};
use crate::store::{Store, StoreError};

impl Store {
    /// Reserves the generation of a bridge under a lease, and forgets the ids of the one before except as stale ones.
    /// None if the lease is over or somebody else reserved one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reserve_bridge(
        &self,
        id: &str,
        lease: &str,
        last_generation: i64,
        now: i64,
    ) -> Result<Option<i64>, StoreError> {
        let next = last_generation.saturating_add(1);
        let reserved = sqlx::query(AssertSqlSafe(format!(
            "UPDATE sessions SET bridge_generation = $1, operator_heartbeat = $2, {NO_BRIDGE}, row_version = row_version + 1 \
             WHERE id = $3 AND state = 'active' AND lease_id = $4 AND bridge_generation = $5"
        )))
        .bind(next)
        .bind(now)
        .bind(id)
        .bind(lease)
        .bind(last_generation)
        .execute(&self.pool)
        .await?;
        Ok((reserved.rows_affected() == 1).then_some(next))
    }

    /// Stores the ids of an open bridge, which makes it visible to the robot; false if the lease is over or there is a
    /// later bridge.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_bridge(&self, id: &str, lease: &str, bridge: &Bridge, now: i64) -> Result<bool, StoreError> {
        let LegIds { cmd, state, state_back, map } = bridge.robot;
        let operator = bridge.operator;
        let set = sqlx::query(
            "UPDATE sessions SET robot_cmd = $1, robot_state = $2, robot_state_back = $3, robot_map = $4, \
             operator_cmd = $5, operator_state = $6, operator_state_back = $7, operator_map = $8, \
             operator_heartbeat = $9, row_version = row_version + 1 \
             WHERE id = $10 AND state = 'active' AND lease_id = $11 AND bridge_generation = $12",
        )
        .bind(i64::from(cmd))
        .bind(i64::from(state))
        .bind(i64::from(state_back))
        .bind(i64::from(map))
        .bind(i64::from(operator.cmd))
        .bind(i64::from(operator.state))
        .bind(i64::from(operator.state_back))
        .bind(i64::from(operator.map))
        .bind(now)
        .bind(id)
        .bind(lease)
        .bind(i64::try_from(bridge.generation).unwrap_or(i64::MAX))
        .execute(&self.pool)
        .await?;
        Ok(set.rows_affected() == 1)
    }

    /// Forgets the ids of a bridge, except as stale ones; false if it is not the session's bridge (any more).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clear_bridge(&self, id: &str, generation: i64) -> Result<bool, StoreError> {
        let cleared = sqlx::query(AssertSqlSafe(format!(
            "UPDATE sessions SET {NO_BRIDGE}, row_version = row_version + 1 \
             WHERE id = $1 AND bridge_generation = $2 AND robot_cmd IS NOT NULL"
        )))
        .bind(id)
        .bind(generation)
        .execute(&self.pool)
        .await?;
        Ok(cleared.rows_affected() == 1)
    }

    /// Forgets a robot's peer that the engine does not have any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_robot_peer(&self, id: &str, peer: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE sessions SET robot_peer = NULL, row_version = row_version + 1 WHERE id = $1 AND robot_peer = $2",
        )
        .bind(id)
        .bind(peer)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets an operator's peer that the engine does not have any more. The slot stays theirs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_operator_peer(&self, id: &str, peer: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE sessions SET operator_peer = NULL, row_version = row_version + 1 WHERE id = $1 AND operator_peer = $2",
        )
        .bind(id)
        .bind(peer)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
