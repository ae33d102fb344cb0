//! The policy wire over WebSockets: one binary message is one frame.
//!
//! `handshake` is HTTP until the upgrade, `connection` the socket after it, `read` gives its messages, `write` puts frames
//! into the socket without copying them.

mod connection;
mod handshake;
pub(crate) mod read;
pub(crate) mod write;

pub(crate) use handshake::accept_key;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::server::PolicyStartError;
use super::service::Service;
use crate::http;

/// Connections beyond the clients: those that shake hands, or are told that there are too many.
const SPARE: usize = 64;

/// Takes the port.
pub(super) fn listen(addr: SocketAddr) -> Result<TcpListener, PolicyStartError> {
    let listen = || {
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|source| PolicyStartError::Listen { addr, source })
}

/// Serves until `shutdown`; returns when the last connection is gone, at the latest 0.4 s later.
pub(super) async fn serve(listener: TcpListener, service: Arc<Service>, shutdown: CancellationToken) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("the listener for policies failed: {error}; restart the program"),
    };
    let max = service.config.max_clients.saturating_add(SPARE);
    http::accept(listener, max, service.stats.metrics(), &shutdown, |stream, peer, slot, _| {
        let connection = handshake::handle(stream, peer, Arc::clone(&service), shutdown.clone());
        async move {
            connection.await;
            drop(slot);
        }
    })
    .await;
}
