//! Bodies: bounded in size and time, JSON, of the expected shape.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::error::ApiError;

/// Largest body: a description with many candidates has some ten kilobytes.
pub(crate) const MAX_BODY: usize = 256 * 1024;

/// How long a caller may take to send a body.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let bytes = read(request).await?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::unfit(format!("the body is not valid JSON: {error}")))?;
        if !value.is_object() {
            return Err(ApiError::unfit("the body must be a JSON object"));
        }
        if has_nul(&value) {
            return Err(ApiError::unfit("texts must not contain NUL"));
        }
        let body = T::deserialize(value).map_err(|error| ApiError::unfit(error.to_string()))?;
        Ok(Self(body))
    }
}

/// The whole body, within size and time.
pub(super) async fn read(request: Request) -> Result<Bytes, ApiError> {
    let read = axum::body::to_bytes(request.into_body(), MAX_BODY);
    match timeout(PATIENCE, read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            use std::error::Error;
            let too_large = error.source().is_some_and(<dyn Error>::is::<http_body_util::LengthLimitError>);
            if too_large {
                return Err(ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the body must not be larger than {MAX_BODY} bytes"),
                ));
            }
            Err(ApiError::new(StatusCode::BAD_REQUEST, "the body broke off"))
        }
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

/// Text with NUL cannot be stored everywhere.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// Text of at most so many characters.
pub(super) fn bounded(field: &str, text: &str, most: usize) -> Result<(), ApiError> {
    if text.chars().count() > most {
        return Err(ApiError::unfit(format!("{field} must not be longer than {most} characters")));
    }
    Ok(())
}
