//! `cargo xtask bench pose`: pose frames from one client's socket to the robot's callback, and the floor below which
//! nothing can be: the same bytes through the same kind of socket, with nobody to read them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use glam::{DQuat, DVec3};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use waldo_protocol::geometry::Pose;
use waldo_protocol::vr::VrFrame;
use waldo_server::config::Settings;
use waldo_server::vr::VrServer;
use waldo_tests::bench::{
    Link, PoseTexts, Receiver, Report, Sender, Target, listen, percentile, process_cpu, thread_cpu, tls_server,
    websocket,
};
use waldo_tests::client::{Operator, trusting};
use waldo_tests::robot::local;

/// Measures how fast and how promptly pose frames arrive.
#[derive(Parser)]
#[command(name = "cargo xtask bench pose", bin_name = "cargo xtask bench pose --")]
struct Args {
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often everything is measured; the table shows the median.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Seconds of frames at 90 Hz, per repetition.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
}

/// Pose frames per second of a headset.
const HEADSET_HZ: u32 = 90;

/// Messages per system call when sending flat out. Each is a TLS record of its own all the same.
const BATCH: usize = 16;

const WARM_UP: Duration = Duration::from_millis(500);
const FLAT_OUT: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    let args = Args::parse();
    let mut report = Report::new("pose");
    report.fact("bytes per frame", PoseTexts::new(full_frame()?)?.size());
    report.fact("connection", "one, TLS 1.3, on this machine; one TLS record per frame");
    report.fact("cpu", "everything but the sender, of one core");
    for repetition in 1..=args.repetitions {
        for path in [Path::Waldo, Path::BareTls, Path::BareTcp] {
            eprintln!("repetition {repetition} of {}: {}", args.repetitions, path.name());
            flat_out(path, &mut report)?;
            paced(path, args.seconds, &mut report)?;
        }
    }
    compare(&mut report);
    report.publish(args.json.as_deref())
}

/// A frame with every field, numbers as long as real ones: about 850 bytes.
fn full_frame() -> Result<VrFrame> {
    let mut frame = Operator::default().frame;
    for (hand, side) in [(&mut frame.left, -1.0), (&mut frame.right, 1.0)] {
        let position = DVec3::new(side * 0.231_847_619_283_1, 1.187_364_519_273_6, -0.412_938_475_610_2);
        let orientation = DQuat::from_euler(glam::EulerRot::YXZ, side * 0.412_7, -0.317_3, side * 0.093_1);
        hand.pose = Pose::new(position, orientation)?;
        hand.elbow = position + DVec3::new(side * 0.084_736_251_9, -0.193_827_364_5, 0.219_384_756_1);
        hand.grip = 0.482_736_158_3;
        hand.stick_x = side * 0.127_364_918_2;
    }
    frame.l_stick_y = -0.372_615_948_2;
    Ok(frame)
}

/// What is between the sender and the count of frames.
#[derive(Clone, Copy, PartialEq)]
enum Path {
    /// The server: TLS, WebSocket, decoding, validation, callback.
    Waldo,
    /// TLS, nothing else.
    BareTls,
    /// TCP, nothing else.
    BareTcp,
}

impl Path {
    const fn name(self) -> &'static str {
        match self {
            Self::Waldo => "waldo",
            Self::BareTls => "bare TLS",
            Self::BareTcp => "bare TCP",
        }
    }

    /// The project's targets concern the whole path only.
    fn target(self, target: Target) -> Option<Target> {
        (self == Self::Waldo).then_some(target)
    }
}

/// When frames arrived.
struct Arrivals {
    start: Instant,
    count: AtomicU64,
    /// Nanoseconds after `start`, of the first frames.
    times: Box<[AtomicU64]>,
}

impl Arrivals {
    fn new(frames: usize) -> Arc<Self> {
        let times = (0..frames).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { start: Instant::now(), count: AtomicU64::new(0), times })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn arrived(&self, frame: usize) {
        if let Some(time) = self.times.get(frame) {
            time.store(self.now(), Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Release);
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }
}

/// A sender, connected to what counts its frames.
struct Course {
    path: Path,
    texts: PoseTexts,
    message: Vec<u8>,
    sender: Sender,
    receiving: Receiving,
}

enum Receiving {
    Server { runtime: Runtime, server: VrServer, _data: TempDir },
    Bare(JoinHandle<Result<()>>),
}

impl Course {
    fn open(path: Path, arrivals: &Arc<Arrivals>) -> Result<Self> {
        let texts = PoseTexts::new(full_frame()?)?;
        let arrivals = Arc::clone(arrivals);
        let (sender, receiving) = match path {
            Path::Waldo => through_the_server(arrivals)?,
            Path::BareTls => {
                let (config, certificate) = tls_server()?;
                bare(&tls(certificate)?, Some(config), texts.size(), arrivals)?
            }
            Path::BareTcp => bare(&Link::Plain, None, texts.size(), arrivals)?,
        };
        Ok(Self { path, texts, message: Vec::new(), sender, receiving })
    }

    fn queue(&mut self) -> Result<()> {
        let text = self.texts.advance();
        if self.path == Path::Waldo {
            websocket(text, &mut self.message);
            return Ok(self.sender.queue(&self.message)?);
        }
        Ok(self.sender.queue(text)?)
    }

    fn close(self) -> Result<()> {
        drop(self.sender);
        match self.receiving {
            Receiving::Server { runtime, server, .. } => {
                runtime.block_on(server.stop());
                Ok(())
            }
            Receiving::Bare(thread) => thread.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))?,
        }
    }
}

fn tls(certificate: CertificateDer<'static>) -> Result<Link> {
    Ok(Link::Tls(Arc::clone(trusting(certificate)?.config())))
}

fn through_the_server(arrivals: Arc<Arrivals>) -> Result<(Sender, Receiving)> {
    let data = TempDir::new()?;
    let runtime = waldo_server::serve::runtime()?;
    let server = VrServer::new(Settings { max_pose_rate: None, ..local(data.path()) });
    server.on_frame(Some(Arc::new(move |frame: &VrFrame| {
        if let Some(index) = frame.seq.and_then(PoseTexts::index) {
            arrivals.arrived(index);
        }
    })));
    runtime.block_on(server.start())?;
    let certificate = server.certificate().context("the server has no certificate")?;
    let addr = server.addr().context("the server has no address")?;
    let mut sender = Sender::connect(addr, &tls(certificate)?)?;
    sender.upgrade("/ws")?;
    Ok((sender, Receiving::Server { runtime, server, _data: data }))
}

fn bare(
    link: &Link,
    config: Option<Arc<rustls::ServerConfig>>,
    size: usize,
    arrivals: Arc<Arrivals>,
) -> Result<(Sender, Receiving)> {
    let (listener, addr) = listen()?;
    let thread = thread::spawn(move || {
        let (mut bytes, mut frames) = (0, 0);
        Receiver::accept(&listener, config)?.run(|count| {
            bytes += count;
            while bytes >= size {
                bytes -= size;
                arrivals.arrived(frames);
                frames += 1;
            }
        })
    });
    Ok((Sender::connect(addr, link)?, Receiving::Bare(thread)))
}

/// CPU time of everything but the calling thread, which sends.
fn others_cpu() -> f64 {
    process_cpu().saturating_sub(thread_cpu()).as_secs_f64()
}

/// As many frames as the receiver takes.
fn flat_out(path: Path, report: &mut Report) -> Result<()> {
    let arrivals = Arrivals::new(0);
    let mut course = Course::open(path, &arrivals)?;
    let mut send_for = |duration: Duration| -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < duration {
            for _ in 0..BATCH {
                course.queue()?;
            }
            course.sender.flush()?;
        }
        Ok(())
    };
    send_for(WARM_UP)?;
    let (begin, cpu, count) = (Instant::now(), others_cpu(), arrivals.count());
    send_for(FLAT_OUT)?;
    let frames = (arrivals.count() - count) as f64;
    let (seconds, cpu) = (begin.elapsed().as_secs_f64(), others_cpu() - cpu);
    course.close()?;

    let name = path.name();
    let target = path.target(Target::AtLeast(60_000.0));
    report.add(format!("{name}: frames accepted, flat out"), "1/s", frames / seconds, target);
    report.add(format!("{name}: cpu per frame, flat out"), "µs", cpu / frames * 1e6, None);
    Ok(())
}

/// Frames at the pace of a headset.
fn paced(path: Path, seconds: u32, report: &mut Report) -> Result<()> {
    let warm_up = HEADSET_HZ / 2;
    let frames = warm_up + seconds * HEADSET_HZ;
    let arrivals = Arrivals::new(frames as usize);
    let mut course = Course::open(path, &arrivals)?;
    let mut sent = Vec::with_capacity(frames as usize);
    let mut measured = (Instant::now(), others_cpu());
    let begin = Instant::now();
    for frame in 0..frames {
        let due = begin + Duration::from_secs(1) * frame / HEADSET_HZ;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if frame == warm_up {
            measured = (Instant::now(), others_cpu());
        }
        sent.push(arrivals.now());
        course.queue()?;
        course.sender.flush()?;
    }
    let cpu = (others_cpu() - measured.1) / measured.0.elapsed().as_secs_f64();
    let patience = Instant::now() + Duration::from_secs(5);
    while arrivals.count() < u64::from(frames) {
        if Instant::now() > patience {
            bail!("{} of {frames} frames arrived", arrivals.count());
        }
        thread::sleep(Duration::from_millis(1));
    }
    course.close()?;

    let latencies: Vec<f64> = sent
        .iter()
        .zip(&arrivals.times)
        .skip(warm_up as usize)
        .map(|(sent, arrived)| arrived.load(Ordering::Relaxed).saturating_sub(*sent) as f64 / 1e6)
        .collect();
    let name = path.name();
    report.add(format!("{name}: send → callback p50, 90 Hz"), "ms", percentile(&latencies, 0.5), None);
    let target = path.target(Target::AtMost(0.5));
    report.add(format!("{name}: send → callback p99, 90 Hz"), "ms", percentile(&latencies, 0.99), target);
    report.add(format!("{name}: cpu, 90 Hz"), "%", cpu * 100.0, None);
    Ok(())
}

/// Adds how many times the floor each figure of the server is.
fn compare(report: &mut Report) {
    for floor in [Path::BareTls, Path::BareTcp] {
        for figure in ["frames accepted, flat out", "cpu per frame, flat out", "send → callback p99, 90 Hz"] {
            let of = |path: Path| report.median(&format!("{}: {figure}", path.name())).unwrap_or(f64::NAN);
            let ratio = of(Path::Waldo) / of(floor);
            report.add(format!("waldo ÷ {}: {figure}", floor.name()), "×", ratio, None);
        }
    }
}
