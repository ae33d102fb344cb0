//! The https listener as a client sees it: TLS, the certificate's life, routes and access, the end.
#![allow(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::{any, get};
use futures_util::{SinkExt, StreamExt};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use waldo_server::config::Settings;
use waldo_server::http::{self, Access, Site};
use waldo_server::metrics::Metrics;
use waldo_server::tls::{Names, Renewal, ServerTls};

/// Far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A listener on loopback with an echoing WebSocket at `/echo` and an API at `/api/x`.
struct Server {
    addr: SocketAddr,
    tls: Arc<ServerTls>,
    token: String,
    metrics: Metrics,
    router: Router,
    shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
    data: TempDir,
}

fn settings(data: &TempDir) -> Settings {
    Settings { data_dir: data.path().to_owned(), ..Settings::default() }
}

fn echo(shutdown: CancellationToken) -> Router {
    let handler = async move |upgrade: WebSocketUpgrade| {
        let shutdown = shutdown.clone();
        upgrade.on_upgrade(async move |mut socket| {
            loop {
                tokio::select! {
                    message = socket.next() => match message {
                        Some(Ok(message)) => socket.send(message).await.unwrap_or_default(),
                        _ => return,
                    },
                    () = shutdown.cancelled() => return,
                }
            }
        })
    };
    Router::new().route("/echo", any(handler))
}

impl Server {
    async fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into()).await
    }

    async fn start_at(ip: IpAddr) -> Self {
        let data = TempDir::new().unwrap();
        let tls = ServerTls::new(&settings(&data)).unwrap();
        let access = Arc::new(Access::load(data.path(), false).unwrap());
        let (metrics, shutdown) = (Metrics::default(), CancellationToken::new());
        let router = http::site(Site {
            access: Arc::clone(&access),
            metrics: metrics.clone(),
            health: Arc::new(|| serde_json::json!({"status": "ok"})),
            static_dir: Some(data.path().join("no-bundle")),
            sockets: echo(shutdown.clone()),
            own_access: Router::new(),
            apis: Router::new().route("/api/x", get(async || "x")),
        });
        let listener = http::bind((ip, 0).into()).unwrap();
        let addr = listener.local_addr().unwrap();
        let serving = http::serve(listener, Arc::clone(&tls), router.clone(), metrics.clone(), shutdown.clone());
        let task = tokio::spawn(serving);
        let token = access.token().unwrap().to_owned();
        Self { addr, tls, token, metrics, router, shutdown, task, data }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        connect(self.addr, &trusting(self.tls.identity().certificate().clone(), &[&TLS13, &TLS12], &[])).await.unwrap()
    }

    /// What a peer at this address gets, without a network.
    async fn ask(&self, peer: &str, uri: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
        let peer = SocketAddr::new(peer.parse().unwrap(), 50_000);
        let mut request = Request::builder().uri(uri).header("host", "localhost:8000");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.extension(ConnectInfo(peer)).body(Body::empty()).unwrap();
        let response = TowerToHyperService::new(self.router.clone()).call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

fn trusting(
    certificate: CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn connect(addr: SocketAddr, tls: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::from(addr.ip());
    timeout(PATIENCE, tls.connect(name, TcpStream::connect(addr).await?)).await.expect("a handshake in time")
}

/// Sends a GET on an open connection; gives the status line.
async fn get_on(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer in time").unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    head.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn tls_1_2_and_1_3_with_and_without_alpn_all_work() {
    let server = Server::start().await;
    for version in [&TLS12, &TLS13] {
        for alpn in [&[][..], &["http/1.1"], &["h2", "http/1.1"]] {
            let tls = trusting(server.tls.identity().certificate().clone(), &[version], alpn);
            let mut stream = connect(server.addr, &tls).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
            let expected = (!alpn.is_empty()).then_some(&b"http/1.1"[..]);
            assert_eq!(stream.get_ref().1.alpn_protocol(), expected);
            assert_eq!(get_on(&mut stream, "/healthz").await, "HTTP/1.1 200 OK");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_certificate_survives_a_restart() {
    let server = Server::start().await;
    let again = ServerTls::new(&settings(&server.data)).unwrap();
    assert_eq!(again.identity().fingerprint(), server.tls.identity().fingerprint());
    server.stop().await;
}

#[tokio::test]
async fn a_new_address_swaps_the_certificate_and_drops_no_connection() {
    let server = Server::start().await;
    let old = server.tls.identity();
    let trusts_old = trusting(old.certificate().clone(), &[&TLS13], &[]);
    let mut open = connect(server.addr, &trusts_old).await.unwrap();
    assert_eq!(get_on(&mut open, "/healthz").await, "HTTP/1.1 200 OK");

    let moved = Names::new("robot", ["10.98.76.54".parse().unwrap()]);
    let renewal = server.tls.refresh(&moved, SystemTime::now()).unwrap();
    assert!(matches!(renewal, Some(Renewal::Uncovered(names)) if names.contains(&"10.98.76.54".to_owned())));

    assert_eq!(get_on(&mut open, "/healthz").await, "HTTP/1.1 200 OK", "the old connection goes on");
    let new = server.tls.identity();
    assert_ne!(new.fingerprint(), old.fingerprint());
    assert!(old.names().iter().all(|name| new.names().contains(name)), "{:?}", new.names());
    // A client of its own, since one that has spoken before may resume its session without looking at a certificate.
    let stranger = trusting(old.certificate().clone(), &[&TLS13], &[]);
    let stream = connect(server.addr, &stranger).await;
    let presented = stream.map(|stream| stream.get_ref().1.peer_certificates().unwrap()[0].clone());
    assert!(presented.is_err() || presented.unwrap() == *new.certificate());
    let trusts_new = trusting(new.certificate().clone(), &[&TLS13], &[]);
    let fresh = connect(server.addr, &trusts_new).await.unwrap();
    assert_eq!(fresh.get_ref().1.peer_certificates().unwrap(), std::slice::from_ref(new.certificate()));
    drop((open, fresh));
    server.stop().await;
}

#[tokio::test]
async fn plain_http_is_sent_to_https() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(format!("GET /a HTTP/1.1\r\nHost: {}\r\n\r\n", server.addr).as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 301 "), "{answer}");
    assert!(answer.contains(&format!("Location: https://{}/a\r\n", server.addr)), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn routes_answer_as_the_wire_demands() {
    let server = Server::start().await;
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    for (path, headers, expected) in [
        ("/", &[][..], 200),
        ("/__accept", &[], 200),
        ("/healthz", &[], 200),
        ("/metrics", &[], 200),
        ("/api/x", &[], 200),
        ("/docs", &[], 404),
        ("/openapi.json", &[], 404),
        ("/unknown", &[], 404),
        ("/echo", &[], 426),
        ("/unknown", &upgrade, 403),
        ("/", &upgrade, 403),
        ("/api/x", &upgrade, 403),
    ] {
        let (status, headers_out, _) = server.ask("127.0.0.1", path, headers).await;
        assert_eq!(status, expected, "{path} {headers:?}");
        assert!(headers_out.contains_key("content-security-policy"), "{path}");
        assert_eq!(headers_out["x-content-type-options"], "nosniff");
    }
    let (_, _, page) = server.ask("127.0.0.1", "/__accept", &[]).await;
    assert!(page.contains("accepted") && page.contains("window.close()") && page.contains("700"), "{page}");
    let (_, headers, page) = server.ask("127.0.0.1", "/", &[]).await;
    let csp = headers["content-security-policy"].to_str().unwrap();
    let scripts = csp.split("; ").find(|one| one.starts_with("script-src ")).unwrap();
    assert_eq!(scripts, "script-src 'self' 'wasm-unsafe-eval'");
    assert!(page.contains("cargo xtask build-web"), "{page}");
    server.stop().await;
}

#[tokio::test]
async fn strangers_need_the_token_and_refusals_are_counted() {
    let server = Server::start().await;
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    for path in ["/", "/__accept", "/healthz"] {
        assert_eq!(server.ask("192.168.1.9", path, &[]).await.0, 200, "{path}");
    }
    for (path, headers) in [("/metrics", &[][..]), ("/api/x", &[]), ("/echo", &upgrade)] {
        let (status, headers_out, body) = server.ask("192.168.1.9", path, headers).await;
        assert_eq!(status, 401, "{path}");
        assert_eq!(headers_out["www-authenticate"], "Bearer");
        assert!(!body.contains(&server.token));
        let (status, ..) = server.ask("192.168.1.9", &format!("{path}?token=wrong"), headers).await;
        assert_eq!(status, 401, "{path}");
    }
    for path in ["/metrics", "/api/x"] {
        assert_eq!(server.ask("192.168.1.9", &format!("{path}?token={}", server.token), &[]).await.0, 200, "{path}");
    }
    let (_, _, metrics) = server.ask("127.0.0.1", "/metrics", &[]).await;
    assert!(metrics.contains(r#"waldo_http_refusals_total{reason="token"} 6"#), "{metrics}");
    let foreign = [upgrade[0], upgrade[1], ("origin", "https://evil.example")];
    assert_eq!(server.ask("127.0.0.1", "/echo", &foreign).await.0, 403);
    server.stop().await;
}

/// The status of a real upgrade request to `/echo` from this machine, as a page of `origin` sends it to `host`.
async fn upgrade_from(server: &Server, origin: &str, host: &str, query: &str) -> String {
    let mut stream = server.connect().await;
    let head = format!(
        "GET /echo{query} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer in time").unwrap());
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn a_page_of_the_network_passes_over_the_usb_cable_with_the_token_and_a_strangers_page_never_without() {
    const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols";
    const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden";
    let server = Server::start().await;
    let with_token = format!("?token={}", server.token);
    let (page, cable, stranger) = ("https://192.168.1.2:8000", "localhost:8000", "https://evil.example:8000");
    for (origin, host, query, status) in [
        (page, cable, with_token.as_str(), SWITCHED),
        (page, cable, "", FORBIDDEN),
        (page, cable, "?token=abcdefghijklmnopqrstuvwx", FORBIDDEN),
        ("https://localhost:8000", cable, "", SWITCHED),
        (stranger, cable, "", FORBIDDEN),
        // Its name leads to this machine.
        (stranger, "evil.example:8000", "", FORBIDDEN),
        ("null", cable, "", FORBIDDEN),
    ] {
        assert_eq!(upgrade_from(&server, origin, host, query).await, status, "{origin} to {host} {query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_peer_on_an_address_of_the_network_is_a_stranger() {
    let Some(ip) = Names::of_this_machine().addresses().find(|ip| ip.is_ipv4()) else { return };
    let server = Server::start_at(ip).await;
    let mut stream = server.connect().await;
    assert_eq!(get_on(&mut stream, "/metrics").await, "HTTP/1.1 401 Unauthorized");
    let with_token = format!("/metrics?token={}", server.token);
    assert_eq!(get_on(&mut stream, &with_token).await, "HTTP/1.1 200 OK");
    server.stop().await;
}

#[tokio::test]
async fn a_websocket_passes_and_counts_as_a_connection_while_it_lives() {
    let server = Server::start().await;
    let stream = server.connect().await;
    let url = format!("wss://{}/echo", server.addr);
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    socket.send("hello".into()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), "hello".into());
    assert!(server.metrics.text().contains("waldo_connections 1"));
    drop(socket);
    timeout(PATIENCE, async {
        while !server.metrics.text().contains("waldo_connections 0") {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the connection is forgotten");
    server.stop().await;
}

#[tokio::test]
async fn shutdown_ends_every_kind_of_connection_and_frees_the_port() {
    let server = Server::start().await;
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    let mut idle = server.connect().await;
    assert_eq!(get_on(&mut idle, "/healthz").await, "HTTP/1.1 200 OK");
    let url = format!("wss://{}/echo", server.addr);
    let (mut socket, _) = tokio_tungstenite::client_async(url, server.connect().await).await.unwrap();
    let (addr, metrics) = (server.addr, server.metrics.clone());
    server.stop().await;
    assert_eq!(timeout(PATIENCE, silent.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
    assert_eq!(timeout(PATIENCE, idle.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
    let end = timeout(PATIENCE, socket.next()).await.unwrap();
    assert!(!end.as_ref().is_some_and(|end| end.as_ref().is_ok_and(|message| message.is_text())), "{end:?}");
    assert!(metrics.text().contains("waldo_connections 0"), "{}", metrics.text());
    http::bind(addr).unwrap();
}

#[tokio::test]
async fn a_head_without_end_is_refused_and_others_are_served() {
    let server = Server::start().await;
    let mut greedy = server.connect().await;
    let header = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n", "a".repeat(100_000));
    // The server may hang up before it has read everything.
    let _ = greedy.write_all(header.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, greedy.read_to_end(&mut answer)).await.expect("an end in time");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(get_on(&mut server.connect().await, "/healthz").await, "HTTP/1.1 200 OK");
    server.stop().await;
}
