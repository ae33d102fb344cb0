//! The accept loop.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Held, handle};
use crate::metrics::Metrics;
use crate::tls::ServerTls;

/// Connections at a time, WebSockets included; more are closed at once and counted.
const MAX_CONNECTIONS: usize = 512;

/// How long connections may take to end once the server stops.
const FAREWELL: Duration = Duration::from_millis(400);

/// Pause after a failed accept: the usual reason is that all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` over TLS until `shutdown`, then frees the port and returns when the last connection is gone, at the
/// latest 0.4 s later. Requests carry the peer as [`axum::extract::ConnectInfo`].
///
/// A WebSocket counts as a connection until its handler drops it; handlers must end on the same token.
///
/// # Errors
/// If the listener cannot be used at all.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerTls>,
    router: Router,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&slots).try_acquire_owned() {
                Ok(slot) => {
                    let held = Held::new(slot, connections.token(), metrics.connection());
                    let connection =
                        handle(stream, peer, held, tls.config(), router.clone(), metrics.clone(), shutdown.clone());
                    connections.spawn(connection);
                }
                Err(_) => metrics.connection_refused(),
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
        tracing::warn!(left = connections.len(), "connections did not end in time");
    }
    Ok(())
}
