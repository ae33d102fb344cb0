//! Who comes to the robot during a soak.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::client::{Client, FRAME, Operator, connect_tls};
use crate::peer::{Peer, PoseChannel};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Where the robot is.
#[derive(Clone)]
pub struct Robot {
    /// Its address.
    pub addr: SocketAddr,
    /// Trusts its certificate.
    pub tls: TlsConnector,
}

/// One kind of client. However it behaves, the robot shall be as before when it has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// Sends poses on its socket, and leaves without a word.
    Driver,
    /// Sends poses over the pose channel.
    ChannelDriver,
    /// Watches all cameras; says goodbye or not.
    Viewer,
    /// Asks for offers and never answers them.
    Undecided,
    /// Opens a socket and reads nothing from it.
    Deaf,
    /// Gets no further than TCP, or than TLS, or into the middle of a request.
    HalfOpen,
    /// Sends what nobody understands, on `/ws` and below it.
    Garbage,
    /// Asks for pages that are there and that are not.
    Reader,
}

impl Visit {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Driver,
        Self::ChannelDriver,
        Self::Viewer,
        Self::Undecided,
        Self::Deaf,
        Self::HalfOpen,
        Self::Garbage,
        Self::Reader,
    ];

    /// How long such a client stays at most; half-dead ones stay for longer than they are waited for.
    pub fn longest_stay(self) -> Duration {
        Duration::from_secs(match self {
            Self::Deaf | Self::HalfOpen => 30,
            Self::Garbage | Self::Reader => 2,
            _ => 8,
        })
    }

    /// Comes, stays for so long, and leaves.
    ///
    /// # Errors
    /// If the robot does not do what this client may expect.
    pub async fn pay(self, robot: &Robot, stay: Duration, chance: Rng) -> Result<()> {
        match self {
            Self::Driver => drive(robot, stay).await,
            Self::ChannelDriver => drive_by_channel(robot, stay, chance).await,
            Self::Viewer => watch(robot, stay, chance).await,
            Self::Undecided => hesitate(robot, stay).await,
            Self::Deaf => {
                let _deaf = Client::connect(robot.addr, &robot.tls, "/ws").await?;
                sleep(stay).await;
                Ok(())
            }
            Self::HalfOpen => half_open(robot, stay, chance).await,
            Self::Garbage => rave(robot, stay, chance).await,
            Self::Reader => read(robot, chance).await,
        }
    }
}

/// What poses travel by.
enum Path<'a> {
    Socket(&'a mut Client),
    Channel(&'a PoseChannel),
}

/// Poses until the time is over; grips are squeezed now and then.
async fn send_poses(mut path: Path<'_>, stay: Duration) -> Result<()> {
    let mut operator = Operator::default();
    let mut frames = interval(FRAME);
    let sending = async {
        for number in 0_u64.. {
            frames.tick().await;
            let frame = operator.squeeze(number / 90 % 2 == 1).capture();
            match &mut path {
                Path::Socket(client) => client.send_frame(frame).await?,
                Path::Channel(channel) => channel.send_frame(frame).await?,
            }
        }
        Ok(())
    };
    timeout(stay, sending).await.unwrap_or(Ok(()))
}

async fn drive(robot: &Robot, stay: Duration) -> Result<()> {
    let mut client = Client::connect(robot.addr, &robot.tls, "/ws").await?;
    send_poses(Path::Socket(&mut client), stay).await
}

async fn drive_by_channel(robot: &Robot, stay: Duration, mut chance: Rng) -> Result<()> {
    let mut client = Client::connect(robot.addr, &robot.tls, "/ws").await?;
    let mut peer = Peer::poses(&mut client, HERE).await?;
    let channel = peer.channel().await?;
    send_poses(Path::Channel(&channel), stay).await?;
    leave(peer, &mut chance).await
}

async fn leave(peer: Peer, chance: &mut Rng) -> Result<()> {
    if chance.bool() {
        peer.close().await?;
    }
    Ok(())
}

async fn watch(robot: &Robot, stay: Duration, mut chance: Rng) -> Result<()> {
    let mut client = Client::connect(robot.addr, &robot.tls, "/ws").await?;
    let mut peer = Peer::video(&mut client, HERE).await?;
    let mut camera = peer.camera().await?;
    camera.skip().await?;
    let watching: Result<Result<()>, _> = timeout(stay, async {
        loop {
            tokio::select! {
                packet = camera.skip() => drop(packet?),
                message = client.next() => drop(message?),
            }
        }
    })
    .await;
    watching.unwrap_or(Ok(()))?;
    leave(peer, &mut chance).await
}

async fn hesitate(robot: &Robot, stay: Duration) -> Result<()> {
    let mut client = Client::connect(robot.addr, &robot.tls, "/ws").await?;
    for kind in ["webrtc", "control"] {
        client.send(format!(r#"{{"type":"{kind}-request"}}"#)).await?;
        client.receive_type(&format!("{kind}-offer")).await?;
    }
    sleep(stay).await;
    Ok(())
}

async fn half_open(robot: &Robot, stay: Duration, mut chance: Rng) -> Result<()> {
    match chance.u8(..3) {
        0 => {
            let _nothing_said = TcpStream::connect(robot.addr).await?;
            sleep(stay).await;
        }
        1 => {
            let mut cut_short = TcpStream::connect(robot.addr).await?;
            // The beginning of a handshake.
            cut_short.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await?;
            sleep(stay).await;
        }
        _ => {
            let mut cut_short = connect_tls(robot.addr, &robot.tls).await?;
            cut_short.write_all(b"GET /ws HTTP/1.1\r\nHost: local").await?;
            sleep(stay).await;
        }
    }
    Ok(())
}

async fn rave(robot: &Robot, stay: Duration, mut chance: Rng) -> Result<()> {
    let mut noise = vec![0; chance.usize(1..20_000)];
    chance.fill(&mut noise);
    let mut client = match chance.u8(..3) {
        0 => {
            // The server may hang up at any byte.
            let _ = TcpStream::connect(robot.addr).await?.write_all(&noise).await;
            return Ok(());
        }
        1 => {
            let _ = connect_tls(robot.addr, &robot.tls).await?.write_all(&noise).await;
            return Ok(());
        }
        _ => Client::connect(robot.addr, &robot.tls, "/ws").await?,
    };
    let texts = [
        String::from_utf8_lossy(&noise).into_owned(),
        "[".repeat(noise.len()),
        r#"{"type":"webrtc-answer","sdp":"v=0"}"#.to_owned(),
        r#"{"type":"control-answer"}"#.to_owned(),
        r#"{"type":"hello","v":-1,"stream":[]}"#.to_owned(),
    ];
    for text in texts {
        client.send(text).await?;
    }
    client.send_binary(noise).await?;
    let replies = client.receive_all().await.context("garbage must not cost the socket")?;
    anyhow::ensure!(replies.iter().all(|reply| reply["type"] == "tracking"), "an answer to garbage: {replies:?}");
    sleep(stay).await;
    if chance.bool() {
        // Larger than any message may be: the server closes.
        let _ = client.closed_while_sending("x".repeat(2 << 20)).await;
    }
    Ok(())
}

async fn read(robot: &Robot, mut chance: Rng) -> Result<()> {
    let paths = ["/", "/metrics", "/healthz", "/__accept", "/no/such/page", "/../../etc/passwd"];
    for _ in 0..chance.u8(1..10) {
        let mut stream = connect_tls(robot.addr, &robot.tls).await?;
        let path = paths[chance.usize(..paths.len())];
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        anyhow::ensure!(answer.starts_with(b"HTTP/1.1 "), "no answer to {path}");
    }
    Ok(())
}
