//! The listener.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use axum::{Extension, Router};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use tokio_util::sync::CancellationToken;

use super::bounded::Bounded;
use super::tls::{self, Tls, TlsError};

/// How long a client may take for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long requests under way may go on once the broker stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Largest head of a request.
const MAX_HEAD: usize = 32 * 1024;

/// Most header fields of a request.
const MAX_HEADERS: usize = 64;

/// Says that a request came over TLS of our own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secure;

/// A bound port.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<(RustlsConfig, (std::path::PathBuf, std::path::PathBuf))>,
}

impl Listener {
    /// Takes the port and reads the certificate.
    pub(crate) fn bind(
        address: SocketAddr,
        tls: &Tls,
        data_dir: &Path,
        host: Option<&str>,
    ) -> Result<Result<Self, TlsError>, io::Error> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self::with_tls(socket, address, tls, data_dir, host))
    }

    fn with_tls(
        socket: TcpListener,
        address: SocketAddr,
        tls: &Tls,
        data_dir: &Path,
        host: Option<&str>,
    ) -> Result<Self, TlsError> {
        let tls = match tls::files(tls, data_dir, address.ip(), host)? {
            Some(files) => Some((RustlsConfig::from_config(tls::read(&files.0, &files.1)?), files)),
            None => None,
        };
        Ok(Self { socket, address, tls })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until stopped; then requests under way have two seconds.
    pub(crate) async fn serve(
        self,
        router: Router,
        most: usize,
        proxies: Vec<IpAddr>,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let handle = Handle::new();
        let ending = {
            let (handle, stop) = (handle.clone(), stop.clone());
            tokio::spawn(async move {
                stop.cancelled().await;
                handle.graceful_shutdown(Some(FAREWELL));
            })
        };
        let mut server = axum_server::from_tcp(self.socket)?.handle(handle).http1_only();
        server
            .http_builder()
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD);
        let bounded = Bounded::new(most, &proxies);
        let served = match self.tls {
            Some((config, files)) => {
                tokio::spawn(tls::keep_current(config.clone(), files, stop));
                let router = router.layer(Extension(Secure));
                let acceptor = RustlsAcceptor::new(config).acceptor(bounded);
                server.acceptor(acceptor).serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
            }
            None => server.acceptor(bounded).serve(router.into_make_service_with_connect_info::<SocketAddr>()).await,
        };
        ending.abort();
        served
    }
}
