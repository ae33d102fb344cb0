//! Many clients at one robot, and what some of them cost the others.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsConnector;
use waldo_protocol::vr::VrFrame;
use waldo_server::vr::VrServer;

use crate::client::{Client, Operator, PATIENCE, trusting};
use crate::peer::Peer;
use crate::robot::local;

/// Bytes of each message to everybody: so many that the buffers of a socket nobody reads fill up in a second.
const MESSAGE: usize = 128 * 1024;

/// Pose frames per second of a headset, and messages per second to everybody.
const HEADSET_HZ: u32 = 90;

/// What one client waits for, in ms.
#[derive(Debug, Default)]
pub struct Delays {
    /// From sending each pose frame to the robot's callback.
    pub up: Vec<f64>,
    /// From the robot's call to each of its messages.
    pub down: Vec<f64>,
    /// Messages that reached the other client before the server closed its socket, if there was one.
    pub other_got: Option<u32>,
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// A client sends this many frames at the pace of a headset while the server sends everybody large messages; `other`
/// opens a second socket that is never read.
///
/// # Errors
/// If the client is disconnected, or waits too long.
pub async fn delays(frames: u32, other: bool) -> Result<Delays> {
    let data = TempDir::new()?;
    let server = VrServer::new(local(data.path()));
    let up = Arc::new(Mutex::new(Vec::new()));
    let sent: Arc<Vec<Mutex<Option<Instant>>>> = Arc::new((0..frames).map(|_| Mutex::default()).collect());
    let (noted, of) = (Arc::clone(&up), Arc::clone(&sent));
    server.on_frame(Some(Arc::new(move |frame: &VrFrame| {
        let number = frame.seq.and_then(|seq| usize::try_from(seq - 1).ok());
        let begun = number.and_then(|n| *of.get(n)?.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(begun) = begun {
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(ms(begun));
        }
    })));
    server.start().await?;
    let tls = trusting(server.certificate().context("the server runs")?)?;
    let addr = server.addr().context("the server runs")?;
    let idle = if other { Some(Client::connect(addr, &tls, "/ws").await?) } else { None };
    let mut client = Client::connect(addr, &tls, "/ws").await?;

    let padding = "x".repeat(MESSAGE);
    let mut operator = Operator::default();
    let mut called = Vec::new();
    let mut down = Vec::new();
    let mut ticks = interval(Duration::from_secs(1) / HEADSET_HZ);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while down.len() < frames as usize {
        tokio::select! {
            _ = ticks.tick(), if called.len() < frames as usize => {
                *sent[called.len()].lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                client.send_frame(operator.capture()).await?;
                let text = json!({ "type": "filler", "n": called.len(), "padding": padding }).to_string();
                called.push(Instant::now());
                server.broadcast_text(&text);
            }
            message = client.receive() => {
                let message = message?;
                if let Some(n) = message["n"].as_u64().and_then(|n| usize::try_from(n).ok()) {
                    down.push(ms(*called.get(n).context("a message that was never sent")?));
                }
            }
        }
    }
    let all = async {
        while up.lock().unwrap_or_else(PoisonError::into_inner).len() < frames as usize {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, all).await.context("not every frame arrived")?;
    let other_got = match idle {
        Some(mut idle) => {
            let mut got = 0;
            // Until the server's end of it.
            while got < frames && idle.receive().await.is_ok() {
                got += 1;
            }
            Some(got)
        }
        None => None,
    };
    server.stop().await;
    let up = std::mem::take(&mut *up.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Delays { up, down, other_got })
}

/// Clients on this machine that watch every camera of a server, until dropped.
pub struct Viewers {
    pictures: Vec<Arc<AtomicU64>>,
    tasks: JoinSet<Result<()>>,
}

impl Viewers {
    /// So many, each with a socket and a connection of its own, watching that many cameras.
    ///
    /// # Errors
    /// If one of them sees nothing.
    pub async fn arrive(count: usize, cameras: usize, addr: SocketAddr, tls: &TlsConnector) -> Result<Self> {
        let mut viewers = Self { pictures: Vec::new(), tasks: JoinSet::new() };
        for _ in 0..count {
            let mut client = Client::connect(addr, tls, "/ws").await?;
            let mut peer = Peer::video(&mut client, IpAddr::V4(Ipv4Addr::LOCALHOST)).await?;
            let pictures = Arc::new(AtomicU64::new(0));
            viewers.pictures.push(Arc::clone(&pictures));
            for _ in 0..cameras {
                let (mut camera, pictures) = (peer.camera().await?, Arc::clone(&pictures));
                viewers.tasks.spawn(async move {
                    loop {
                        if camera.skip().await? {
                            pictures.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            viewers.tasks.spawn(async move {
                let _alive = peer;
                loop {
                    // Pings are answered while somebody reads.
                    client.next().await?;
                }
            });
        }
        Ok(viewers)
    }

    /// Pictures that each has received so far.
    pub fn counts(&self) -> Vec<u64> {
        self.pictures.iter().map(|n| n.load(Ordering::Relaxed)).collect()
    }
}
