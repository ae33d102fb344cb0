//! Where media goes: ports, TCP, STUN and TURN servers.

use std::ops::RangeInclusive;

use waldo_protocol::vr::IceServer;
use waldo_server::rtc::{Network, PosePeer, VideoPeer, Viewer};

use super::client::{Client, in_time};
use super::{RED, assert_close, feed};

/// Ports that the system gives to nobody by itself, apart for each test.
const WIDE: RangeInclusive<u16> = 21_000..=21_040;
const NARROW: RangeInclusive<u16> = 21_050..=21_051;

/// Transport and port of each candidate.
fn candidates(sdp: &str) -> Vec<(&str, u16)> {
    let fields = sdp.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    let read = |candidate: &str| {
        let mut fields = candidate.split(' ').skip(2);
        let transport = if fields.next() == Some("tcp") { "tcp" } else { "udp" };
        (transport, fields.nth(2).unwrap().parse().unwrap())
    };
    fields.map(read).collect::<Vec<(&str, u16)>>()
}

#[tokio::test]
async fn all_media_stays_inside_of_the_configured_ports() {
    let network = Network::new(Some(WIDE), Vec::new());
    let feeds = [feed("c", (64, 48), RED)];
    let (video, offer) = VideoPeer::offer(&network, &feeds, &Viewer::default()).await.unwrap();
    let (_poses, pose_sdp) = PosePeer::offer(&network, |_| {}).await.unwrap();
    for sdp in [&offer.sdp, &pose_sdp] {
        let candidates = candidates(sdp);
        assert!(candidates.iter().any(|(transport, _)| *transport == "udp"), "{sdp}");
        for (transport, port) in candidates {
            // An active TCP candidate calls from any port and says 9.
            assert!(WIDE.contains(&port) || (transport == "tcp" && port == 9), "{transport} {port}: {sdp}");
        }
    }
    let mut client = Client::connect(&video, &offer).await;
    assert_close(client.tracks(1).await.get_mut("0").unwrap().frame().await.middle, RED);
}

#[tokio::test]
async fn exhausted_ports_are_an_error_until_a_connection_closes() {
    let network = Network::new(Some(NARROW), Vec::new());
    let (first, _) = PosePeer::offer(&network, |_| {}).await.unwrap();
    let (_second, _) = PosePeer::offer(&network, |_| {}).await.unwrap();
    let error = PosePeer::offer(&network, |_| {}).await.err().unwrap().to_string();
    assert!(error.contains("21050 to 21051"), "{error}");
    first.close().await;
    in_time("the port is free again", async { while PosePeer::offer(&network, |_| {}).await.is_err() {} }).await;
}

#[tokio::test]
async fn where_udp_is_shut_pictures_come_over_tcp() {
    let feeds = [feed("c", (64, 48), RED)];
    let (peer, offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
    let (mut client, answer) = Client::without_udp(&offer.sdp).await;
    peer.answer(answer).await.unwrap();
    let track = &mut client.tracks(1).await.remove("0").unwrap();
    for _ in 0..5 {
        assert_close(track.frame().await.middle, RED);
    }
}

#[tokio::test]
async fn a_relay_that_does_not_answer_delays_an_offer_but_does_not_prevent_it() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = IceServer {
        urls: vec![format!("turn:{}", silent.local_addr().unwrap())],
        username: Some("name".to_owned()),
        credential: Some("password".to_owned()),
    };
    let feeds = [feed("c", (64, 48), RED)];
    let (peer, offer) = VideoPeer::offer(&Network::new(None, vec![server]), &feeds, &Viewer::default()).await.unwrap();
    let mut client = Client::connect(&peer, &offer).await;
    assert_close(client.tracks(1).await.get_mut("0").unwrap().frame().await.middle, RED);
}
