//! The Python client with our service: what it sees is what the sensors were given.

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use waldo_protocol::policy::{self, AppMap, Outcome};
use waldo_protocol::time::MonoTime;
use waldo_server::policy::{
    ActionData, Observation, PolicyConfig, PolicyError, PolicyRobot, PolicyServer, StepResult, ZenohConfig,
};
use waldo_server::sensors::{Array, CameraConfig, ProprioConfig, SensorHub, Snapshot};
use waldo_tests::bench::listen;
use waldo_tests::client::PATIENCE;

use crate::driver::{Python, bytes};
use crate::report;

const INTRINSICS: [f64; 9] = [600.25, 0.0, 320.0, 0.0, 600.0, 239.5, 0.0, 0.0, 1.0];
const EXTRINSICS: [f64; 16] =
    [0.1, -1.0, 0.0, 0.3, 1.0, 1.0 / 3.0, -0.0, -0.2, 0.0, 0.0, 1.0, 1e-300, 0.0, 0.0, 0.0, 1.0];

/// Moves by being told so; every observation tells how often.
struct Counting {
    hub: SensorHub,
    moves: Mutex<u32>,
    applied: SyncSender<ActionData>,
}

fn map(entries: impl IntoIterator<Item = (&'static str, policy::Value)>) -> AppMap {
    let mut map = AppMap::default();
    entries.into_iter().for_each(|(key, value)| map.insert(key, value).unwrap());
    map
}

fn metadata() -> AppMap {
    let nested = policy::Value::Map(vec![("größe".into(), policy::Value::Array(vec![1.into(), (-2.5).into()]))]);
    map([
        ("action_shape", policy::Value::Array(vec![1.into(), 7.into()])),
        ("rate", 30.0.into()),
        ("ok", true.into()),
        ("none", policy::Value::Nil),
        ("blob", policy::Value::Binary(vec![0, 255])),
        ("large", u64::MAX.into()),
        ("small", i64::MIN.into()),
        ("nested", nested),
    ])
}

fn info() -> AppMap {
    map([("seed", 7.into()), ("task", "pick".into()), ("weight", 0.1.into())])
}

impl Counting {
    /// Its sensors, and how often it moved.
    fn see(&self) -> Observation {
        let moves = *self.moves.lock().unwrap();
        let extra = map([("moves", moves.into()), ("t", policy::Value::Array(vec![0.1.into(), 3.0.into()]))]);
        Observation { sensors: self.hub.snapshot(), timestamp: 0.05 * f64::from(moves), extra }
    }
}

impl PolicyRobot for Counting {
    fn metadata(&self) -> AppMap {
        metadata()
    }

    fn reset(&self) -> Result<(Observation, AppMap), PolicyError> {
        *self.moves.lock().unwrap() = 0;
        Ok((self.see(), info()))
    }

    fn apply_action(&self, action: &ActionData) -> Result<(), PolicyError> {
        *self.moves.lock().unwrap() += 1;
        self.applied.send(action.clone()).map_err(PolicyError::app)
    }

    fn on_stale(&self) {}

    fn step(&self, action: &ActionData) -> Option<Result<StepResult, PolicyError>> {
        let outcome = Outcome { reward: 1.0 / 3.0, terminated: true, truncated: false };
        let stepped = |()| StepResult { outcome, info: info(), ..self.see().into() };
        Some(self.apply_action(action).map(stepped))
    }

    fn observation(&self) -> Option<Result<Observation, PolicyError>> {
        Some(Ok(self.see()))
    }
}

/// A service with sensors that stand still.
struct Served {
    server: PolicyServer,
    zenoh: String,
    hub: SensorHub,
    applied: Receiver<ActionData>,
}

impl Served {
    fn start() -> Result<Self> {
        let hub = SensorHub::default();
        let camera = |name, channels, has_depth| CameraConfig { channels, has_depth, ..CameraConfig::new(name, 6, 8) };
        hub.declare_camera(camera("wrist_cam", 3, true))?;
        hub.declare_camera(camera("grey::cam", 1, false))?;
        hub.declare_camera(camera("not yet", 3, true))?;
        hub.declare_camera(camera("dead_cam", 3, false))?;
        hub.declare_proprio(ProprioConfig::new("left__joint_pos", 7))?;
        hub.declare_proprio(ProprioConfig::new("nothing", 0))?;
        let pixels: Vec<u8> = (0..6 * 8 * 3).map(|byte| byte * 7 + 1).map(|byte: u32| byte as u8).collect();
        let mut depth: Vec<f32> = (0..6 * 8).map(|pixel| pixel as f32 * 0.1).collect();
        depth[..3].copy_from_slice(&[f32::NAN, f32::INFINITY, -0.0]);
        let stamp = Some(MonoTime::from_nanos(1_250_000_001));
        hub.update_frame("wrist_cam", &pixels, Some((&depth).into()), Some(&INTRINSICS), Some(&EXTRINSICS), stamp)?;
        hub.update_image("grey::cam", &pixels[..48])?;
        hub.update_image("dead_cam", &pixels)?;
        hub.update_failed("dead_cam")?;
        hub.update_proprio("left__joint_pos", &[0.1_f32, -0.2, 3.0, f32::MIN_POSITIVE, f32::NAN, -0.0, 1e30])?;

        let (sender, applied) = sync_channel(64);
        let robot = Counting { hub: hub.clone(), moves: Mutex::default(), applied: sender };
        let zenoh = format!("tcp/{}", listen()?.1);
        let config = PolicyConfig {
            websocket: Some((Ipv4Addr::LOCALHOST, 0).into()),
            zenoh: Some(ZenohConfig { listen: vec![zenoh.clone()], ..ZenohConfig::default() }),
            ..PolicyConfig::default()
        };
        let server = PolicyServer::new(config, hub.clone(), robot);
        server.start()?;
        Ok(Self { server, zenoh, hub, applied })
    }

    fn client(&self, transport: Transport, arguments: Value) -> Result<Python> {
        let mut python = Python::start("check", &[])?;
        let mut connect = arguments;
        match transport {
            Transport::WebSocket => {
                let addr = self.server.addr().context("it listens")?;
                connect["uri"] = json!(format!("ws://{addr}/any/path?token=none"));
            }
            Transport::Zenoh => {
                connect["uri"] = json!(self.zenoh);
                connect["protocol"] = json!("zenoh");
            }
        }
        python.ask("connect", connect)?;
        Ok(python)
    }

    /// What a client must see after so many moves.
    fn expected(&self, moves: u32) -> Value {
        let extra = map([("moves", moves.into()), ("t", policy::Value::Array(vec![0.1.into(), 3.0.into()]))]);
        expected(&self.hub.snapshot(), 0.05 * f64::from(moves), &extra)
    }
}

#[derive(Clone, Copy, Debug)]
enum Transport {
    WebSocket,
    Zenoh,
}

/// Not by way of a frame: from what the hub has.
fn expected(snapshot: &Snapshot, timestamp: f64, extra: &AppMap) -> Value {
    let array = |array: &Array| json!({"shape": array.shape(), "dtype": array.dtype().name(), "hex": report::hex(array.bytes())});
    let camera = |camera: &waldo_server::sensors::CameraSnapshot| {
        json!({
            "name": &*camera.name,
            "timestamp": report::number(camera.stamp.map_or(0.0, |stamp| stamp.as_nanos() as f64 / 1e9)),
            "intrinsics": report::matrix(&camera.intrinsics, 3),
            "extrinsics": report::matrix(&camera.extrinsics, 4),
            "image": array(&camera.image),
            "depth": camera.depth.as_ref().map(array),
        })
    };
    let proprios: Map<_, _> = snapshot
        .proprios
        .iter()
        .map(|stream| {
            let shape = [stream.bytes.len() / 4];
            let array = json!({"shape": shape, "dtype": "float32", "hex": report::hex(&stream.bytes)});
            (stream.name.to_string(), array)
        })
        .collect();
    json!({
        "timestamp": report::number(timestamp),
        "cameras": snapshot.cameras.iter().map(camera).collect::<Vec<_>>(),
        "proprios": proprios,
        "extra": report::map(extra),
    })
}

/// As [`report`] writes arrays.
fn action(shape: &[usize], values: &[f32]) -> Value {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    json!({"array": {"shape": shape, "dtype": "float32", "hex": report::hex(&bytes)}})
}

fn assert_applied(applied: &ActionData, shape: &[usize], values: &[f32], stamp: Option<f64>) {
    assert_eq!((&applied.shape[..], &applied.values[..]), (shape, values));
    let stamps = &applied.obs_timestamps;
    assert_eq!(stamps.iter().find(|(name, _)| name == "wrist_cam").map(|(_, stamp)| *stamp), stamp);
}

/// All calls of a client of the decoupled generation.
fn decoupled(transport: Transport) -> Result<()> {
    let served = Served::start()?;
    let mut python = served.client(transport, json!({}))?;
    assert_eq!(python.ask("get_metadata", json!({}))?, report::map(&metadata()));

    let mut after_reset = served.expected(0);
    after_reset["info"] = report::map(&info());
    assert_eq!(python.ask("reset", json!({}))?, after_reset);
    assert_eq!(python.ask("get_obs", json!({}))?, served.expected(0));

    let values = [0.5, -1.25, 3.0e-30, 0.1, 7.0, -0.0, f32::MAX];
    for (number, shape) in [&[7][..], &[1, 7], &[7, 1, 1]].into_iter().enumerate() {
        python.ask("apply_action", action(shape, &values))?;
        let applied = served.applied.recv_timeout(PATIENCE)?;
        assert_applied(&applied, shape, &values, Some(1.250_000_001));
        assert_eq!(python.ask("get_obs", json!({}))?, served.expected(number as u32 + 1));
    }
    for (shape, values) in [(&[][..], &[2.5][..]), (&[0], &[]), (&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])] {
        python.ask("apply_action", action(shape, values))?;
        assert_applied(&served.applied.recv_timeout(PATIENCE)?, shape, values, Some(1.250_000_001));
    }
    Ok(())
}

/// What a client of the first generation does, which knows neither `obs_request` nor `apply_action`.
fn coupled(transport: Transport) -> Result<()> {
    let served = Served::start()?;
    let mut python = served.client(transport, json!({"generation": "coupled"}))?;
    assert_eq!(python.ask("get_metadata", json!({}))?, report::map(&metadata()));
    python.ask("reset", json!({}))?;
    for moves in 1..=3 {
        let values = [0.25 * moves as f32; 7];
        let mut expected = served.expected(moves);
        report::add_outcome(&mut expected, Outcome { reward: 1.0 / 3.0, terminated: true, truncated: false });
        expected["info"] = report::map(&info());
        assert_eq!(python.ask("step", action(&[1, 7], &values))?, expected);
        assert_applied(&served.applied.recv_timeout(PATIENCE)?, &[1, 7], &values, Some(1.250_000_001));
    }
    Ok(())
}

/// A stream beside pictures that change: every one whole, none older than the one before.
fn streaming(transport: Transport) -> Result<()> {
    let served = Served::start()?;
    let mut python = served.client(transport, json!({}))?;
    let hub = served.hub.clone();
    let (stop, stopped) = sync_channel::<()>(0);
    let writer = std::thread::spawn(move || {
        let mut pixels = [0_u8; 6 * 8];
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            pixels.iter_mut().for_each(|pixel| *pixel = pixel.wrapping_add(1));
            hub.update_image("grey::cam", &pixels).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    let seen = python.ask("stream", json!({"hz": 50.0, "seconds": 1.0}))?;
    drop(stop);
    writer.join().map_err(|_| anyhow::anyhow!("the camera panicked"))?;
    // A tenth of what was asked for: this says that it streams, not how fast the machine is.
    ensure!(seen["count"].as_u64() >= Some(5), "{seen}");
    let stamps = seen["stamps"].as_array().context("a list")?;
    let stamps =
        stamps.iter().map(|stamps| bytes(&stamps["grey::cam"]).map(|b| f64::from_le_bytes(b.try_into().unwrap())));
    let stamps: Vec<f64> = stamps.collect::<Result<_>>()?;
    assert!(stamps.is_sorted() && stamps.first() < stamps.last(), "{stamps:?}");
    Ok(())
}

#[test]
fn over_a_websocket_python_sees_and_moves_our_robot() -> Result<()> {
    decoupled(Transport::WebSocket)
}

#[test]
fn over_a_websocket_a_python_of_the_first_generation_steps_our_robot() -> Result<()> {
    coupled(Transport::WebSocket)
}

#[test]
fn over_a_websocket_python_streams_what_our_cameras_see() -> Result<()> {
    streaming(Transport::WebSocket)
}

#[test]
fn over_zenoh_python_sees_and_moves_our_robot() -> Result<()> {
    decoupled(Transport::Zenoh)
}

#[test]
fn over_zenoh_a_python_of_the_first_generation_steps_our_robot() -> Result<()> {
    coupled(Transport::Zenoh)
}

#[test]
fn over_zenoh_python_streams_what_our_cameras_see() -> Result<()> {
    streaming(Transport::Zenoh)
}

#[test]
fn what_is_wrong_ends_the_connection_with_the_reason() -> Result<()> {
    let served = Served::start()?;
    let mut python = served.client(Transport::WebSocket, json!({}))?;
    python.ask("send", json!({"hex": "0f27000081a474797065a86d65746164617461"}))?;
    let error = python.ask("get_metadata", json!({})).unwrap_err().to_string();
    assert!(error.contains("ConnectionLost") && error.contains("1011") && error.contains("header"), "{error}");
    Ok(())
}
