//! The keys of robots.

use serde::{Deserialize, Serialize};

/// `POST /keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateKey {
    /// A label.
    pub name: String,
    /// The robot it is meant for.
    #[serde(default)]
    pub robot_id: Option<String>,
}

/// Its reply, the only one with the key itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedKey {
    /// Of the key.
    pub id: String,
    /// The label.
    pub name: String,
    /// Its first characters.
    pub key_prefix: String,
    /// `<owner>:<robot id>`.
    pub robot_id: Option<String>,
    /// The key; never logged: see `Debug`.
    pub api_key: String,
    /// ISO 8601, UTC.
    pub created_at: String,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyInfo {
    /// Of the key.
    pub id: String,
    /// The label.
    pub name: String,
    /// Its first characters.
    pub key_prefix: String,
    /// `<owner>:<robot id>`.
    pub robot_id: Option<String>,
    /// ISO 8601, UTC.
    pub last_used_at: Option<String>,
    /// ISO 8601, UTC.
    pub created_at: String,
}

/// `GET /keys`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyList {
    /// Newest first, without the revoked ones.
    pub keys: Vec<KeyInfo>,
}

/// `DELETE /keys/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RevokedKey {
    /// Always.
    pub revoked: bool,
    /// Of the key.
    pub id: String,
}
