//! The REST interface: who calls, what they give, and what they get.

mod access;
mod body;
mod error;
mod forward;
mod guard;
mod health;
mod ids;
mod keys;
mod livekit;
mod operators;
mod robots;
mod stamps;
mod turn;
mod viewers;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Auth;
use crate::limits::Limits;
use crate::livekit::Livekit;
use crate::metrics::Metrics;
use crate::sessions::Sessions;
use crate::store::Store;
use crate::turn::Turn;

pub(crate) use self::health::extensions;

/// Everything that routes need.
#[derive(Clone)]
pub(crate) struct Api(Arc<Parts>);

/// See [`Api`].
pub(crate) struct Parts {
    pub(crate) auth: Arc<Auth>,
    pub(crate) store: Store,
    pub(crate) sessions: Sessions,
    pub(crate) turn: Turn,
    pub(crate) livekit: Option<Livekit>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    /// When the database answered last, in milliseconds since 1970.
    pub(crate) seen_well: AtomicI64,
    pub(crate) settings: ApiSettings,
    /// To the other processes of this database, and the word by which they know each other.
    pub(crate) client: reqwest::Client,
    pub(crate) node_secret: String,
}

/// What the interface is told.
#[derive(Clone, Debug)]
pub(crate) struct ApiSettings {
    pub(crate) development: bool,
    pub(crate) registration: bool,
    pub(crate) enforce_limits: bool,
    pub(crate) trusted_proxies: Vec<IpAddr>,
    pub(crate) public_origin: Option<String>,
    /// Extensions and remarks of this broker in the replies R8 and R14.
    pub(crate) extensions: Vec<String>,
}

impl Api {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Waldo broker", description = "Introduces robots and operators to each other: REST interface."),
    tags(
        (name = "auth", description = "Who operators are"),
        (name = "keys", description = "Keys of robots"),
        (name = "robot", description = "What robots ask"),
        (name = "operator", description = "What operators ask"),
        (name = "viewer", description = "What viewers ask"),
    )
)]
struct Document;

/// All routes under `/api/v1`, `/health`, `/metrics` and `/openapi.json`. Other paths go to `fallback`.
pub(crate) fn router(api: &Api, fallback: Router) -> Router {
    let sessions = OpenApiRouter::new()
        .routes(routes!(robots::unregister))
        .routes(routes!(robots::renegotiate_robot))
        .routes(routes!(operators::join))
        .routes(routes!(operators::bridge))
        .routes(routes!(operators::renegotiate_answer))
        .routes(routes!(operators::leave))
        .routes(routes!(operators::take_over))
        .routes(routes!(operators::estop))
        .routes(routes!(viewers::bridge))
        .routes(routes!(viewers::answer))
        .routes(routes!(viewers::leave))
        .route_layer(from_fn_with_state(api.clone(), forward::to_owner));
    let (routes, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(access::config))
        .routes(routes!(access::me))
        .routes(routes!(access::login))
        .routes(routes!(access::register))
        .routes(routes!(access::refresh))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(turn::credentials))
        .routes(routes!(robots::register, operators::list))
        .routes(routes!(robots::heartbeat))
        .routes(routes!(operators::status))
        .routes(routes!(operators::heartbeat))
        .routes(routes!(operators::audit))
        .routes(routes!(viewers::heartbeat))
        .routes(routes!(health::health))
        .merge(sessions)
        .split_for_parts();
    describe_access(&mut document);
    let document = serde_json::to_string(&document).unwrap_or_default();
    let own = routes
        .route("/metrics", axum::routing::get(health::metrics))
        .route("/openapi.json", axum::routing::get(move || health::document(document.clone())))
        .route("/api", axum::routing::any(error::unknown_route))
        .route("/api/{*rest}", axum::routing::any(error::unknown_route))
        .method_not_allowed_fallback(error::wrong_method)
        .with_state(api.clone());
    own.fallback_service(fallback)
        .layer(from_fn(guard::in_time))
        .layer(from_fn_with_state(api.clone(), guard::limit))
        .layer(from_fn_with_state(api.clone(), guard::cross_origin))
        .layer(from_fn_with_state(api.clone(), guard::count))
        .layer(from_fn(guard::headers))
}

/// How robots and operators say who they are.
fn describe_access(document: &mut utoipa::openapi::OpenApi) {
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("operator", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components
        .add_security_scheme("robot", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Robot-API-Key"))));
}
