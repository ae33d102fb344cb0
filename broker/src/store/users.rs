//! Accounts of operators.

use sqlx::Row;

use super::{Store, StoreError};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub email: String,
    /// A PHC string.
    pub password_hash: String,
    /// `operator` or `admin`.
    pub role: String,
    /// Tokens from before this moment are void; milliseconds since 1970.
    pub tokens_since: i64,
}

impl Store {
    /// Makes an account; false if there is one of this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_user(&self, email: &str, password_hash: &str, role: &str, now: i64) -> Result<bool, StoreError> {
        let added = sqlx::query(
            "INSERT INTO users (email, password_hash, role, created_at, tokens_since) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (email) DO NOTHING",
        )
        .bind(email)
        .bind(password_hash)
        .bind(role)
        .bind(now)
        .bind(0_i64)
        .execute(&self.pool)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// Changes a password and voids the tokens made until now; false if there is no such account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_password(&self, email: &str, password_hash: &str, now: i64) -> Result<bool, StoreError> {
        let changed = sqlx::query("UPDATE users SET password_hash = $1, tokens_since = $2 WHERE email = $3")
            .bind(password_hash)
            .bind(now)
            .bind(email)
            .execute(&self.pool)
            .await?;
        Ok(changed.rows_affected() == 1)
    }

    /// An account by its name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user(&self, email: &str) -> Result<Option<User>, StoreError> {
        let row = sqlx::query("SELECT email, password_hash, role, tokens_since FROM users WHERE email = $1")
            .bind(email)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| {
            Ok(User {
                email: row.try_get("email")?,
                password_hash: row.try_get("password_hash")?,
                role: row.try_get("role")?,
                tokens_since: row.try_get("tokens_since")?,
            })
        })
        .transpose()
    }
}
