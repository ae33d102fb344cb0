//! Who operators are.

use serde::{Deserialize, Serialize};

/// `GET /auth/config`: how to log in. All texts are empty where the broker keeps the accounts itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuthConfig {
    /// Of the identity provider.
    pub region: String,
    /// Of the identity provider.
    pub user_pool_id: String,
    /// The page's own id there.
    pub client_id: String,
    /// Who keeps the accounts; unsaid by other brokers (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AuthMode>,
}

/// Who keeps the accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// The broker.
    Local,
    /// An identity provider.
    Oidc,
}

/// `GET /auth/me`: who the caller is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    /// The e-mail address.
    pub sub: String,
    /// What they may do.
    pub role: UserRole,
    /// The identity provider's own name for them; the same as `sub` without one.
    pub cognito_sub: String,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    /// See and operate the robots of their own keys.
    #[default]
    Operator,
    /// The robots of all.
    Admin,
}

/// `POST /auth/login` and `/auth/register`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Credentials {
    /// The e-mail address.
    pub email: String,
    /// Never logged: see `Debug`.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("email", &self.email).finish_non_exhaustive()
    }
}

/// Their reply.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoggedIn {
    /// For the header `Authorization: Bearer`.
    pub token: String,
    /// The e-mail address.
    pub user_id: String,
}

impl std::fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoggedIn").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}
