//! Requests that another broker process must answer, as the peers are inside of it.

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use axum::http::{HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::Api;
use super::body::read;
use super::error::ApiError;
use super::ids::{is_uuid, text};

/// Says that a request came from another process already, by a word that only they know.
const FORWARDED: &str = "x-waldo-forwarded";

/// Hands a request on to the process that holds the session's peers, if it is another one.
pub(super) async fn to_owner(State(api): State<Api>, request: Request, next: Next) -> Response {
    match forward(&api, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn forward(api: &Api, request: Request, next: Next) -> Result<Response, ApiError> {
    let (mut head, body) = request.into_parts();
    // As the routes read it: a name may be written in several ways.
    let names = RawPathParams::from_request_parts(&mut head, &()).await;
    let id = names.ok().and_then(|names| names.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.to_owned()));
    let (id, request) = (id.unwrap_or_default(), Request::from_parts(head, body));
    let forwarded = text(request.headers(), FORWARDED).map(str::as_bytes);
    // Anybody can write the header; only the processes of this database know the word.
    if forwarded.is_some_and(|word| bool::from(word.ct_eq(api.node_secret.as_bytes()))) || !is_uuid(&id) {
        return Ok(next.run(request).await);
    }
    let Some(url) = api.sessions.elsewhere(&id).await? else { return Ok(next.run(request).await) };
    let (head, body) = request.into_parts();
    let url = format!("{}{}", url.trim_end_matches('/'), head.uri.path());
    let method = head.method.clone();
    let mut onward = api.client.request(method.clone(), url).header(FORWARDED, &api.node_secret);
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
    let (status, headers) = (reply.status(), reply.headers().clone());
    let bytes = reply.bytes().await.map_err(unreachable)?;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    for name in [CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE] {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}

/// Headers of one hop.
fn is_own(name: &HeaderName) -> bool {
    [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(name) || name.as_str() == FORWARDED
}
