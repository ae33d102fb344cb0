//! The robot's sensors over https, as a person with curl sees them.
#![allow(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use waldo_protocol::policy::Dtype;
use waldo_server::config::Settings;
use waldo_server::sensors::{CameraConfig, CameraFrame, ProprioConfig, RgbImage, SensorHub};
use waldo_server::tls::Names;
use waldo_server::vr::VrServer;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

/// Far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

struct Robot {
    server: VrServer,
    hub: SensorHub,
    _data: TempDir,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Width and height, and the pixels.
    fn picture(&self) -> ((usize, usize), Vec<u8>) {
        assert_eq!(self.status, 200, "{}", self.text());
        assert!(self.head.contains("content-type: image/jpeg"), "{}", self.head);
        let mut decoder = JpegDecoder::new(ZCursor::new(&self.body));
        let pixels = decoder.decode().unwrap();
        (decoder.dimensions().unwrap(), pixels)
    }
}

impl Robot {
    async fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into()).await
    }

    async fn start_at(bind: IpAddr) -> Self {
        let (data, hub) = (TempDir::new().unwrap(), SensorHub::default());
        let settings = Settings { bind, port: 0, mdns: false, data_dir: data.path().to_owned(), ..Settings::default() };
        let server = VrServer::new(settings);
        server.set_sensors(Some(hub.clone()));
        server.start().await.unwrap();
        Self { server, hub, _data: data }
    }

    /// The answer to a GET on a connection of its own.
    async fn get(&self, path: &str) -> Answer {
        let addr = self.server.addr().unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.server.certificate().unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
        let name = ServerName::from(addr.ip());
        let mut stream = tls.connect(name, TcpStream::connect(addr).await.unwrap()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer in time").unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: answer[end + 4..].to_vec() }
    }

    /// Declares a camera with one picture of this colour.
    fn show(&self, config: CameraConfig, colour: [u8; 3]) {
        let name = config.name.clone();
        let pixels = colour[..config.channels as usize].repeat((config.height * config.width) as usize);
        self.hub.declare_camera(config).unwrap();
        self.hub.update_image(&name, &pixels).unwrap();
    }
}

#[tokio::test]
async fn cameras_are_described_with_rate_age_and_matrices() {
    let robot = Robot::start().await;
    assert_eq!(robot.get("/api/cameras").await.json(), json!({ "cameras": [] }));
    let mut k = [0.0; 9];
    k[2] = 319.5;
    robot.show(CameraConfig { has_depth: true, intrinsics: k, ..CameraConfig::new("wrist", 4, 6) }, [1, 2, 3]);
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        robot.hub.update_image("wrist", &[0u8; 72]).unwrap();
    }
    let _resting = robot.hub.add_camera("resting");
    let answer = robot.get("/api/cameras").await;
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    let seen = answer.json();
    let wrist = &seen["cameras"][0];
    for (key, value) in [
        ("name", json!("wrist")),
        ("height", json!(4)),
        ("width", json!(6)),
        ("channels", json!(3)),
        ("dtype", json!("uint8")),
        ("n", json!(5)),
        ("has_depth", json!(true)),
        ("intrinsics", json!(k)),
        ("dropped", json!(0)),
    ] {
        assert_eq!(wrist[key], value, "{key}");
    }
    assert_eq!(wrist["extrinsics"].as_array().unwrap().len(), 16);
    assert!((1.0..=50.0).contains(&wrist["fps"].as_f64().unwrap()), "{wrist}");
    assert!((0.0..10_000.0).contains(&wrist["age_ms"].as_f64().unwrap()), "{wrist}");
    let resting = &seen["cameras"][1];
    assert_eq!((&resting["name"], &resting["n"], &resting["age_ms"]), (&json!("resting"), &json!(0), &json!(null)));
    robot.server.stop().await;
}

#[tokio::test]
async fn readings_of_joints_have_names_values_and_ages() {
    let robot = Robot::start().await;
    robot.hub.declare_proprio(ProprioConfig::new("joints", 2)).unwrap();
    assert_eq!(robot.get("/api/proprio").await.json()["proprios"][0]["age_ms"], json!(null));
    robot.hub.update_proprio("joints", &[0.5f32, f32::NAN]).unwrap();
    let seen = robot.get("/api/proprio").await.json();
    let joints = &seen["proprios"][0];
    assert_eq!((&joints["name"], &joints["n"]), (&json!("joints"), &json!(1)));
    assert_eq!(joints["values"], json!([0.5, null]), "JSON has no word for what is no number");
    assert!(joints["age_ms"].as_f64().unwrap() >= 0.0);
    robot.server.stop().await;
}

#[tokio::test]
async fn the_newest_picture_is_a_jpeg_as_wide_as_asked() {
    let robot = Robot::start().await;
    robot.show(CameraConfig::new("arm/left cam", 48, 64), [200, 100, 50]);
    robot.show(CameraConfig { channels: 1, ..CameraConfig::new("grey", 5, 7) }, [0; 3]);
    assert_eq!(robot.get("/api/cameras/grey.jpg").await.picture().0, (7, 5));
    let (size, pixels) = robot.get("/api/cameras/arm%2Fleft%20cam.jpg").await.picture();
    assert_eq!(size, (64, 48));
    let near = |pixel: &[u8]| pixel.iter().zip([200u8, 100, 50]).all(|(is, should)| is.abs_diff(should) < 8);
    assert!(pixels.chunks(3).all(near), "{:?}", &pixels[..3]);
    assert_eq!(robot.get("/api/cameras/arm%2Fleft%20cam.jpg?width=32").await.picture().0, (32, 24));
    assert_eq!(robot.get("/api/cameras/arm%2Fleft%20cam.jpg?a=b&width=9999").await.picture().0, (64, 48), "not larger");
    for width in ["0", "-1", "x", ""] {
        let answer = robot.get(&format!("/api/cameras/arm%2Fleft%20cam.jpg?width={width}")).await;
        assert_eq!(answer.status, 400, "{width}");
    }
    robot.server.stop().await;
}

#[tokio::test]
async fn a_camera_that_rests_is_woken_for_its_picture() {
    let robot = Robot::start().await;
    let writer = robot.hub.add_camera("drawn");
    let drawing = tokio::spawn(async move {
        while !writer.watched() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let image = RgbImage::new(8, 6, vec![9; 144]).unwrap();
        let captured = waldo_server::clock::now();
        writer.publish(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured });
        writer
    });
    assert_eq!(robot.get("/api/cameras/drawn.jpg").await.picture().0, (8, 6));
    let writer = drawing.await.unwrap();
    timeout(PATIENCE, async {
        while writer.watched() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it may rest again");
    robot.server.stop().await;
}

#[tokio::test]
async fn whoever_gets_no_picture_is_told_why() {
    let robot = Robot::start().await;
    let answer = robot.get("/api/cameras/head.jpg").await;
    assert_eq!((answer.status, answer.text()), (404, "There is no head.jpg here. There is: no pictures.\n"));
    robot.show(CameraConfig::new("failed", 2, 2), [0; 3]);
    robot.hub.update_failed("failed").unwrap();
    let deep = CameraConfig { image_dtype: Dtype::Uint16, ..CameraConfig::new("deep", 2, 2) };
    robot.hub.declare_camera(deep).unwrap();
    robot.hub.update_image("deep", &[0u16; 12]).unwrap();
    let _silent = robot.hub.add_camera("silent");
    drop(robot.hub.add_camera("ended"));
    for path in ["head.jpg", "failed", "failed.png", ".jpg"] {
        let answer = robot.get(&format!("/api/cameras/{path}")).await;
        let there = "There is: failed.jpg, deep.jpg, silent.jpg, ended.jpg.";
        assert!(answer.status == 404 && answer.text().contains(there), "{path}: {}", answer.text());
    }
    for (name, why) in [
        ("failed", "the camera failed"),
        ("deep", "uint16"),
        ("silent", "within 2 s: the camera is silent"),
        ("ended", "the camera has ended"),
    ] {
        let answer = robot.get(&format!("/api/cameras/{name}.jpg")).await;
        assert_eq!(answer.status, 503, "{name}");
        assert!(
            answer.text().contains(&format!("No picture of {name}")) && answer.text().contains(why),
            "{name}: {}",
            answer.text()
        );
        assert!(answer.head.contains("retry-after: 2"), "{}", answer.head);
    }
    robot.server.stop().await;
}

#[tokio::test]
async fn many_who_ask_at_once_are_all_served() {
    let robot = Robot::start().await;
    robot.show(CameraConfig::new("c", 48, 64), [1, 2, 3]);
    let answers = (0..16).map(|_| robot.get("/api/cameras/c.jpg"));
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer.picture().0, (64, 48));
    }
    robot.server.stop().await;
}

#[tokio::test]
async fn strangers_need_the_token_and_without_a_hub_there_is_nothing() {
    let Some(ip) = Names::of_this_machine().addresses().find(|ip| ip.is_ipv4()) else { return };
    let robot = Robot::start_at(ip).await;
    robot.show(CameraConfig::new("c", 2, 2), [1, 2, 3]);
    let access = robot.server.access().unwrap();
    let token = access.token().unwrap();
    for path in ["/api/cameras", "/api/cameras/c.jpg", "/api/proprio"] {
        assert_eq!(robot.get(path).await.status, 401, "{path}");
        assert_eq!(robot.get(&format!("{path}?token={token}")).await.status, 200, "{path}");
    }
    robot.server.stop().await;
    robot.server.set_sensors(None);
    robot.server.start().await.unwrap();
    assert_eq!(robot.get(&format!("/api/cameras?token={token}")).await.status, 404);
    robot.server.stop().await;
}
