//! Where clients come in, and what is told of the service's health.

use std::sync::Arc;

use axum::extract::{State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waldo_protocol::vr::HoldReason;

use super::connection::{self, MAX_MESSAGE};
use super::service::{Service, lock};

/// Clients at a time: several times what one robot's operators, their cables and everybody who watches open. One more is
/// told so instead of taking processor time and network from those who drive.
pub(super) const MAX_CLIENTS: usize = 64;

#[derive(Clone)]
pub(super) struct Sockets {
    pub(super) service: Arc<Service>,
    pub(super) places: Arc<Semaphore>,
    pub(super) tasks: TaskTracker,
    pub(super) shutdown: CancellationToken,
}

pub(super) async fn upgrade(State(sockets): State<Sockets>, upgrade: WebSocketUpgrade) -> Response {
    let Sockets { service, places, tasks, shutdown } = sockets;
    let Ok(place) = places.try_acquire_owned() else {
        service.metrics.http_refusal("clients");
        tracing::debug!("refused: {MAX_CLIENTS} clients are connected");
        let text =
            format!("This robot has {MAX_CLIENTS} clients already: close a page that watches it, then try again.\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).on_upgrade(move |socket| {
        tasks.track_future(async move {
            connection::serve(service, socket, shutdown).await;
            drop(place);
        })
    })
}

pub(super) fn health(service: &Arc<Service>) -> Arc<dyn Fn() -> serde_json::Value + Send + Sync> {
    let service = Arc::clone(service);
    Arc::new(move || {
        let status = match service.hold() {
            Some(HoldReason::Fault) => "fault",
            Some(HoldReason::Stopped) => "stopped",
            _ => "ok",
        };
        let session = service.session();
        let mut health = json!({ "status": status, "clients": session.clients.len(), "engaged": session.tracking });
        drop(session);
        for (name, value) in lock(&service.health).iter() {
            health[*name] = value();
        }
        health
    })
}
