//! A headset without a headset: a WebSocket client over TLS that verifies the robot's certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use glam::{DQuat, DVec3};
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use waldo_protocol::geometry::Pose;
use waldo_protocol::vr::{Controller, VrFrame, VrState};

/// How long anything may take before a test gives up; far above what it takes.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Time between the frames of a headset at its usual rate, 90 Hz.
pub const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 90);

/// TLS for clients that trust exactly this certificate.
pub fn trusting(certificate: CertificateDer<'static>) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A TLS connection to the robot, verified as `localhost`.
pub async fn connect_tls(addr: SocketAddr, tls: &TlsConnector) -> Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(addr).await?;
    tcp.set_nodelay(true)?;
    Ok(tls.connect(ServerName::try_from("localhost")?, tcp).await?)
}

/// One socket on `/ws`.
pub struct Client {
    socket: WebSocketStream<TlsStream<TcpStream>>,
}

impl Client {
    /// Opens `path` (such as `/ws`) as a WebSocket.
    pub async fn connect(addr: SocketAddr, tls: &TlsConnector, path: &str) -> Result<Self> {
        let stream = connect_tls(addr, tls).await?;
        let url = format!("wss://localhost:{}{path}", addr.port());
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        Ok(Self { socket })
    }

    /// Sends a text.
    pub async fn send(&mut self, text: impl Into<Utf8Bytes>) -> Result<()> {
        Ok(self.socket.send(Message::Text(text.into())).await?)
    }

    /// Queues a text, to be sent together with the next one.
    pub async fn feed(&mut self, text: impl Into<Utf8Bytes>) -> Result<()> {
        Ok(self.socket.feed(Message::Text(text.into())).await?)
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, bytes: Vec<u8>) -> Result<()> {
        Ok(self.socket.send(Message::Binary(bytes.into())).await?)
    }

    /// Sends a pose frame.
    pub async fn send_frame(&mut self, frame: &VrFrame) -> Result<()> {
        let mut text = String::new();
        frame.encode(&mut text);
        self.send(text).await
    }

    /// The next text as JSON.
    ///
    /// # Errors
    /// If none comes in time, or the socket closes.
    pub async fn receive(&mut self) -> Result<Value> {
        tokio::time::timeout(PATIENCE, self.next()).await.context("no message in time")?
    }

    /// The next text as JSON, whenever it comes. Safe to cancel.
    ///
    /// # Errors
    /// If the socket closes.
    pub async fn next(&mut self) -> Result<Value> {
        loop {
            match self.socket.next().await.context("the socket ended")?? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(frame) => bail!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Skips messages up to the first of this type.
    pub async fn receive_type(&mut self, kind: &str) -> Result<Value> {
        loop {
            let message = self.receive().await.with_context(|| format!("waiting for {kind}"))?;
            if message["type"] == kind {
                return Ok(message);
            }
        }
    }

    /// What has arrived until the server has answered a request that it answers in any state: the replies, in order,
    /// to everything sent before.
    pub async fn receive_all(&mut self) -> Result<Vec<Value>> {
        // An answer to a second hello marks the end: messages of one socket are handled in order.
        static MARKERS: AtomicU64 = AtomicU64::new(0);
        let stream = format!("marker-{}", MARKERS.fetch_add(1, Ordering::Relaxed));
        self.send(format!(r#"{{"type":"hello","v":1,"client":"m/1","stream":"{stream}","role":"driver","caps":[]}}"#))
            .await?;
        let mut replies = Vec::new();
        loop {
            let message = self.receive().await?;
            if message["type"] == "hello" && message["caps"].as_array().is_some_and(Vec::is_empty) {
                return Ok(replies);
            }
            replies.push(message);
        }
    }

    /// Sends a text while listening, until the server closes.
    pub async fn closed_while_sending(&mut self, text: String) -> Result<Option<CloseFrame>> {
        let (mut sink, mut stream) = (&mut self.socket).split();
        // Fails when the server hangs up in the middle of it, as it may.
        let send = async { drop(sink.send(Message::Text(text.into())).await) };
        let listen = async {
            while let Some(message) = stream.next().await {
                if let Message::Close(frame) = message? {
                    return Ok(frame);
                }
            }
            Ok(None)
        };
        let (closed, ()) = tokio::time::timeout(PATIENCE, futures_util::future::join(listen, send)).await?;
        closed
    }

    /// Waits for the server's close frame.
    pub async fn closed(&mut self) -> Result<Option<CloseFrame>> {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.context("still open")? {
                Some(Ok(Message::Close(frame))) => return Ok(frame),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(None),
            }
        }
    }
}

/// A person's two hands, half a metre in front of the chest.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The frame sent next.
    pub frame: VrFrame,
    started: Instant,
}

impl Default for Operator {
    fn default() -> Self {
        let hand = |x: f64| Controller {
            pose: Pose::new(DVec3::new(x, 1.1, -0.4), DQuat::IDENTITY).expect("a valid pose"),
            elbow: DVec3::new(1.4 * x, 0.95, -0.1),
            grip: 1.0,
            lock: false,
            tracked: true,
            stick_x: 0.0,
            stick_click: false,
        };
        let frame = VrFrame {
            left: hand(-0.2),
            right: hand(0.2),
            l_stick_y: 0.0,
            reset: false,
            state: VrState::Teleop,
            t: Some(0.0),
            seq: Some(0),
            elbow_est: false,
            reset_n: None,
            ep_n: None,
            ep_op: None,
        };
        Self { frame, started: Instant::now() }
    }
}

impl Operator {
    /// The next frame: `seq` one higher, captured now.
    pub fn capture(&mut self) -> &VrFrame {
        self.frame.seq = self.frame.seq.map(|seq| seq + 1);
        self.frame.t = self.frame.t.map(|_| self.started.elapsed().as_secs_f64() * 1000.0);
        &self.frame
    }

    /// Squeezes or releases both grips.
    pub fn squeeze(&mut self, lock: bool) -> &mut Self {
        self.frame.left.lock = lock;
        self.frame.right.lock = lock;
        self
    }

    /// Moves both hands by this much, metres in `local-floor`.
    pub fn move_by(&mut self, by: DVec3) -> &mut Self {
        for hand in [&mut self.frame.left, &mut self.frame.right] {
            hand.pose = Pose::new(hand.pose.position() + by, hand.pose.orientation()).expect("a valid pose");
        }
        self
    }
}
