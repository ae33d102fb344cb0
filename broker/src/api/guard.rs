//! What every request passes: headers, counters, origins, limits.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use waldo_protocol::hosted::API_KEY_HEADER;

use super::Api;
use super::error::ApiError;
use super::ids::text;
use crate::auth::hex;
use crate::limits::{Class, network};

/// Hex digits that stand for a caller.
const CALLER: usize = 16;

/// How long a request may take.
const LONGEST: Duration = Duration::from_secs(60);

/// What a page may do: nothing but itself.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' blob: data:; media-src 'self' blob: mediastream:; connect-src 'self'; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Headers of every response.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let https = request.extensions().get::<crate::http::Secure>().is_some();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "strict-origin-when-cross-origin"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if https {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    // Sessions and keys are nobody's but the caller's.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// No request takes longer, whatever it waits for. An operation that has begun goes on.
pub(super) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(StatusCode::GATEWAY_TIMEOUT, "This took too long").into_response(),
    }
}

/// Counts requests and their time, by the template of the route.
pub(super) async fn count(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (method, route) = (known_method(request.method()), route(&request));
    let begin = Instant::now();
    let response = next.run(request).await;
    api.metrics.request(method, &route, response.status().as_u16(), begin.elapsed().as_secs_f64());
    response
}

/// Methods are a stranger's words too.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn route(request: &Request) -> String {
    request.extensions().get::<MatchedPath>().map_or("page", MatchedPath::as_str).to_owned()
}

/// Pages of the configured public origin may call with credentials; in development those of this machine too.
pub(super) async fn cross_origin(State(api): State<Api>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let allowed = origin.filter(|origin| origin.to_str().is_ok_and(|origin| is_allowed(&api, origin)));
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let wanted = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = match (&allowed, preflight) {
        (Some(_), true) => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    let Some(origin) = allowed else { return response };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    if preflight {
        let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS");
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        let default = HeaderValue::from_static("authorization, content-type, x-teleop-lease");
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.unwrap_or(default));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}

fn is_allowed(api: &Api, origin: &str) -> bool {
    if api.settings.public_origin.as_deref() == Some(origin) {
        return true;
    }
    let host = origin.split_once("://").map_or("", |(_, rest)| rest);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    api.settings.development && matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0")
}

/// Refuses who asks too often for what is expensive.
pub(super) async fn limit(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Some(class) = Class::of(request.method().as_str(), &route(&request)) else { return next.run(request).await };
    let caller = match class {
        // Keys and tokens cost nothing to invent, and passwords are to be guessed slowly.
        Class::Auth => address(&api, &request),
        _ => caller(&api, &request),
    };
    if let Err(wait) = api.limits.take(class, &caller, Instant::now()) {
        api.metrics.rate_limited(class.as_str(), api.settings.enforce_limits);
        if api.settings.enforce_limits {
            return ApiError::limited(wait.as_secs()).into_response();
        }
    }
    next.run(request).await
}

/// Who a request counts for.
fn caller(api: &Api, request: &Request) -> String {
    let headers = request.headers();
    let digest = |text: &str| hex(&Sha256::digest(text.as_bytes()))[..CALLER].to_owned();
    if let Some(key) = text(headers, API_KEY_HEADER) {
        return digest(key);
    }
    let token = text(headers, AUTHORIZATION.as_str()).and_then(|value| value.split_once(' '));
    if let Some((_, token)) = token {
        return digest(token.trim());
    }
    address(api, request)
}

fn address(api: &Api, request: &Request) -> String {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let client = client(peer, request.headers(), &api.settings.trusted_proxies);
    client.map_or_else(|| "unknown".to_owned(), |ip| network(ip).to_string())
}

/// The client's address: what proxies say counts only if they are trusted, from the last one on.
fn client(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpAddr]) -> Option<IpAddr> {
    let peer = peer?.to_canonical();
    if !trusted.contains(&peer) {
        return Some(peer);
    }
    let said = text(headers, "x-forwarded-for").unwrap_or_default();
    let hops = said.rsplit(',').map_while(|hop| hop.trim().parse::<IpAddr>().ok());
    Some(hops.map(|hop| hop.to_canonical()).find(|hop| !trusted.contains(hop)).unwrap_or(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_say_who_the_client_is() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let said = |text: &str| HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), text.parse().unwrap())]);
        let trusted = [ip("10.0.0.1"), ip("10.0.0.2")];
        let client = |peer: &str, text: &str| client(Some(ip(peer)), &said(text), &trusted).unwrap();
        assert_eq!(client("9.9.9.9", "1.2.3.4"), ip("9.9.9.9"));
        assert_eq!(client("10.0.0.1", "1.2.3.4"), ip("1.2.3.4"));
        assert_eq!(client("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2"), ip("1.2.3.4"));
        assert_eq!(client("10.0.0.1", "rubbish"), ip("10.0.0.1"));
        assert_eq!(client("::ffff:10.0.0.1", "1.2.3.4"), ip("1.2.3.4"));
    }
}
