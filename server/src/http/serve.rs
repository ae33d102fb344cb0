//! The accept loop.
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::tls::ServerTls;

/// Serves `router` over TLS until `shutdown`; returns when the last connection is gone, at the latest 0.4 s after
/// `shutdown`. WebSocket handlers must close on the same token.
///
/// # Errors
/// If the listener cannot be used at all.
pub async fn serve(
    _listener: TcpListener,
    _tls: Arc<ServerTls>,
    _router: Router,
    _metrics: Metrics,
    _shutdown: CancellationToken,
) -> io::Result<()> {
    unimplemented!()
}
