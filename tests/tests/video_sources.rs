//! Cameras that come, change and go while somebody watches, as a client's socket sees it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use waldo_server::config::{CameraSettings, Settings, Stereo};
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::sensors::{Camera, RgbImage, camera};
use waldo_server::serve::Waldo;
use waldo_server::video::VideoSource;
use waldo_server::vr::VrServer;
use waldo_tests::client::{Client, trusting};
use waldo_tests::peer::{Peer, RemoteCamera};
use waldo_tests::robot::local;

struct Bench {
    server: VrServer,
    client: Client,
    _data: TempDir,
}

async fn serving(sources: Option<Vec<(String, VideoSource)>>) -> Result<Bench> {
    let data = TempDir::new()?;
    let server = VrServer::new(local(data.path()));
    server.set_video_sources(sources);
    server.start().await?;
    let client = Client::connect(server.addr().context("a running server")?, &tls(&server)?, "/ws").await?;
    Ok(Bench { server, client, _data: data })
}

/// What trusts this server.
fn tls(server: &VrServer) -> Result<TlsConnector> {
    trusting(server.certificate().context("a running server")?)
}

fn red() -> VideoSource {
    VideoSource::Callable(Box::new(|| RgbImage::new(64, 48, [255, 0, 0].repeat(64 * 48)).ok()))
}

fn shown(cameras: &[&Camera]) -> Option<Vec<(String, VideoSource)>> {
    Some(cameras.iter().map(|&c| (c.name().to_owned(), VideoSource::Camera(c.clone()))).collect())
}

const REQUEST: &str = r#"{"type":"webrtc-request"}"#;

/// The cameras of the next offer, by mid.
async fn offered(client: &mut Client) -> Result<Value> {
    Ok(client.receive_type("webrtc-offer").await?["tracks"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_is_offered_a_new_camera_at_once() -> Result<()> {
    let Bench { server, mut client, _data } = serving(Some(vec![("a".into(), red())])).await?;
    client.send(REQUEST).await?;
    assert_eq!(offered(&mut client).await?, json!({"0": "a"}));
    server.add_video_source("b", red());
    assert_eq!(offered(&mut client).await?, json!({"0": "a", "1": "b"}));
    server.remove_video_source("a");
    assert_eq!(offered(&mut client).await?, json!({"0": "b"}));
    server.add_video_source("b", red());
    assert_eq!(offered(&mut client).await?, json!({"0": "b"}), "another camera of the same name");
    server.remove_video_source("b");
    assert!(client.receive_all().await?.is_empty(), "the end is seen in the connection");
    client.send(REQUEST).await?;
    assert_eq!(client.receive().await?["type"], "webrtc-unavailable");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_cameras_set_again_disturb_nobody() -> Result<()> {
    let ((_a_writer, a), (_b_writer, b)) = (camera("a"), camera("b"));
    let Bench { server, mut client, _data } = serving(shown(&[&a])).await?;
    client.send(REQUEST).await?;
    assert_eq!(offered(&mut client).await?, json!({"0": "a"}));
    server.set_video_sources(shown(&[&a]));
    server.set_video_expected(true);
    assert!(client.receive_all().await?.is_empty());
    server.set_video_sources(shown(&[&a, &b]));
    assert_eq!(offered(&mut client).await?, json!({"0": "a", "1": "b"}));
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_asked_for_cameras_is_offered_none() -> Result<()> {
    let Bench { server, mut client, _data } = serving(None).await?;
    server.add_video_source("a", red());
    server.add_video_source("b", red());
    assert!(client.receive_all().await?.is_empty());
    client.send(REQUEST).await?;
    assert_eq!(client.receive().await?["tracks"], json!({"0": "a", "1": "b"}), "the first word about cameras");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_pair_is_one_track_and_cameras_that_a_robot_adds_later_follow() -> Result<()> {
    let data = TempDir::new()?;
    let cameras = CameraSettings { stereo: Stereo::Packed, ..CameraSettings::default() };
    let robot = SimRobot::new(SimOptions { camera_size: (320, 240), ..SimOptions::default() });
    let waldo = Waldo::start(Settings { cameras, ..local(data.path()) }, Box::new(robot)).await?;
    let server = waldo.server();
    let mut client = Client::connect(server.addr().context("a running server")?, &tls(server)?, "/ws").await?;
    client.send(REQUEST).await?;
    assert_eq!(offered(&mut client).await?, json!({"0": "overhead_sbs", "1": "left_arm", "2": "right_arm"}));
    let _writer = waldo.hub().add_camera("tool");
    let all = json!({"0": "overhead_sbs", "1": "left_arm", "2": "right_arm", "3": "tool"});
    assert_eq!(offered(&mut client).await?, all);
    waldo.stop().await;
    Ok(())
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn sized(width: u32, height: u32) -> VideoSource {
    VideoSource::Callable(Box::new(move || plain(width, height, [255, 0, 0])))
}

fn plain(width: u32, height: u32, rgb: [u8; 3]) -> Option<RgbImage> {
    RgbImage::new(width, height, rgb.repeat((width * height) as usize)).ok()
}

/// Red and blue as they are sent: brightness, blue and red difference (BT.601, limited range).
const RED: [u8; 3] = [81, 90, 240];
const BLUE: [u8; 3] = [41, 240, 110];

/// So many cameras of a connection, by the width of their first pictures.
async fn by_width(peer: &mut Peer, count: usize) -> Result<BTreeMap<usize, RemoteCamera>> {
    let mut cameras = BTreeMap::new();
    for _ in 0..count {
        let mut camera = peer.camera().await?;
        cameras.insert(camera.picture().await?.width, camera);
    }
    Ok(cameras)
}

/// Looks at some pictures of a camera, none of which may have another colour; the width of the last one.
async fn watch(camera: &mut RemoteCamera, pictures: usize, colour: [u8; 3]) -> Result<usize> {
    let mut width = 0;
    for _ in 0..pictures {
        let seen = camera.picture().await?;
        assert!(seen.middle.iter().zip(colour).all(|(s, e)| s.abs_diff(e) < 16), "{seen:?}, not {colour:?}");
        width = seen.width;
    }
    Ok(width)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_joins_is_seen_beside_the_one_that_goes_on() -> Result<()> {
    let Bench { server, mut client, _data } = serving(Some(vec![("a".into(), sized(64, 48))])).await?;
    let mut peer = Peer::video(&mut client, HERE).await?;
    let mut camera = peer.camera().await?;
    assert_eq!(camera.picture().await?.width, 64);
    server.add_video_source("b", sized(128, 96));
    let mut renewed = Peer::pushed_video(&mut client, HERE).await?;
    let (mut one, mut other) = (renewed.camera().await?, renewed.camera().await?);
    let mut widths = [one.picture().await?.width, other.picture().await?.width];
    widths.sort_unstable();
    assert_eq!(widths, [64, 128]);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_breaks_leaves_the_others_and_its_own_last_picture() -> Result<()> {
    let mut calls = 0;
    let broken = VideoSource::Callable(Box::new(move || {
        calls += 1;
        assert!(calls < 3, "expected in this test");
        RgbImage::new(128, 96, [0, 0, 255].repeat(128 * 96)).ok()
    }));
    let sources = vec![("fine".into(), sized(64, 48)), ("broken".into(), broken)];
    let Bench { server, mut client, _data } = serving(Some(sources)).await?;
    let mut peer = Peer::video(&mut client, HERE).await?;
    let (mut one, mut other) = (peer.camera().await?, peer.camera().await?);
    let mut widths = Vec::new();
    for _ in 0..4 {
        widths.push([one.picture().await?.width, other.picture().await?.width]);
    }
    widths.iter_mut().for_each(|pair| pair.sort_unstable());
    assert_eq!(widths, [[64, 128]; 4]);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cameras_that_stall_or_change_their_size_go_black_nowhere_and_leave_the_others() -> Result<()> {
    let (release, wait) = mpsc::sync_channel::<()>(0);
    let mut calls = 0;
    let stuck = VideoSource::Callable(Box::new(move || {
        calls += 1;
        if calls > 2 {
            let _ = wait.recv();
        }
        plain(128, 96, [0, 0, 255])
    }));
    let mut calls = 0;
    let growing = VideoSource::Callable(Box::new(move || {
        calls += 1;
        if calls < 40 { plain(96, 64, [0, 0, 255]) } else { plain(192, 128, [0, 0, 255]) }
    }));
    let sources = vec![("fine".into(), sized(64, 48)), ("stuck".into(), stuck), ("growing".into(), growing)];
    let Bench { server, mut client, _data } = serving(Some(sources)).await?;
    let mut peer = Peer::video(&mut client, HERE).await?;
    let mut cameras = by_width(&mut peer, 3).await?;
    let mut camera = |width| cameras.remove(&width).with_context(|| format!("no camera of {width}"));
    let (mut fine, mut stuck, mut growing) = (camera(64)?, camera(128)?, camera(96)?);
    let both = async { tokio::try_join!(watch(&mut fine, 60, RED), watch(&mut stuck, 4, BLUE)) };
    let grown = async {
        while watch(&mut growing, 1, BLUE).await? != 192 {}
        Ok(())
    };
    let ((fine_width, stuck_width), ()) = tokio::try_join!(both, grown)?;
    assert_eq!([fine_width, stuck_width, watch(&mut growing, 10, BLUE).await?], [64, 128, 192]);
    // Somebody new sees the last picture of the one that is stuck.
    let mut other = Client::connect(server.addr().context("it runs")?, &tls(&server)?, "/ws").await?;
    let mut late = by_width(&mut Peer::video(&mut other, HERE).await?, 3).await?;
    watch(late.get_mut(&128).context("the stuck camera")?, 1, BLUE).await?;
    drop(release);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_is_taken_away_leaves_the_others() -> Result<()> {
    let sources = vec![("a".into(), sized(64, 48)), ("b".into(), sized(128, 96))];
    let Bench { server, mut client, _data } = serving(Some(sources)).await?;
    let mut peer = Peer::video(&mut client, HERE).await?;
    by_width(&mut peer, 2).await?;
    server.remove_video_source("b");
    // The new offer takes the place of the old connection.
    let mut renewed = Peer::pushed_video(&mut client, HERE).await?;
    assert_eq!(watch(&mut renewed.camera().await?, 10, RED).await?, 64);
    server.stop().await;
    Ok(())
}
