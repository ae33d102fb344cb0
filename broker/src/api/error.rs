//! Errors as callers see them: a status and a sentence. What went wrong inside goes to the log only.

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use waldo_protocol::hosted::{ErrorBody, detail};

use crate::auth::{AuthError, PasswordError};
use crate::sessions::Refusal;
use crate::store::StoreError;

/// An error of the REST interface.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    detail: String,
    retry_after: Option<u64>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    /// A body or a field that makes no sense.
    pub(super) fn unfit(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// Too often.
    pub(super) fn limited(seconds: u64) -> Self {
        let limited = Self::new(StatusCode::TOO_MANY_REQUESTS, detail::RATE_LIMITED);
        Self { retry_after: Some(seconds.max(1)), ..limited }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody::new(self.detail))).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!("{error}");
        Self::new(StatusCode::BAD_GATEWAY, "Storage failed")
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Store(error) => error.into(),
            AuthError::Provider(ref cause) => {
                tracing::error!("{cause}");
                Self::new(StatusCode::UNAUTHORIZED, error.to_string())
            }
            error => Self::new(StatusCode::UNAUTHORIZED, error.to_string()),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Store(error) => error.into(),
            PasswordError::Hash(error) => {
                tracing::error!("passwords cannot be hashed: {error}");
                Self::new(StatusCode::BAD_GATEWAY, "Passwords cannot be checked now")
            }
            error => Self::unfit(error.to_string()),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NotFound | Refusal::Stale | Refusal::NoViewer => StatusCode::NOT_FOUND,
            Refusal::NotBound => StatusCode::FORBIDDEN,
            Refusal::Busy(_) | Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::Unfit(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Engine(_) | Refusal::Persist | Refusal::Store(_) => StatusCode::BAD_GATEWAY,
            Refusal::NoLivekit => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        match &refusal {
            Refusal::Store(error) => tracing::error!("{error}"),
            Refusal::Failed(why) => tracing::error!("an operation broke: {why}"),
            Refusal::Engine(why) => tracing::warn!("the engine: {why}"),
            _ => {}
        }
        Self::new(status, refusal.to_string())
    }
}

/// Nothing is here.
pub(super) async fn unknown_route() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, detail::NOT_FOUND)
}

/// Something is here, but not for this method.
pub(super) async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}
