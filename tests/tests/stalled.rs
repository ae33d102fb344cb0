//! Connections that were answered and do not come to stand, because the network lost what it must not lose.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use waldo_tests::client::{Client, Operator};
use waldo_tests::peer::Peer;
use waldo_tests::robot::Robotics;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The only way between a client and the robot for one connection. It carries connectivity checks and loses every packet of the
/// DTLS handshake.
struct Lossy {
    /// Where the client finds the robot.
    address: SocketAddr,
    lost: Arc<AtomicUsize>,
    carrying: JoinHandle<()>,
}

impl Lossy {
    async fn to(robot: SocketAddr) -> Result<Self> {
        let (near, far) = (UdpSocket::bind((HERE, 0)).await?, UdpSocket::bind((HERE, 0)).await?);
        near.connect(robot).await?;
        let (address, lost) = (far.local_addr()?, Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&lost);
        let carrying = tokio::spawn(async move {
            let (mut up, mut down) = ([0; 2048], [0; 2048]);
            let mut client = None;
            loop {
                let (packet, to_robot) = tokio::select! {
                    Ok((size, from)) = far.recv_from(&mut up) => {
                        client = Some(from);
                        (&up[..size], true)
                    }
                    Ok(size) = near.recv(&mut down) => (&down[..size], false),
                    else => return,
                };
                // As RFC 7983 tells them apart.
                if matches!(packet, [20..=63, ..]) {
                    count.fetch_add(1, Ordering::Relaxed);
                } else if to_robot {
                    let _ = near.send(packet).await;
                } else if let Some(client) = client {
                    let _ = far.send_to(packet, client).await;
                }
            }
        });
        Ok(Self { address, lost, carrying })
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

/// Where this line of a description says that UDP packets can be sent, on loopback.
fn local_udp(line: &str) -> Option<SocketAddr> {
    let fields: Vec<_> = line.strip_prefix("a=candidate:")?.split(' ').collect();
    let [_, _, transport, _, ip, port, ..] = fields[..] else { return None };
    let address = SocketAddr::new(ip.parse().ok()?, port.parse().ok()?);
    (transport.eq_ignore_ascii_case("udp") && address.ip() == HERE).then_some(address)
}

/// A description without candidates but perhaps this one.
fn with_only(candidate: Option<&str>, sdp: &str) -> String {
    let kept = sdp.lines().filter(|line| !line.starts_with("a=candidate:") || candidate == Some(line));
    kept.map(|line| format!("{line}\r\n")).collect()
}

/// Asks for an offer and answers it, so that the connection has no other way than a lossy one.
async fn answer_by_a_lossy_way(client: &mut Client, kind: &str) -> Result<(Peer, Lossy)> {
    client.send(json!({ "type": format!("{kind}-request") }).to_string()).await?;
    let offer = client.receive_type(&format!("{kind}-offer")).await?;
    let offer = offer["sdp"].as_str().context("an offer without SDP")?;
    let (candidate, robot) =
        offer.lines().find_map(|line| Some((line, local_udp(line)?))).context("no candidate on loopback")?;
    let lossy = Lossy::to(robot).await?;
    let offer = with_only(Some(candidate), offer)
        .replace(candidate, &candidate.replace(&format!(" {} ", robot.port()), &format!(" {} ", lossy.address.port())));
    let (peer, answer) = Peer::answer(&offer, HERE).await?;
    // The robot must not find a way around.
    let answer = json!({ "type": format!("{kind}-answer"), "sdp": with_only(None, &answer) });
    client.send(answer.to_string()).await?;
    Ok((peer, lossy))
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_come_with_a_second_offer_if_the_handshake_of_the_first_was_lost() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut client = robot.client().await?;
    let (first, lossy) = answer_by_a_lossy_way(&mut client, "webrtc").await?;
    // Not asked for.
    let mut second = Peer::pushed_video(&mut client, HERE).await?;
    assert!(lossy.lost.load(Ordering::Relaxed) > 0, "the first connection got as far as its handshake");
    second.camera().await?.picture().await?;
    drop(first);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn poses_go_through_a_second_channel_if_the_handshake_of_the_first_was_lost() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut client = robot.client().await?;
    let (first, lossy) = answer_by_a_lossy_way(&mut client, "control").await?;
    let mut second = Peer::pushed_poses(&mut client, HERE).await?;
    assert!(lossy.lost.load(Ordering::Relaxed) > 0, "the first connection got as far as its handshake");
    second.channel().await?.send_frame(Operator::default().capture()).await?;
    robot.until("the frame", |robot| robot.waldo.server().frame().is_some()).await?;
    drop(first);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_connections_never_stand_gets_six_offers_and_more_only_if_it_asks() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut client = robot.client().await?;
    client.send(r#"{"type":"webrtc-request"}"#).await?;
    for offers in 1..=6 {
        let offer = client.receive_type("webrtc-offer").await.with_context(|| format!("offer {offers}"))?;
        let (gone, answer) = Peer::answer(offer["sdp"].as_str().context("an offer without SDP")?, HERE).await?;
        gone.close().await?;
        client.send(json!({ "type": "webrtc-answer", "sdp": answer }).to_string()).await?;
    }
    // Longer than it takes until the last one is given up.
    let more = timeout(Duration::from_secs(5), client.receive_type("webrtc-offer")).await;
    assert!(more.is_err(), "nobody asked for it");
    client.send(r#"{"type":"webrtc-request"}"#).await?;
    client.receive_type("webrtc-offer").await?;
    Ok(())
}
