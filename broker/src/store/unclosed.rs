//! Peers at an engine outside of the broker that could not be closed when they should have been.

use sqlx::Row;

use super::{Store, StoreError};

impl Store {
    /// Remembers a peer that is to be closed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_unclosed(&self, peer: &str, now: i64) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO unclosed (peer, since) VALUES ($1, $2) ON CONFLICT (peer) DO NOTHING")
            .bind(peer)
            .bind(now)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Some peers that are to be closed, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unclosed(&self) -> Result<Vec<String>, StoreError> {
        let rows =
            sqlx::query("SELECT peer FROM unclosed ORDER BY since, peer LIMIT 100").fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(row.try_get("peer")?)).collect()
    }

    /// Forgets a peer that is closed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_unclosed(&self, peer: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM unclosed WHERE peer = $1").bind(peer).execute(&self.pool).await?;
        Ok(())
    }

    /// Forgets peers that could not be closed for so long that they have ended by themselves.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_unclosed(&self, before: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM unclosed WHERE since < $1").bind(before).execute(&self.pool).await?;
        Ok(())
    }
}
