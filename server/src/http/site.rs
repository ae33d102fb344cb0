//! All routes of the port.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, UPGRADE, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use waldo_program::Pages;

use super::{Access, Denied};
use crate::metrics::Metrics;

/// The answer of `/healthz`.
pub type Health = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What the port serves.
#[derive(Clone)]
pub struct Site {
    /// Who may pass.
    pub access: Arc<Access>,
    /// Shown on `/metrics`.
    pub metrics: Metrics,
    /// Gives a JSON object with at least `status`: `ok` answers 200, anything else 503.
    pub health: Health,
    /// Folder of the web app instead of the built-in one.
    pub static_dir: Option<PathBuf>,
    /// WebSocket routes. Only upgrade requests that may pass reach them; others get 401, 403 or 426.
    pub sockets: Router,
    /// WebSocket routes that any upgrade request reaches, as they ask for the token in their own way.
    pub own_access: Router,
    /// Routes for people and scripts that need loopback or the token.
    pub apis: Router,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("access", &self.access).finish_non_exhaustive()
    }
}

/// Puts all routes together: the given ones, the pages, `/__accept`, `/healthz` and `/metrics`.
pub fn site(site: Site) -> Router {
    let Site { access, metrics, health, static_dir, sockets, own_access, apis } = site;
    let guard = Guard { access, metrics: metrics.clone() };
    let pages = Arc::new(Pages::new(static_dir, None));
    let sockets = sockets.layer(from_fn(only_upgrades)).layer(from_fn_with_state(guard.clone(), check));
    let own_access = own_access.layer(from_fn(only_upgrades));
    let apis = apis
        .route("/metrics", get(async move || metrics_text(&metrics)))
        .layer(from_fn_with_state(guard.clone(), check));
    let free = Router::new()
        .fallback(page)
        .with_state(pages)
        .route("/__accept", get(accepted))
        .route("/healthz", get(async move || health_json(&health())));
    free.merge(apis)
        .layer(from_fn_with_state(guard, no_upgrades))
        .merge(sockets)
        .merge(own_access)
        .layer(map_response(with_security_headers))
}

#[derive(Clone)]
struct Guard {
    access: Arc<Access>,
    metrics: Metrics,
}

/// Tells that the certificate is accepted, for clients whose sockets failed without it, and closes its window.
async fn accepted() -> Response {
    let csp = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'";
    let headers = [(CACHE_CONTROL, "no-store"), (CONTENT_SECURITY_POLICY, csp)];
    (headers, Html(include_str!("accept.html"))).into_response()
}

async fn page(State(pages): State<Arc<Pages>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let nothing = || (StatusCode::NOT_FOUND, [(CACHE_CONTROL, "no-store")], "There is nothing here.\n").into_response();
    pages.answer(&method, uri.path(), &headers).await.unwrap_or_else(nothing)
}

/// Lets requests pass that may.
async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    // A request that came by other means than our listener is a stranger's.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let peer = peer.unwrap_or(IpAddr::from([0; 4]));
    match guard.access.check(peer, request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(Denied::Token) => {
            guard.metrics.http_refusal("token");
            tracing::debug!(%peer, path = request.uri().path(), "refused: no or wrong token");
            let text = "This robot asks for its token: open the address of its QR code, or start it with --open.\n";
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], text).into_response()
        }
        Err(Denied::Origin) => {
            guard.metrics.http_refusal("origin");
            tracing::debug!(%peer, path = request.uri().path(), "refused: page of another origin");
            let text = "A page of another origin needs the token of this robot, or start the robot with --open.\n";
            (StatusCode::FORBIDDEN, text).into_response()
        }
    }
}

async fn only_upgrades(request: Request, next: Next) -> Response {
    if is_upgrade(request.headers()) {
        next.run(request).await
    } else {
        let text = "Here is a WebSocket.\n";
        (StatusCode::UPGRADE_REQUIRED, [(UPGRADE, "websocket")], text).into_response()
    }
}

async fn no_upgrades(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if is_upgrade(request.headers()) {
        guard.metrics.http_refusal("path");
        (StatusCode::FORBIDDEN, "There is no WebSocket here.\n").into_response()
    } else {
        next.run(request).await
    }
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    let value = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case("websocket")))
}

fn health_json(health: &serde_json::Value) -> Response {
    let healthy = health.get("status").is_some_and(|status| status == "ok");
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CACHE_CONTROL, "no-store")], Json(health)).into_response()
}

fn metrics_text(metrics: &Metrics) -> Response {
    const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, FORMAT), (CACHE_CONTROL, "no-store")], metrics.text()).into_response()
}

/// The page may run its own code and talk to any robot's socket; nothing else, and nobody may frame it. The emulator's
/// controls need inline styles.
const CSP: &str = "default-src 'self'; connect-src 'self' ws: wss:; script-src 'self' 'wasm-unsafe-eval'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

async fn with_security_headers(mut response: Response) -> Response {
    let headers = [
        (CONTENT_SECURITY_POLICY, CSP),
        (HeaderName::from_static("permissions-policy"), "xr-spatial-tracking=(self)"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in headers {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
