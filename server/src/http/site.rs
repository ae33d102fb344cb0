//! All routes of the port.
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;

use super::Access;
use crate::metrics::Metrics;

/// What the port serves.
pub struct Site {
    /// Who may pass.
    pub access: Arc<Access>,
    /// Shown on `/metrics`.
    pub metrics: Metrics,
    /// The answer of `/healthz`: a JSON object with at least `status`.
    pub health: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// Folder of the web app instead of the built-in one.
    pub static_dir: Option<PathBuf>,
    /// WebSocket routes. They are reached only by upgrade requests that may pass; others get 426, 401 or 403.
    pub sockets: Router,
    /// Routes for people and scripts that need loopback or the token.
    pub apis: Router,
}

/// Puts all routes together.
pub fn site(_site: Site) -> Router {
    unimplemented!()
}
