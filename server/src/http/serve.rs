//! The accept loop.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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
    serve_at_most(MAX_CONNECTIONS, listener, Some(tls.config()), router, metrics, shutdown).await;
    Ok(())
}

/// The same for at most `max_connections`, and without TLS if there is none.
pub(crate) async fn serve_at_most(
    max_connections: usize,
    listener: tokio::net::TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    accept(listener, max_connections, &metrics, &shutdown, |stream, peer, slot, connections| {
        let held = Held::new(slot, connections.token(), metrics.connection());
        handle(stream, peer, held, tls.clone(), router.clone(), metrics.clone(), shutdown.clone())
    })
    .await;
}

/// Runs `handle` for each connection until `shutdown`, then frees the port and returns when the last connection is gone,
/// at the latest 0.4 s later. A connection counts until its slot is dropped; one too many is closed at once and counted.
pub(crate) async fn accept<F>(
    listener: tokio::net::TcpListener,
    max_connections: usize,
    metrics: &Metrics,
    shutdown: &CancellationToken,
    handle: impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit, &TaskTracker) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&slots).try_acquire_owned() {
                Ok(slot) => {
                    connections.spawn(handle(stream, peer, slot, &connections));
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
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::config::Settings;

    #[tokio::test]
    async fn a_connection_too_many_is_closed_and_counted_until_another_ends() {
        let dir = tempfile::tempdir().unwrap();
        let tls = ServerTls::new(&Settings { data_dir: dir.path().to_owned(), ..Settings::default() }).unwrap();
        let (metrics, shutdown) = (Metrics::default(), CancellationToken::new());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = tokio::spawn(serve_at_most(
            1,
            listener,
            Some(tls.config()),
            Router::new(),
            metrics.clone(),
            shutdown.clone(),
        ));
        let first = TcpStream::connect(addr).await.unwrap();
        let mut second = TcpStream::connect(addr).await.unwrap();
        assert_eq!(second.read(&mut [0]).await.unwrap(), 0, "closed without a word");
        assert!(metrics.text().contains("waldo_connections_refused_total 1"));
        assert!(metrics.text().contains("waldo_connections 1"));
        drop(first);
        while !metrics.text().contains("waldo_connections 0") {
            tokio::task::yield_now().await;
        }
        let mut third = TcpStream::connect(addr).await.unwrap();
        while !metrics.text().contains("waldo_connections 1") {
            tokio::task::yield_now().await;
        }
        shutdown.cancel();
        server.await.unwrap();
        assert_eq!(third.read(&mut [0]).await.unwrap(), 0);
        assert!(metrics.text().contains("waldo_connections_refused_total 1"));
    }
}
