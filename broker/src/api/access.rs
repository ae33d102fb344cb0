//! R1 to R3: how to log in, and who is.

use axum::Json;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use waldo_protocol::hosted::{AuthConfig, AuthMode, Credentials, ErrorBody, LoggedIn, Me, UserRole, detail};

use super::Api;
use super::body::{Body, bounded};
use super::error::ApiError;
use super::ids::{KnownOperator, text};
use crate::auth::Role;

/// How to log in
#[utoipa::path(get, path = "/api/v1/auth/config", tag = "auth", responses((status = 200, body = AuthConfig)))]
pub(super) async fn config(State(api): State<Api>) -> Json<AuthConfig> {
    Json(match api.auth.provider() {
        Some(provider) => AuthConfig {
            region: provider.region.clone(),
            user_pool_id: provider.user_pool_id.clone(),
            client_id: provider.client_id.clone(),
            mode: Some(AuthMode::Oidc),
        },
        None => AuthConfig { mode: Some(AuthMode::Local), ..AuthConfig::default() },
    })
}

/// Who the caller is
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "auth", security(("operator" = [])),
    responses((status = 200, body = Me), (status = 401, body = ErrorBody)))]
pub(super) async fn me(KnownOperator(operator): KnownOperator) -> Json<Me> {
    let role = match operator.role {
        Role::Operator => UserRole::Operator,
        Role::Admin => UserRole::Admin,
    };
    Json(Me { sub: operator.sub, role, cognito_sub: operator.provider_sub })
}

/// A token for a password
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = Credentials,
    responses((status = 200, body = LoggedIn), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn login(
    State(api): State<Api>,
    Body(credentials): Body<Credentials>,
) -> Result<Json<LoggedIn>, ApiError> {
    only_local(&api)?;
    bounded("email", &credentials.email, 254)?;
    let logged_in = api.auth.log_in(&credentials.email, &credentials.password).await?;
    let wrong = || ApiError::new(StatusCode::UNAUTHORIZED, "Wrong e-mail address or password");
    let (token, user_id) = logged_in.ok_or_else(wrong)?;
    Ok(Json(LoggedIn { token, user_id }))
}

/// A new account and a token for it
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", request_body = Credentials,
    responses((status = 200, body = LoggedIn), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn register(
    State(api): State<Api>,
    Body(credentials): Body<Credentials>,
) -> Result<Json<LoggedIn>, ApiError> {
    only_local(&api)?;
    if !api.settings.registration {
        let closed = "Accounts are made by whoever runs this broker: `waldo-broker user add`";
        return Err(ApiError::new(StatusCode::FORBIDDEN, closed));
    }
    let registered = api.auth.register(&credentials.email, &credentials.password).await?;
    let exists = || ApiError::new(StatusCode::CONFLICT, "There is an account of this name");
    let (token, user_id) = registered.ok_or_else(exists)?;
    Ok(Json(LoggedIn { token, user_id }))
}

/// A new token in place of one that still holds
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", security(("operator" = [])),
    responses((status = 200, body = LoggedIn), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn refresh(State(api): State<Api>, headers: HeaderMap) -> Result<Json<LoggedIn>, ApiError> {
    only_local(&api)?;
    let (token, user_id) = api.auth.refresh(text(&headers, AUTHORIZATION.as_str())).await?;
    Ok(Json(LoggedIn { token, user_id }))
}

/// With an identity provider, passwords are none of ours.
fn only_local(api: &Api) -> Result<(), ApiError> {
    match api.auth.provider() {
        Some(_) => Err(ApiError::new(StatusCode::NOT_FOUND, detail::NOT_FOUND)),
        None => Ok(()),
    }
}
