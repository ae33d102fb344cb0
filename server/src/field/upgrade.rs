//! Requests that become sockets of the field, on its own port and on the page's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::server::FieldDoor;
use super::{connection, session::Session};
use crate::http;
use crate::websocket::upgrade::{accept_key, switching};

/// The page's port: `/field` only.
pub(super) fn below_the_page(door: FieldDoor) -> Router {
    Router::new().route("/field", any(upgrade)).with_state(door)
}

/// A port of its own: every path.
pub(super) fn everywhere(door: FieldDoor) -> Router {
    Router::new().fallback(upgrade).with_state(door)
}

/// Clients may have no token in their address: then it is in their hello, and they are sent nothing before it.
async fn upgrade(State(door): State<FieldDoor>, mut request: Request) -> Response {
    let accept = match accept_key(request.method(), request.headers()) {
        Ok(accept) => accept,
        Err(refused) => return refused.into_response(),
    };
    let Some(open) = door.open() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "The field has not started yet, or has stopped.\n").into_response();
    };
    let service = Arc::clone(&open.service);
    // A request that came by other means than our listener is a stranger's.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let ip = peer.map_or(IpAddr::from([0; 4]), |peer| peer.ip());
    let Ok(rights) = service.config.rights_of(ip, request.uri(), request.headers()) else {
        service.config.metrics.http_refusal("origin");
        return (StatusCode::FORBIDDEN, "This field is not for pages of that origin.\n").into_response();
    };
    let Some(place) = open.place(rights.is_some()) else {
        service.config.metrics.http_refusal("clients");
        if service.may_log("clients") {
            tracing::warn!(?peer, "refused a client of the field: there are too many");
        }
        let text = "This field has as many clients as it can take: end one of them, then try again.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let on_upgrade = hyper::upgrade::on(&mut request);
    let (shutdown, tasks) = (open.shutdown.clone(), open.tasks.clone());
    let serving = async move {
        let Ok(upgraded) = on_upgrade.await else { return };
        let Some((link, early)) = http::link_of(upgraded) else { return };
        let session = Session::new(Arc::clone(&service), rights, place);
        connection::serve(service, session, link, early, shutdown).await;
    };
    // On the threads of the field: scenes are more than the urgent thread of the page may send.
    tasks.spawn_on(serving, &open.handle);
    switching(accept).into_response()
}
