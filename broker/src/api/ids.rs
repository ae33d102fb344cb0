//! Who calls, from the headers, and what a path names.

use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use waldo_protocol::hosted::{API_KEY_HEADER, LEASE_HEADER};

use super::Api;
use super::error::ApiError;
use crate::auth::{Operator, Robot};
use crate::sessions::{Lease, Refusal};

/// A header as text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A robot that is known by its key.
pub(super) struct KnownRobot(pub(super) Robot);

impl FromRequestParts<Api> for KnownRobot {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        Ok(Self(api.auth.robot(text(&parts.headers, API_KEY_HEADER)).await?))
    }
}

/// A person who is known by a token.
pub(super) struct KnownOperator(pub(super) Operator);

impl FromRequestParts<Api> for KnownOperator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        Ok(Self(api.auth.operator(text(&parts.headers, AUTHORIZATION.as_str())).await?))
    }
}

/// One of both; a key decides if there is one.
pub(super) enum Known {
    Robot(Robot),
    Operator(Operator),
}

impl FromRequestParts<Api> for Known {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        if let Some(key) = text(&parts.headers, API_KEY_HEADER) {
            return Ok(Self::Robot(api.auth.robot(Some(key)).await?));
        }
        Ok(Self::Operator(api.auth.operator(text(&parts.headers, AUTHORIZATION.as_str())).await?))
    }
}

/// Which join of the caller's a call belongs to, if they say so.
pub(super) struct LeaseHeader(pub(super) Lease);

impl<S: Send + Sync> FromRequestParts<S> for LeaseHeader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Ok(Self(text(&parts.headers, LEASE_HEADER).map(str::to_owned)))
    }
}

/// The session a path names. What cannot be a session's name is not found, and never reaches the store.
pub(super) struct SessionId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for SessionId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        match id {
            Ok(Path(id)) if is_uuid(&id) => Ok(Self(id)),
            _ => Err(Refusal::NotFound.into()),
        }
    }
}

/// A viewer of a session, as a path names both.
pub(super) struct ViewerId {
    pub(super) session: String,
    pub(super) peer: String,
}

impl<S: Send + Sync> FromRequestParts<S> for ViewerId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Ok(Path((session, peer))) = Path::<(String, String)>::from_request_parts(parts, state).await else {
            return Err(Refusal::NotFound.into());
        };
        if !is_uuid(&session) {
            return Err(Refusal::NotFound.into());
        }
        if peer.len() > 256 || peer.contains('\0') {
            return Err(Refusal::NoViewer.into());
        }
        Ok(Self { session, peer })
    }
}

/// Names of rows are UUIDs in their usual form.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok() && !text.contains(|c: char| c.is_ascii_uppercase())
}
