//! One connection: TLS, unless the port goes without, then HTTP/1.1, then perhaps a WebSocket.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::plain;
use crate::metrics::{Metrics, Present};

/// How long a client may take for the TLS handshake, and for the head of each request.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a response under way may go on once the server stops.
const FAREWELL: Duration = Duration::from_millis(200);

/// Largest head of a request.
const MAX_HEAD: usize = 32 * 1024;

/// Most header fields of a request.
const MAX_HEADERS: usize = 64;

/// First byte of every TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a connection occupies, given back when its stream is dropped, be it by HTTP or by a WebSocket handler.
pub(super) struct Held {
    _slot: OwnedSemaphorePermit,
    _tracked: TaskTrackerToken,
    _present: Present,
}

impl Held {
    pub(super) fn new(slot: OwnedSemaphorePermit, tracked: TaskTrackerToken, present: Present) -> Self {
        Self { _slot: slot, _tracked: tracked, _present: present }
    }
}

/// Serves one connection until it ends or `shutdown`.
pub(super) async fn handle(
    stream: TcpStream,
    peer: SocketAddr,
    held: Held,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let Some(tls) = tls else {
        // Small messages must not wait for each other.
        return match stream.set_nodelay(true) {
            Ok(()) => http(Stream { stream, _held: held }, peer, router, shutdown).await,
            Err(error) => tracing::debug!(%peer, "a socket is gone: {error}"),
        };
    };
    let shaken = tokio::select! {
        shaken = timeout(PATIENCE, handshake(stream, tls)) => shaken,
        () = shutdown.cancelled() => return,
    };
    match shaken {
        Ok(Ok(Some(stream))) => http(Stream { stream, _held: held }, peer, router, shutdown).await,
        Ok(Ok(None)) => metrics.handshake_failed(),
        Ok(Err(error)) => {
            metrics.handshake_failed();
            // Browsers that have not accepted the certificate yet end here: nothing to worry about.
            tracing::debug!(%peer, "no TLS: {error}");
        }
        Err(_) => {
            metrics.handshake_failed();
            tracing::debug!(%peer, "TLS handshake took too long");
        }
    }
}

/// None if the client spoke plain http and was told what to do.
async fn handshake(stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<Option<TlsStream<TcpStream>>> {
    // Pose frames are small and must not wait for each other.
    stream.set_nodelay(true)?;
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != TLS_HANDSHAKE {
        plain::redirect(stream).await?;
        return Ok(None);
    }
    TlsAcceptor::from(tls).accept(stream).await.map(Some)
}

async fn http<S: Link>(stream: Stream<S>, peer: SocketAddr, router: Router, shutdown: CancellationToken) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let end = tokio::select! {
        end = connection.as_mut() => end,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // A response that the client does not read is cut off.
            timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = end {
        tracing::debug!(%peer, "connection broke: {error}");
    }
}

/// What a connection runs over.
pub(crate) trait Link: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// The socket beneath.
    fn tcp(&self) -> &TcpStream;
}

impl Link for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Link for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// What an upgraded connection goes on over, and what was read of it with the request; none if it is none of ours.
pub(crate) fn link_of(upgraded: Upgraded) -> Option<(Box<dyn Link>, Bytes)> {
    fn boxed<S: Link>(upgraded: Upgraded) -> Result<(Box<dyn Link>, Bytes), Upgraded> {
        let parts = upgraded.downcast::<TokioIo<Stream<S>>>()?;
        Ok((Box::new(parts.io.into_inner()), parts.read_buf))
    }
    boxed::<TcpStream>(upgraded).or_else(boxed::<TlsStream<TcpStream>>).ok()
}

/// A stream that holds its place in the listener's books.
struct Stream<S> {
    stream: S,
    _held: Held,
}

impl<S: Link> Link for Stream<S> {
    fn tcp(&self) -> &TcpStream {
        self.stream.tcp()
    }
}

impl<S: Link> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: Link> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
