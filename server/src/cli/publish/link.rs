//! A connection to a field, as a publisher.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::WebSocketConfig;
use waldo_protocol::field::{ClientMessage, Extension, Hello, HelloAck, Join, Joined, ServerMessage};

use crate::config::Settings;
use crate::tls;

/// How long the field may take for each answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// No scene is larger: a field holds 256 MiB of meshes and 4 million points of some 60 bytes, bytes.
const LARGEST: usize = 512 << 20;

/// A field takes a publisher for gone that is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Where to publish.
pub(super) struct Target {
    request: axum::http::Request<()>,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

/// How a connection ended.
pub(super) enum Ended {
    /// The field does not want it; trying again does not help.
    Refused(String),
    /// It broke, or never stood.
    Lost(anyhow::Error),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Target {
    /// With wss, `trust` is the certificate to accept, or else the one of this computer.
    pub(super) fn new(url: &str, trust: Option<&Path>, settings: &Settings) -> anyhow::Result<Self> {
        let request = url.into_client_request().with_context(|| format!("`{url}` is no address of a field"))?;
        let uri = request.uri();
        let tls = match uri.scheme_str() {
            Some("ws") => None,
            Some("wss") => Some(connector(trust, settings)?),
            _ => bail!("the address of a field begins with ws:// or wss://, not `{url}`"),
        };
        let host = uri.host().context("the address names no host")?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        Ok(Self { host, port, tls, request })
    }

    /// Publishes until the connection ends; `published` is told the owner once everything is there.
    pub(super) async fn publish(
        &self,
        owner: Option<&str>,
        publication: &[ClientMessage],
        published: impl FnOnce(&str),
    ) -> Ended {
        match self.try_publish(owner, publication, published).await {
            Ok(refused) => Ended::Refused(refused),
            Err(error) => Ended::Lost(error),
        }
    }

    async fn connect(&self) -> anyhow::Result<WebSocketStream<Box<dyn Stream>>> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> =
            match &self.tls {
                None => Box::new(tcp),
                Some(tls) => {
                    let connected = tls.connect(ServerName::try_from(self.host.clone())?, tcp).await;
                    Box::new(connected.context(
                        "no encrypted connection; `waldo certs` tells on the robot which file --trust wants",
                    )?)
                }
            };
        // Scenes come, and are not looked at.
        let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        Ok(client_async_with_config(self.request.clone(), stream, Some(config)).await?.0)
    }

    /// What the field refused.
    async fn try_publish(
        &self,
        owner: Option<&str>,
        publication: &[ClientMessage],
        published: impl FnOnce(&str),
    ) -> anyhow::Result<String> {
        let mut socket = timeout(PATIENCE, self.connect()).await.context("no connection in time")??;
        // Scenes are not for us: what changes only is the least.
        let hello = Hello {
            client: Some(concat!("waldo/", env!("CARGO_PKG_VERSION")).to_owned()),
            ext: [Extension::SceneBin].into_iter().collect(),
            ..Hello::new(Join::Publisher { owner_id: owner.map(str::to_owned) })
        };
        let mut owner = String::new();
        for message in std::iter::once(&ClientMessage::Hello(hello)).chain(publication) {
            socket.send(Message::text(message.encode())).await?;
            match timeout(PATIENCE, answer(&mut socket)).await.context("no answer in time")?? {
                ServerMessage::Error(error) => return Ok(error.reason),
                ServerMessage::HelloAck(HelloAck { joined: Joined::Publisher { owner_id }, .. }) => owner = owner_id,
                _ => {}
            }
        }
        published(&owner);
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                answer = answer(&mut socket) => if let ServerMessage::Error(error) = answer? {
                    tracing::warn!("the field says: {}", error.reason);
                },
                _ = heartbeat.tick() => socket.send(Message::text(ClientMessage::Heartbeat.encode())).await?,
            }
        }
    }
}

/// The next message that is no scene.
async fn answer(socket: &mut WebSocketStream<Box<dyn Stream>>) -> anyhow::Result<ServerMessage> {
    loop {
        match socket.next().await.context("the field hung up")?? {
            Message::Text(text) => match ServerMessage::decode(&text) {
                Ok(ServerMessage::SceneState(_) | ServerMessage::SceneDelta(_) | ServerMessage::Unknown(_))
                | Err(_) => {}
                Ok(message) => return Ok(message),
            },
            Message::Close(Some(close)) => bail!("the field hung up: {} {}", close.code, close.reason),
            _ => {}
        }
    }
}

fn connector(trust: Option<&Path>, settings: &Settings) -> anyhow::Result<TlsConnector> {
    let certificates: Vec<CertificateDer<'static>> = match trust {
        Some(file) => {
            let pem = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
            let read = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>();
            read.with_context(|| format!("{} holds no certificate", file.display()))?
        }
        None => vec![tls::certificate(settings)?.0.certificate().clone()],
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).context("the certificate cannot be trusted")?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
