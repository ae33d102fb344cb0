//! The broker processes that share the database.

use sqlx::Row;

use super::{Store, StoreError};

impl Store {
    /// Tells the others where this process is reached.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn announce_node(&self, id: &str, url: &str, now: i64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO nodes (id, url, seen_at) VALUES ($1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET url = excluded.url, seen_at = excluded.seen_at",
        )
        .bind(id)
        .bind(url)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Where a process is reached that was there since a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn node_url(&self, id: &str, since: i64) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT url FROM nodes WHERE id = $1 AND seen_at >= $2")
            .bind(id)
            .bind(since)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| row.try_get("url")).transpose()?)
    }

    /// Whether another process that was there since a moment is reached in the same place, which only one of them can be.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_node_url_taken(&self, id: &str, url: &str, since: i64) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS others FROM nodes WHERE id <> $1 AND url = $2 AND seen_at >= $3")
            .bind(id)
            .bind(url)
            .bind(since)
            .fetch_one(&self.pool)
            .await?;
        let others: i64 = row.try_get("others")?;
        Ok(others > 0)
    }

    /// Takes a process off the list.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_node(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM nodes WHERE id = $1").bind(id).execute(&self.pool).await?;
        Ok(())
    }
}
