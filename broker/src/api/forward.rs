//! Requests that another broker process must answer, as the peers are inside of it.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::body::read;
use super::error::ApiError;
use super::ids::is_uuid;

/// Says that a request came from another process already.
const FORWARDED: &str = "x-waldo-forwarded";

/// Hands a request on to the process that holds the session's peers, if it is another one.
pub(super) async fn to_owner(State(api): State<Api>, request: Request, next: Next) -> Response {
    match forward(&api, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn forward(api: &Api, request: Request, next: Next) -> Result<Response, ApiError> {
    let id = request.uri().path().split('/').nth(4).unwrap_or_default().to_owned();
    if request.headers().contains_key(FORWARDED) || !is_uuid(&id) {
        return Ok(next.run(request).await);
    }
    let Some(url) = api.sessions.elsewhere(&id).await? else { return Ok(next.run(request).await) };
    let (head, body) = request.into_parts();
    let url = format!("{}{}", url.trim_end_matches('/'), head.uri.path());
    let method = head.method.clone();
    let mut onward = api.client.request(method.clone(), url).header(FORWARDED, "1");
    for (name, value) in &head.headers {
        if !is_own(name) {
            onward = onward.header(name, value);
        }
    }
    let body = read(Request::from_parts(head, body)).await?;
    if method != Method::GET && !body.is_empty() {
        onward = onward.body(body);
    }
    let unreachable = |error: reqwest::Error| {
        tracing::warn!("the broker that holds the peers does not answer: {error}");
        ApiError::new(StatusCode::BAD_GATEWAY, "The broker that holds the peers does not answer")
    };
    let reply = onward.send().await.map_err(unreachable)?;
    let (status, kind) = (reply.status(), reply.headers().get(CONTENT_TYPE).cloned());
    let bytes = reply.bytes().await.map_err(unreachable)?;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    Ok(response)
}

/// Headers of one hop.
fn is_own(name: &HeaderName) -> bool {
    [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) || name.as_str() == "connection"
}
