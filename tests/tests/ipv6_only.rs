//! A robot without IPv4. Alone in this program: all robots of a process share one namespace.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::time::timeout;
use waldo_server::config::Settings;
use waldo_tests::client::{Client, Operator, PATIENCE};
use waldo_tests::network::{Namespace, Wire, permitted, robot};
use waldo_tests::peer::Peer;
use waldo_tests::robot::{Robotics, reachable};

/// Unique local addresses.
const ROBOT: &str = "fd78:6:6::1";
const HEADSET: &str = "fd78:6:6::2";

#[tokio::test(flavor = "multi_thread")]
async fn pictures_and_poses_go_over_ipv6_alone() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let headset = Namespace::new()?;
    let _wire = Wire::lay([(robot()?, &format!("{ROBOT}/64")), (&headset, &format!("{HEADSET}/64"))])?;
    let (near, far) = (robot()?.runtime()?, headset.runtime()?);
    let settings = |data: &_| Settings { bind: Ipv6Addr::UNSPECIFIED.into(), ..reachable(data) };
    let waldo = near.run(Robotics::start(settings)).await?;
    let (addr, tls) = (SocketAddr::new(ROBOT.parse()?, waldo.addr.port()), waldo.tls.clone());
    let headset: IpAddr = HEADSET.parse()?;
    let (_client, _video, _poses) = far
        .run(async move {
            let mut client = Client::connect(addr, &tls, "/ws").await?;
            client.send(json!({ "type": "webrtc-request" }).to_string()).await?;
            let offer = client.receive_type("webrtc-offer").await?;
            let offered = addresses(offer["sdp"].as_str().context("an offer without SDP")?);
            assert!(offered.contains(&addr.ip()), "{offered:?}");
            let others = offered.iter().filter(|ip| **ip != addr.ip() && **ip != Ipv4Addr::LOCALHOST);
            assert_eq!(others.count(), 0, "link-local addresses mean nothing elsewhere: {offered:?}");

            let mut video = Peer::video(&mut client, headset).await?;
            let mut camera = video.camera().await?;
            for _ in 0..10 {
                timeout(PATIENCE, camera.picture()).await.context("no picture in time")??;
            }
            let mut poses = Peer::poses(&mut client, headset).await?;
            poses.channel().await?.send_frame(Operator::default().capture()).await?;
            Ok((client, video, poses))
        })
        .await?;
    waldo.until("the frame", |robot| robot.waldo.server().frame().is_some()).await
}

/// The addresses of all candidates.
fn addresses(sdp: &str) -> Vec<IpAddr> {
    let candidates = sdp.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    candidates.filter_map(|candidate| candidate.split(' ').nth(4)?.parse().ok()).collect()
}
