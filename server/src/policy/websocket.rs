//! The policy wire over WebSockets: one binary message is one frame.
//!
//! `handshake` is HTTP until the upgrade, `connection` the socket after it.

mod connection;
mod handshake;

use std::net::TcpListener;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::service::Service;
use crate::http;

/// Connections that shake hands, or are told why not. They are strangers, so they take no place of a client, nor do clients
/// take theirs; with the connections of the page they stay below the 1024 files that a process usually may open.
const HANDSHAKES: usize = 256;

/// Serves until `shutdown`; returns when the last connection is gone, at the latest 0.4 s later.
pub(super) async fn serve(listener: TcpListener, service: Arc<Service>, shutdown: CancellationToken) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("the listener for policies failed: {error}; restart the program"),
    };
    http::accept(listener, HANDSHAKES, service.stats.metrics(), &shutdown, |stream, peer, slot, _| {
        handshake::handle(stream, peer, slot, Arc::clone(&service), shutdown.clone())
    })
    .await;
}
