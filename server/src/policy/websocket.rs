//! The policy wire over WebSockets: one binary message is one frame.
//!
//! `handshake` is HTTP until the upgrade, `connection` the socket after it, `read` gives its messages, `write` puts frames
//! into the socket without copying them.

mod connection;
mod handshake;
mod read;
mod write;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::server::PolicyStartError;
use super::service::Service;

/// Connections beyond the clients: those that shake hands, or are told that there are too many.
const SPARE: usize = 64;

/// How long connections may take to end once the server stops.
const FAREWELL: Duration = Duration::from_millis(400);

/// Pause after a failed accept: the usual reason is that all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
    let slots = Arc::new(Semaphore::new(service.config.max_clients.saturating_add(SPARE).min(Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&slots).try_acquire_owned() {
                Ok(slot) => {
                    let connection = handshake::handle(stream, peer, Arc::clone(&service), shutdown.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(_) => service.stats.metrics().connection_refused(),
            },
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::select! {
                    () = sleep(ACCEPT_PAUSE) => {}
                    () = shutdown.cancelled() => break,
                }
            }
        }
    }
    drop(listener);
    connections.close();
    if timeout(FAREWELL, connections.wait()).await.is_err() {
        tracing::warn!(left = connections.len(), "policy connections did not end in time");
    }
}
