//! A connection until it is a WebSocket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::WWW_AUTHENTICATE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::connection;
use crate::http::Denied;
use crate::policy::config::PolicyAccess;
use crate::policy::service::Service;
use crate::policy::session::{Link, Session};
use crate::websocket::upgrade::{Answer, accept_key, switching, text};

/// How long a client may take for the TLS handshake, and then until it is one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest head of a request.
const MAX_HEAD: usize = 32 * 1024;

/// Most header fields of a request.
const MAX_HEADERS: usize = 64;

/// A request that became a WebSocket.
struct Upgraded {
    on_upgrade: OnUpgrade,
    session: Session,
}

/// Serves one connection until it ends. It has its slot until it is a client, which has a place of its own.
pub(super) async fn handle(
    stream: TcpStream,
    peer: SocketAddr,
    slot: OwnedSemaphorePermit,
    service: Arc<Service>,
    shutdown: CancellationToken,
) {
    // Replies must not wait for each other.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, "a socket is gone: {error}");
        return;
    }
    match service.config.tls.clone() {
        None => shake_hands(stream, (peer, slot), service, shutdown, TcpStream::into_split).await,
        Some(tls) => {
            let shaken = tokio::select! {
                shaken = timeout(PATIENCE, TlsAcceptor::from(tls).accept(stream)) => shaken,
                () = shutdown.cancelled() => return,
            };
            match shaken {
                Ok(Ok(stream)) => shake_hands(stream, (peer, slot), service, shutdown, tokio::io::split).await,
                Ok(Err(_)) | Err(_) => service.stats.metrics().handshake_failed(),
            }
        }
    }
}

async fn shake_hands<S, R, W>(
    stream: S,
    (peer, slot): (SocketAddr, OwnedSemaphorePermit),
    service: Arc<Service>,
    shutdown: CancellationToken,
    split: fn(S) -> (R, W),
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let upgraded = Arc::new(Mutex::new(None));
    let answering = service_fn(|request| {
        let response = answer(request, peer, &service, &upgraded);
        async { Ok::<_, Infallible>(response) }
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), answering)
        .with_upgrades();
    tokio::select! {
        end = timeout(PATIENCE, http) => match end {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%peer, "connection broke: {error}"),
            // Refused, and asks again and again: somebody else may want the slot.
            Err(_) => return,
        },
        () = shutdown.cancelled() => return,
    }
    let Some(Upgraded { on_upgrade, session }) = upgraded.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return;
    };
    let Ok(Ok(parts)) = on_upgrade.await.map(hyper::upgrade::Upgraded::downcast::<TokioIo<S>>) else { return };
    let (reader, writer) = split(parts.io.into_inner());
    // A client may send its first frames with its request.
    let reader = std::io::Cursor::new(parts.read_buf).chain(reader);
    drop(slot);
    connection::serve(&service, session, reader, writer, shutdown).await;
}

fn answer(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    service: &Arc<Service>,
    upgraded: &Mutex<Option<Upgraded>>,
) -> Answer {
    let metrics = service.stats.metrics();
    let accept = match accept_key(request.method(), request.headers()) {
        Ok(accept) => accept,
        Err(refused) => return *refused,
    };
    if let Err(denied) = allowed(&service.config.access, peer, &request) {
        let (status, reason) = match denied {
            Denied::Token => (StatusCode::UNAUTHORIZED, "token"),
            Denied::Origin => (StatusCode::FORBIDDEN, "origin"),
        };
        metrics.http_refusal(reason);
        tracing::debug!(%peer, reason, "refused a policy client");
        let mut response =
            text(status, "This robot asks for its token: add ?token=... to the address of the socket.\n");
        response.headers_mut().insert(WWW_AUTHENTICATE, hyper::header::HeaderValue::from_static("Bearer"));
        return response;
    }
    let Some(session) = service.connect(&peer.to_string(), Link { extensions: true, closes: true }) else {
        metrics.http_refusal("clients");
        let max = service.config.max_clients;
        if service.may_log("clients") {
            tracing::warn!(%peer, "refused a policy client: there are {max} already");
        }
        let body = format!("This robot has {max} policy clients already: end one of them, then try again.\n");
        return text(StatusCode::SERVICE_UNAVAILABLE, body);
    };
    let on_upgrade = hyper::upgrade::on(&mut request);
    *upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(Upgraded { on_upgrade, session });
    switching(accept)
}

fn allowed(access: &PolicyAccess, peer: SocketAddr, request: &Request<Incoming>) -> Result<(), Denied> {
    match access {
        PolicyAccess::Open => Ok(()),
        PolicyAccess::Token(token) => {
            let given =
                request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("token="));
            let fits = given.into_iter().any(|given| given.as_bytes().ct_eq(token.as_bytes()).into());
            if fits { Ok(()) } else { Err(Denied::Token) }
        }
        PolicyAccess::Rule(rule) => rule.check(peer.ip(), request.uri(), request.headers()),
    }
}
