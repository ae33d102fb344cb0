//! The process that is measured against: a policy service, and both floors, commanded over its standard input.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use waldo_protocol::policy::AppMap;
use waldo_protocol::time::MonoTime;
use waldo_server::clock;
use waldo_server::policy::{
    ActionData, Observation, PolicyConfig, PolicyError, PolicyRobot, PolicyServer, ZenohConfig,
};
use waldo_server::sensors::{CameraConfig, ProprioConfig, SensorHub};

use super::{Set, TcpFloor, ZenohFloor};
use crate::bench::{listen, process_cpu};

/// Where everything is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// The policy service's WebSocket.
    pub websocket: SocketAddr,
    /// Its Zenoh port.
    pub zenoh: u16,
    /// See [`TcpFloor`].
    pub tcp_floor: SocketAddr,
    /// See [`ZenohFloor`].
    pub zenoh_floor: u16,
}

/// The other process, as the measuring one sees it; ended when dropped.
pub struct RobotSide {
    /// Where to connect.
    pub addresses: Addresses,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl RobotSide {
    /// Starts `program`, which calls [`serve`] if it is told to by `--robot-side`.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(program: &Path, set: usize) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("--robot-side").arg(set.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let (input, output) = (child.stdin.take().context("a pipe")?, child.stdout.take().context("a pipe")?);
        let mut output = BufReader::new(output);
        let addresses = serde_json::from_str(&line(&mut output)?)?;
        Ok(Self { addresses, child, input, output })
    }

    /// CPU time of all its threads.
    ///
    /// # Errors
    /// If it has ended.
    pub fn cpu(&mut self) -> Result<Duration> {
        Ok(Duration::from_nanos(self.command("cpu")?.parse()?))
    }

    /// Lets all cameras publish so many frames per second; 0 stops them.
    ///
    /// # Errors
    /// If it has ended.
    pub fn publish(&mut self, hz: u32) -> Result<()> {
        self.command(&format!("publish {hz}")).map(drop)
    }

    /// When the pictures of the last seconds were published, by their time stamps; both in nanoseconds of the clock of this
    /// computer. Each is told once.
    ///
    /// # Errors
    /// If it has ended.
    pub fn published(&mut self) -> Result<HashMap<u64, u64>> {
        let times: Vec<(u64, u64)> = serde_json::from_str(&self.command("published")?)?;
        Ok(times.into_iter().collect())
    }

    fn command(&mut self, command: &str) -> Result<String> {
        writeln!(self.input, "{command}")?;
        line(&mut self.output)
    }
}

fn line(output: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    ensure!(output.read_line(&mut line)? > 0, "the robot's side has ended");
    Ok(line.trim_end().to_owned())
}

impl Drop for RobotSide {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A robot that does what it is told, and tells nothing but its sensors.
struct Still(SensorHub);

impl PolicyRobot for Still {
    fn reset(&self) -> Result<(Observation, AppMap), PolicyError> {
        Ok((self.0.snapshot().into(), AppMap::default()))
    }

    fn apply_action(&self, _: &ActionData) -> Result<(), PolicyError> {
        Ok(())
    }

    fn on_stale(&self) {}
}

/// Serves until the standard input ends.
///
/// # Errors
/// If something does not start.
pub fn serve(set: Set) -> Result<()> {
    let hub = SensorHub::default();
    for camera in 0..set.cameras {
        let config = CameraConfig::new(format!("camera{camera}"), set.height, set.width);
        hub.declare_camera(CameraConfig { has_depth: set.depth, ..config })?;
    }
    for stream in ["joint_pos", "joint_vel"] {
        hub.declare_proprio(ProprioConfig::new(stream, 7))?;
    }
    let mut cameras = Cameras { hub: hub.clone(), set, times: Arc::default(), running: None };
    publish(&hub, set, &Pictures::new(set), &cameras.times)?;

    let zenoh = listen()?.1;
    let config = PolicyConfig {
        websocket: Some((Ipv4Addr::LOCALHOST, 0).into()),
        zenoh: Some(ZenohConfig { listen: vec![format!("tcp/{zenoh}")], ..ZenohConfig::default() }),
        ..PolicyConfig::default()
    };
    let server = PolicyServer::new(config, hub.clone(), Still(hub));
    server.start()?;
    let zenoh_floor = listen()?.1.port();
    let _floor = ZenohFloor::serve(zenoh_floor)?;
    let addresses = Addresses {
        websocket: server.addr().context("the service listens")?,
        zenoh: zenoh.port(),
        tcp_floor: TcpFloor::serve()?,
        zenoh_floor,
    };
    say(&serde_json::to_string(&addresses)?)?;
    for command in io::stdin().lines() {
        let command = command?;
        match command.split_once(' ') {
            Some(("publish", hz)) => {
                cameras.set(hz.parse()?);
                say("done")?;
            }
            None if command == "published" => say(&serde_json::to_string(&cameras.times.take())?)?,
            _ => say(&process_cpu().as_nanos().to_string())?,
        }
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// What the cameras show.
struct Pictures {
    image: Vec<u8>,
    depth: Option<Vec<f32>>,
}

impl Pictures {
    fn new(set: Set) -> Self {
        let image = (0..set.pixels() * 3).map(|byte| byte as u8).collect();
        Self { image, depth: set.depth.then(|| (0..set.pixels()).map(|pixel| pixel as f32).collect()) }
    }
}

/// Publishes a frame of each camera, one after the other, and a reading of each stream.
fn publish(hub: &SensorHub, set: Set, pictures: &Pictures, times: &Times) -> Result<()> {
    for camera in 0..set.cameras {
        let depth = pictures.depth.as_ref().map(Into::into);
        let stamp = clock::now();
        hub.update_frame(&format!("camera{camera}"), &pictures.image, depth, None, None, Some(stamp))?;
        times.add(stamp, clock::now());
    }
    for stream in ["joint_pos", "joint_vel"] {
        hub.update_proprio(stream, &[0.5_f32; 7])?;
    }
    Ok(())
}

/// Time stamps of the newest pictures, and when the hub had each.
#[derive(Default)]
struct Times(Mutex<VecDeque<(u64, u64)>>);

impl Times {
    /// Pictures that are remembered until they are asked for: more than a minute of three fast cameras.
    const MOST: usize = 20_000;

    fn add(&self, stamp: MonoTime, published: MonoTime) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() == Self::MOST {
            times.pop_front();
        }
        times.push_back((stamp.as_nanos(), published.as_nanos()));
    }

    fn take(&self) -> VecDeque<(u64, u64)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The thread that publishes, if one does.
struct Cameras {
    hub: SensorHub,
    set: Set,
    times: Arc<Times>,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Cameras {
    fn set(&mut self, hz: u32) {
        if let Some((stop, thread)) = self.running.take() {
            stop.store(true, Ordering::Relaxed);
            let _ = thread.join();
        }
        if hz == 0 {
            return;
        }
        let (hub, set, times) = (self.hub.clone(), self.set, Arc::clone(&self.times));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (pictures, begin) = (Pictures::new(set), Instant::now());
            for frame in 0.. {
                let due = begin + Duration::from_secs(1) * frame / hz;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if stopped.load(Ordering::Relaxed) || publish(&hub, set, &pictures, &times).is_err() {
                    return;
                }
            }
        });
        self.running = Some((stop, thread));
    }
}
