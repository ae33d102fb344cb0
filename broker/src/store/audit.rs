//! Who did what to a session.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::Row;

use super::{Store, StoreError};

/// One entry of a session's audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Milliseconds since 1970.
    pub ts: i64,
    /// Who: an operator's name, `robot`, or `broker`.
    pub actor: String,
    /// What: a word.
    pub event: String,
    /// More about it, for people.
    pub detail: String,
}

/// Most entries given at a time.
const MOST: i64 = 1000;

/// Tells entries of one millisecond apart, in their order.
static COUNTER: AtomicU32 = AtomicU32::new(0);

impl Store {
    /// Writes down what was done.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note(
        &self,
        session: &str,
        actor: &str,
        event: &str,
        detail: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        // Sorts by time, then by order in this process; the rest tells processes apart.
        let id = format!("{now:016x}-{count:08x}-{}", uuid::Uuid::new_v4().simple());
        sqlx::query("INSERT INTO audit (id, session_id, ts, actor, event, detail) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(id)
            .bind(session)
            .bind(now)
            .bind(actor)
            .bind(event)
            .bind(detail)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The last thousand entries of a session, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit(&self, session: &str) -> Result<Vec<AuditEntry>, StoreError> {
        let rows =
            sqlx::query("SELECT ts, actor, event, detail FROM audit WHERE session_id = $1 ORDER BY id DESC LIMIT $2")
                .bind(session)
                .bind(MOST)
                .fetch_all(&self.pool)
                .await?;
        rows.iter()
            .rev()
            .map(|row| {
                Ok(AuditEntry {
                    ts: row.try_get("ts")?,
                    actor: row.try_get("actor")?,
                    event: row.try_get("event")?,
                    detail: row.try_get("detail")?,
                })
            })
            .collect()
    }

    /// Forgets entries and ended sessions from before a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_before(&self, moment: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM audit WHERE ts < $1").bind(moment).execute(&self.pool).await?;
        sqlx::query("DELETE FROM sessions WHERE state = 'disconnected' AND ended_at < $1")
            .bind(moment)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
