//! Offers, refused answers and stops over the pose channel, on a running server.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tempfile::{NamedTempFile, TempDir};
use waldo_protocol::vr::IceServer;
use waldo_server::clock::now;
use waldo_server::config::Settings;
use waldo_server::control::Arbiter;
use waldo_server::sensors::RgbImage;
use waldo_server::video::VideoSource;
use waldo_server::vr::VrServer;
use waldo_tests::client::{Client, Operator, PATIENCE, trusting};
use waldo_tests::peer::Peer;
use waldo_tests::robot::local;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A running server with one camera and an arm consumer that has no robot.
struct Stage {
    server: VrServer,
    arbiter: Arc<Mutex<Arbiter>>,
    _data: TempDir,
}

impl Stage {
    async fn open(ice_servers: Vec<IceServer>) -> Result<Self> {
        let data = TempDir::new()?;
        let server = VrServer::new(Settings { ice_servers, ..local(data.path()) });
        let arbiter = server.attach_control();
        arbiter.lock().expect("unharmed").set_robot_hold(now(), None, &mut Vec::new());
        let red = || RgbImage::new(64, 48, [255, 0, 0].repeat(64 * 48)).ok();
        server.set_video_sources(Some(vec![("camera".into(), VideoSource::Callable(Box::new(red)))]));
        server.start().await?;
        Ok(Self { server, arbiter, _data: data })
    }

    async fn client(&self) -> Result<Client> {
        let tls = trusting(self.server.certificate().context("a running server")?)?;
        Client::connect(self.server.addr().context("a running server")?, &tls, "/ws").await
    }

    fn stopped(&self) -> bool {
        self.arbiter.lock().expect("unharmed").stopped()
    }
}

async fn until(what: &str, done: impl Fn() -> bool) -> Result<()> {
    let begin = Instant::now();
    while !done() {
        if begin.elapsed() > PATIENCE {
            bail!("waited in vain for {what}");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_comes_by_the_pose_channel_too_but_only_when_agreed_on() -> Result<()> {
    let stage = Stage::open(Vec::new()).await?;
    for (caps, stops) in [(vec!["hold"], false), (vec!["stop"], true)] {
        let mut client = stage.client().await?;
        let hello = json!({"type": "hello", "v": 1, "client": "t/1", "stream": "page", "role": "driver", "caps": caps});
        client.send(hello.to_string()).await?;
        client.receive_type("hello").await?;
        let mut peer = Peer::poses(&mut client, HERE).await?;
        let channel = peer.channel().await?;
        channel.send(&json!({"type": "stop", "n": 1}).to_string()).await?;
        if stops {
            until("the stop", || stage.stopped()).await?;
            // A late copy on the other path is not another stop.
            let clear = json!({"type": "stop", "n": 2, "clear": true});
            client.send(clear.to_string()).await?;
            client.send(json!({"type": "stop", "n": 1}).to_string()).await?;
            client.receive_all().await?;
        } else {
            // Poses come on the same way, after it.
            let mut pose = String::new();
            Operator::default().capture().encode(&mut pose);
            channel.send(&pose).await?;
            until("the pose", || stage.server.frame().is_some()).await?;
        }
        assert!(!stage.stopped());
        drop(client);
        until("the end of the stream", || stage.server.frame().is_none() && !stage.server.connected()).await?;
    }
    stage.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_codec_of_ours_is_told_that_there_is_no_video_and_so_is_the_log() -> Result<()> {
    let log = NamedTempFile::new()?;
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(log.reopen()?).finish();
    tracing::subscriber::set_global_default(lines).context("the only test of this program that logs")?;
    let stage = Stage::open(Vec::new()).await?;
    let mut client = stage.client().await?;
    // The answer of a browser that has none of the codecs: it refuses the section.
    let answer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=inactive\r\n";
    for _ in 0..2 {
        client.send(json!({"type": "webrtc-request"}).to_string()).await?;
        client.receive_type("webrtc-offer").await?;
        client.send(json!({"type": "webrtc-answer", "sdp": answer}).to_string()).await?;
        client.receive_type("webrtc-unavailable").await?;
    }
    let said = std::fs::read_to_string(log.path())?;
    let lines: Vec<_> = said.lines().filter(|line| line.contains("no video for this client")).collect();
    assert!(lines.len() == 1 && lines[0].contains("H264"), "once, however often it asks: {said}");
    stage.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_of_offer_name_the_relays_of_the_settings() -> Result<()> {
    let text = |text: &str| Some(text.to_owned());
    let stun = IceServer { urls: vec!["stun:127.0.0.1:9".into()], username: None, credential: None };
    let turn = IceServer { urls: vec!["turn:127.0.0.1:9".into()], username: text("n"), credential: text("p") };
    let stage = Stage::open(vec![stun, turn]).await?;
    let mut client = stage.client().await?;
    let expected = json!([
        {"urls": ["stun:127.0.0.1:9"]},
        {"urls": ["turn:127.0.0.1:9"], "username": "n", "credential": "p"},
    ]);
    // Both at once: gathering waits for servers that do not answer.
    for kind in ["webrtc", "control"] {
        client.send(json!({"type": format!("{kind}-request")}).to_string()).await?;
    }
    let mut offers = BTreeMap::new();
    while offers.len() < 2 {
        let message = client.receive().await?;
        if let Some(kind) = message["type"].as_str().and_then(|kind| kind.strip_suffix("-offer")) {
            offers.insert(kind.to_owned(), message["iceServers"].clone());
        }
    }
    assert_eq!((&offers["webrtc"], &offers["control"]), (&expected, &expected));
    stage.server.stop().await;
    Ok(())
}
