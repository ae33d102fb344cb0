//! Peers that only watch.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError};

/// A viewer of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Its peer at the engine.
    pub peer: String,
    /// What it watches.
    pub session_id: String,
    /// Whose it is.
    pub user_id: String,
    /// Whether an offer waits for its answer.
    pub video_offer: bool,
}

fn viewer(row: &AnyRow) -> Result<Viewer, StoreError> {
    let video_offer: i64 = row.try_get("video_offer")?;
    Ok(Viewer {
        peer: row.try_get("peer")?,
        session_id: row.try_get("session_id")?,
        user_id: row.try_get("user_id")?,
        video_offer: video_offer != 0,
    })
}

const COLUMNS: &str = "peer, session_id, user_id, video_offer";

impl Store {
    /// Adds a viewer unless the session has `most` already; false then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_viewer(
        &self,
        peer: &str,
        session: &str,
        user: &str,
        most: i64,
        now: i64,
    ) -> Result<bool, StoreError> {
        let added = sqlx::query(
            "INSERT INTO viewers (peer, session_id, user_id, created_at, heartbeat, video_offer) \
             SELECT $1, id, $2, $3, $4, 0 FROM sessions WHERE id = $5 AND state <> 'disconnected' \
             AND (SELECT COUNT(*) FROM viewers WHERE session_id = $6) < $7",
        )
        .bind(peer)
        .bind(user)
        .bind(now)
        .bind(now)
        .bind(session)
        .bind(session)
        .bind(most)
        .execute(&self.pool)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// A viewer of a session by its peer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn viewer(&self, session: &str, peer: &str) -> Result<Option<Viewer>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM viewers WHERE peer = $1 AND session_id = $2"
        )))
        .bind(peer)
        .bind(session)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(viewer).transpose()
    }

    /// How many watch a session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_viewers(&self, session: &str) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS viewers FROM viewers WHERE session_id = $1")
            .bind(session)
            .fetch_one(&self.pool)
            .await?;
        Ok(row.try_get("viewers")?)
    }

    /// How many watch each session that anybody watches.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn viewers_by_session(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = sqlx::query("SELECT session_id, COUNT(*) AS viewers FROM viewers GROUP BY session_id")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| Ok((row.try_get("session_id")?, row.try_get("viewers")?))).collect()
    }

    /// Notes that a viewer is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn viewer_beat(&self, peer: &str, now: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE viewers SET heartbeat = $1 WHERE peer = $2")
            .bind(now)
            .bind(peer)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Notes whether an offer waits for the viewer's answer; false if it was so already or there is no such viewer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_viewer_offer(&self, peer: &str, pending: bool) -> Result<bool, StoreError> {
        let changed = sqlx::query("UPDATE viewers SET video_offer = $1 WHERE peer = $2 AND video_offer <> $3")
            .bind(i64::from(pending))
            .bind(peer)
            .bind(i64::from(pending))
            .execute(&self.pool)
            .await?;
        Ok(changed.rows_affected() == 1)
    }

    /// Removes a viewer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_viewer(&self, peer: &str) -> Result<bool, StoreError> {
        let gone = sqlx::query("DELETE FROM viewers WHERE peer = $1").bind(peer).execute(&self.pool).await?;
        Ok(gone.rows_affected() == 1)
    }

    /// All viewers of a session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn viewers_of(&self, session: &str) -> Result<Vec<Viewer>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM viewers WHERE session_id = $1")))
            .bind(session)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(viewer).collect()
    }

    /// Viewers of sessions that go on and whose peers a process holds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn viewers_at(&self, node: &str) -> Result<Vec<Viewer>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM viewers \
             WHERE session_id IN (SELECT id FROM sessions WHERE state <> 'disconnected' AND engine_node = $1)"
        )))
        .bind(node)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(viewer).collect()
    }

    /// Viewers that are silent since a moment, or whose session is over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stale_viewers(&self, before: i64) -> Result<Vec<Viewer>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM viewers WHERE heartbeat < $1 \
             OR session_id NOT IN (SELECT id FROM sessions WHERE state <> 'disconnected')"
        )))
        .bind(before)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(viewer).collect()
    }
}
