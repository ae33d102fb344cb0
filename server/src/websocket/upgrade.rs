//! Requests that become WebSockets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Response, StatusCode};
use sha1::{Digest, Sha1};

/// The text that the protocol has both sides append to the client's key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What is answered to a request.
pub(crate) type Answer = Response<String>;

/// A text for people.
pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Answer {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/plain"));
    response
}

/// What proves that the key was read; or the answer to a request that is none for a WebSocket.
pub(crate) fn accept_key(method: &Method, headers: &HeaderMap) -> Result<String, Box<Answer>> {
    let has = |name, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value: &str| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(token)))
    };
    if method != Method::GET || !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
        let mut response = text(StatusCode::UPGRADE_REQUIRED, "Here is a WebSocket.\n");
        response.headers_mut().insert(UPGRADE, hyper::header::HeaderValue::from_static("websocket"));
        return Err(Box::new(response));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|v| v == "13"));
    let Some(key) = key else {
        let mut response = text(StatusCode::BAD_REQUEST, "WebSockets of version 13 with a key are understood.\n");
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, hyper::header::HeaderValue::from_static("13"));
        return Err(Box::new(response));
    };
    Ok(STANDARD.encode(Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize()))
}

/// The answer after which the connection is a WebSocket, with what [`accept_key`] gave.
pub(crate) fn switching(accept: String) -> Answer {
    // No subprotocol, and no extension such as compression, whatever was offered.
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(String::new());
    response.unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, ""))
}
