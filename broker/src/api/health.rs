//! Health, counters, and the description of the interface.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use waldo_protocol::hosted::{BrokerHealth, ErrorBody, Extension};

use super::Api;
use super::error::ApiError;
use crate::store::now_ms;

/// For how long the database's last answer counts, in milliseconds.
const FRESH: i64 = 1000;

/// Whether the broker is there, and its extensions
#[utoipa::path(get, path = "/health",
    responses((status = 200, body = BrokerHealth), (status = 502, body = ErrorBody)))]
pub(super) async fn health(State(api): State<Api>) -> Result<Json<BrokerHealth>, ApiError> {
    // Anybody may ask, and as often as they like.
    if now_ms() - api.seen_well.load(Ordering::Relaxed) > FRESH {
        api.store.ping().await?;
        api.seen_well.store(now_ms(), Ordering::Relaxed);
    }
    Ok(Json(BrokerHealth {
        status: "ok".to_owned(),
        service: BrokerHealth::SERVICE.to_owned(),
        environment: if api.settings.development { "dev" } else { "prod" }.to_owned(),
        extensions: api.settings.extensions.clone(),
    }))
}

/// The counters, for this machine only. A proxy on it speaks for others, and says so.
pub(super) async fn metrics(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let by_proxy = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
    if !peer.ip().to_canonical().is_loopback() || by_proxy {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "Only from this machine"));
    }
    let text = api.metrics.text(&api.store.count_sessions().await?);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], text).into_response())
}

/// `/openapi.json`
pub(super) async fn document(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], text).into_response()
}

/// What of the extensions this broker has, with an engine that can do so much.
pub(crate) fn extensions(viewers: bool, inject: bool, engine_inside: bool) -> Vec<String> {
    let has = |extension: &Extension| match extension {
        Extension::Viewers => viewers,
        // Whoever can put a message into a robot's channel can push its ids there too.
        Extension::Push | Extension::Estop => inject,
        Extension::Resume | Extension::Lease | Extension::TwistUnits => true,
        Extension::RobotAudio => false,
    };
    let mut names: Vec<String> = Extension::ALL
        .iter()
        .filter(|extension| has(extension))
        .map(|extension| extension.as_str().to_owned())
        .collect();
    if engine_inside {
        // The robot must know whether its operator's way leads through this process.
        names.push("sfu/embedded".to_owned());
    }
    names
}
