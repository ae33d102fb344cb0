//! Offers that wait for an answer of the operator or the robot.

use crate::store::{Store, StoreError};

impl Store {
    /// Notes the offer that a bridge made to its operator.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_video_offer(&self, id: &str, generation: i64, offer: &str) -> Result<bool, StoreError> {
        let set = sqlx::query(
            "UPDATE sessions SET video_offer = $1, video_offer_failures = 0, row_version = row_version + 1 \
             WHERE id = $2 AND bridge_generation = $3 AND state = 'active'",
        )
        .bind(offer)
        .bind(id)
        .bind(generation)
        .execute(&self.pool)
        .await?;
        Ok(set.rows_affected() == 1)
    }

    /// Takes the marker of this offer to the operator, so that one of several answers gets it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_video_offer(&self, id: &str, generation: i64, offer: &str) -> Result<bool, StoreError> {
        let taken = sqlx::query(
            "UPDATE sessions SET video_offer = NULL, row_version = row_version + 1 \
             WHERE id = $1 AND bridge_generation = $2 AND video_offer = $3",
        )
        .bind(id)
        .bind(generation)
        .bind(offer)
        .execute(&self.pool)
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Puts the marker back after the first answer that failed, unless there is a new bridge.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn restore_video_offer(&self, id: &str, generation: i64, offer: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE sessions SET video_offer = $1, video_offer_failures = video_offer_failures + 1, \
             row_version = row_version + 1 WHERE id = $2 AND bridge_generation = $3 AND video_offer IS NULL \
             AND video_offer_failures = 0 AND robot_cmd IS NOT NULL",
        )
        .bind(offer)
        .bind(id)
        .bind(generation)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes the offer that a bridge made to its robot.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_robot_offer(&self, id: &str, generation: i64, offer: &str, now: i64) -> Result<bool, StoreError> {
        let set = sqlx::query(
            "UPDATE sessions SET robot_offer = $1, robot_offer_at = $2, robot_offer_failures = 0, \
             row_version = row_version + 1 WHERE id = $3 AND bridge_generation = $4 AND state = 'active'",
        )
        .bind(offer)
        .bind(now)
        .bind(id)
        .bind(generation)
        .execute(&self.pool)
        .await?;
        Ok(set.rows_affected() == 1)
    }

    /// Takes the marker of this offer to the robot, so that one of several answers gets it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_robot_offer(&self, id: &str, generation: i64, offer: &str) -> Result<bool, StoreError> {
        let taken = sqlx::query(
            "UPDATE sessions SET robot_offer = NULL, robot_offer_at = NULL, row_version = row_version + 1 \
             WHERE id = $1 AND bridge_generation = $2 AND robot_offer = $3",
        )
        .bind(id)
        .bind(generation)
        .bind(offer)
        .execute(&self.pool)
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Puts the robot's offer back after the first answer that failed, unless there is a new bridge.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn restore_robot_offer(&self, id: &str, generation: i64, offer: &str, at: i64) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE sessions SET robot_offer = $1, robot_offer_at = $2, robot_offer_failures = robot_offer_failures + 1, \
             row_version = row_version + 1 WHERE id = $3 AND bridge_generation = $4 AND robot_offer IS NULL \
             AND robot_offer_failures = 0 AND robot_cmd IS NOT NULL",
        )
        .bind(offer)
        .bind(at)
        .bind(id)
        .bind(generation)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
