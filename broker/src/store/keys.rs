//! Keys of robots. Only their hashes are kept.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError};

/// How often the time of a key's last use is written, in milliseconds.
const USE_NOTED_EVERY: i64 = 60_000;

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its name for the API.
    pub id: String,
    /// Whose it is: the tenant.
    pub owner_id: String,
    /// A label for people.
    pub name: String,
    /// SHA-256 of the key, lower-case hex.
    pub key_hash: String,
    /// Its first characters.
    pub key_prefix: String,
    /// `<owner>:<robot>` if it was made for one robot.
    pub robot_id: Option<String>,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub last_used_at: Option<i64>,
}

const COLUMNS: &str = "id, owner_id, name, key_hash, key_prefix, robot_id, created_at, last_used_at";

fn key(row: &AnyRow) -> Result<KeyRow, StoreError> {
    Ok(KeyRow {
        id: row.try_get("id")?,
        owner_id: row.try_get("owner_id")?,
        name: row.try_get("name")?,
        key_hash: row.try_get("key_hash")?,
        key_prefix: row.try_get("key_prefix")?,
        robot_id: row.try_get("robot_id")?,
        created_at: row.try_get("created_at")?,
        last_used_at: row.try_get("last_used_at")?,
    })
}

impl Store {
    /// Keeps a key that was never used; false if its hash is known already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_key(&self, key: &KeyRow) -> Result<bool, StoreError> {
        let added = sqlx::query(
            "INSERT INTO robot_keys (id, owner_id, name, key_hash, key_prefix, robot_id, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key_hash) DO NOTHING",
        )
        .bind(&key.id)
        .bind(&key.owner_id)
        .bind(&key.name)
        .bind(&key.key_hash)
        .bind(&key.key_prefix)
        .bind(&key.robot_id)
        .bind(key.created_at)
        .execute(&self.pool)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// The keys of an owner that are not revoked, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys_of(&self, owner: &str) -> Result<Vec<KeyRow>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM robot_keys WHERE owner_id = $1 AND revoked_at IS NULL \
             ORDER BY created_at DESC, id LIMIT 1000"
        )))
        .bind(owner)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(key).collect()
    }

    /// How many keys an owner has that are not revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_keys(&self, owner: &str) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS keys FROM robot_keys WHERE owner_id = $1 AND revoked_at IS NULL")
            .bind(owner)
            .fetch_one(&self.pool)
            .await?;
        Ok(row.try_get("keys")?)
    }

    /// Whether anything belongs to this owner: keys, also revoked ones, or sessions.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_owner(&self, owner: &str) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM robot_keys WHERE owner_id = $1) \
             + (SELECT COUNT(*) FROM sessions WHERE owner_id = $2) AS things",
        )
        .bind(owner)
        .bind(owner)
        .fetch_one(&self.pool)
        .await?;
        let things: i64 = row.try_get("things")?;
        Ok(things > 0)
    }

    /// A key that is not revoked, by its hash.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn key_by_hash(&self, hash: &str) -> Result<Option<KeyRow>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM robot_keys WHERE key_hash = $1 AND revoked_at IS NULL"
        )))
        .bind(hash)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(key).transpose()
    }

    /// Notes that a key was used, at most once a minute.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_key_use(&self, key: &KeyRow, now: i64) -> Result<(), StoreError> {
        if key.last_used_at.is_some_and(|last| now - last < USE_NOTED_EVERY) {
            return Ok(());
        }
        sqlx::query(
            "UPDATE robot_keys SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at <= $3)",
        )
        .bind(now)
        .bind(&key.id)
        .bind(now - USE_NOTED_EVERY)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Revokes a key of an owner; false if they have no such key that is not revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_key(&self, owner: &str, id: &str, now: i64) -> Result<bool, StoreError> {
        let revoked =
            sqlx::query("UPDATE robot_keys SET revoked_at = $1 WHERE id = $2 AND owner_id = $3 AND revoked_at IS NULL")
                .bind(now)
                .bind(id)
                .bind(owner)
                .execute(&self.pool)
                .await?;
        Ok(revoked.rows_affected() == 1)
    }
}
