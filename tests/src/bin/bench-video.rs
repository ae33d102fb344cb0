//! `cargo xtask bench video`: pictures from a camera to a browser's screen, with headless Chromium on a bare page.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};
use waldo_server::config::Settings;
use waldo_server::serve;
use waldo_server::video::VideoSource;
use waldo_server::vr::VrServer;
use waldo_tests::bench::{PaintedCameras, PoseStream, Report, Target, network, percentile, process_cpu};
use waldo_tests::browser::Chromium;
use waldo_tests::network::Profiles;
use waldo_tests::robot::local;

/// Measures how soon, how late and how smoothly pictures arrive.
#[derive(Parser)]
#[command(name = "cargo xtask bench video", bin_name = "cargo xtask bench video --")]
struct Args {
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often everything is measured; the table shows the median.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Seconds that count, per repetition.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Measure only the setups whose name contains this, such as `3 × 1280`.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// As in a network that lets no UDP through.
    #[arg(long)]
    tcp: bool,
    /// Measure over these networks instead: one, several with commas between, or all.
    #[arg(long, value_name = "PROFILE")]
    network: Option<Profiles>,
}

/// An operator looks at the page for longer than this before pressing the button; the browser has started by then.
const SETTLING: Duration = Duration::from_secs(2);

/// The encoder's rate control and the browser's jitter buffer settle in this time.
const WARM_UP: Duration = Duration::from_secs(3);

/// Milliseconds that latencies read from stamps are too long in the mean, because a stamp is rounded down to whole ones.
const STAMP_ROUNDING: f64 = 0.5;

/// What is measured: tracks, width, height.
type Setup = (usize, usize, usize);

const SETUPS: [Setup; 4] = [(1, 640, 480), ONE, (3, 640, 480), THREE];

/// The setups that the project's targets are about.
const ONE: Setup = (1, 1280, 720);
const THREE: Setup = (3, 1280, 720);

/// What the page tells about one track, times in milliseconds.
#[derive(Deserialize)]
struct Track {
    decoded: Vec<f64>,
    presented: Vec<f64>,
    /// Ages of the presented pictures when their last packet came.
    received: Vec<f64>,
    unreadable: u32,
    freezes: f64,
    fps: f64,
    presented_fps: f64,
    kbps: f64,
    /// Mean quantisation parameter, 0 to 51: of the first second of pictures, and of those that count.
    first_quantiser: f64,
    quantiser: f64,
}

/// Milliseconds from the page's request on.
#[derive(Deserialize)]
struct Beginning {
    offer: f64,
    connected: f64,
    /// When all tracks have decoded a picture.
    decoded: f64,
    /// When all tracks show one.
    shown: f64,
}

fn main() -> Result<()> {
    // The server gets a runtime of its own, as in the program; the browser's driver is ordinary work.
    let (server, bench) = (serve::runtime()?, Runtime::new()?);
    bench.block_on(run(server.handle()))
}

async fn run(runtime: &Handle) -> Result<()> {
    let args = Args::parse();
    if let Some(Profiles(profiles)) = &args.network {
        let mut report = Report::new("video over hard networks");
        network::measure(profiles, args.repetitions, args.seconds, &mut report).await?;
        return report.publish(args.json.as_deref());
    }
    let mut report = Report::new("video");
    report.fact("browser", "headless Chromium on this machine, software rendering");
    report.fact(
        "latency stamp",
        "whole milliseconds, rounded down: latencies read up to 1 ms too long; the share is corrected by 0.5 ms",
    );
    report.fact("server's share", "from capture until the browser has a picture's last packet");
    report.fact("cpu", "the server without the cameras, the sender of poses and the browser, of one core");
    report.fact("poses meanwhile", "90 per second over the socket, from sending to the robot's callback");
    report.fact("transport", if args.tcp { "TCP" } else { "UDP" });
    for repetition in 1..=args.repetitions {
        for setup in SETUPS.into_iter().filter(|setup| name(*setup).contains(&args.only)) {
            eprintln!("repetition {repetition} of {}: {}", args.repetitions, name(setup));
            measure(setup, &args, runtime, &mut report).await?;
        }
    }
    report.publish(args.json.as_deref())
}

fn name((tracks, width, height): Setup) -> String {
    format!("{tracks} × {width}x{height}")
}

async fn measure(setup: Setup, args: &Args, runtime: &Handle, report: &mut Report) -> Result<()> {
    let (count, width, height) = setup;
    let data = TempDir::new()?;
    let server = VrServer::new(Settings {
        static_dir: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bench/page").into()),
        ..local(data.path())
    });
    let painted = PaintedCameras::start(count, width, height);
    let sources = painted.cameras.iter().map(|c| (c.name().to_owned(), VideoSource::Camera(c.clone())));
    server.set_video_sources(Some(sources.collect()));
    let started = server.clone();
    runtime.spawn(async move { started.start().await }).await??;
    let addr = server.addr().context("the server has no address")?;

    let chromium = Chromium::launch(1280, 800).await?;
    let tab = chromium.tab().await?;
    tab.page.goto(format!("https://localhost:{}/", addr.port())).await?;
    tab.until("window.ready").await?;
    tab.eval::<bool>("ready").await?;
    tab.run(&format!("withoutUdp = {}", args.tcp)).await?;
    tokio::time::sleep(SETTLING).await;
    let beginning: Beginning = tab.eval(&format!("request({count})")).await?;
    tokio::time::sleep(WARM_UP).await;

    let cpu = || process_cpu().saturating_sub(painted.cpu());
    let poses = PoseStream::start(&server)?;
    tab.eval::<bool>("begin()").await?;
    let (started, cpu_before) = (Instant::now(), cpu());
    tokio::time::sleep(Duration::from_secs(args.seconds.into())).await;
    let (cpu, elapsed) = (cpu().saturating_sub(cpu_before), started.elapsed());
    let (ages, sender_cpu) = poses.finish()?;
    let cpu_share = cpu.saturating_sub(sender_cpu).as_secs_f64() / elapsed.as_secs_f64();
    let tracks: Vec<Track> = tab.eval("end()").await?;
    let again: Beginning = tab.eval(&format!("reopen({count})")).await?;
    chromium.close().await?;
    server.stop().await;

    ensure!(tracks.len() == count, "{} of {count} tracks arrived", tracks.len());
    add_beginnings(setup, &beginning, &again, report);
    add_stream(setup, cpu_share, &ages, &tracks, report);
    Ok(())
}

fn add_beginnings(setup: Setup, first: &Beginning, again: &Beginning, report: &mut Report) {
    let mut row = |what: &str, value, limit: Option<f64>| {
        report.add(format!("{}: {what}", name(setup)), "ms", value, limit.map(Target::AtMost));
    };
    row("request → offer", first.offer, None);
    row("offer → connected", first.connected - first.offer, Some(120.0));
    row("request → all decoded", first.decoded, None);
    row("request → first frame", first.shown, (setup == ONE).then_some(300.0));
    row("socket reopened → all decoded", again.decoded, Some(100.0));
    row("socket reopened → all shown", again.shown, None);
}

fn add_stream(setup: Setup, cpu_share: f64, poses: &[f64], tracks: &[Track], report: &mut Report) {
    let all = |of: fn(&Track) -> &[f64]| tracks.iter().flat_map(of).copied().collect::<Vec<_>>();
    let sum = |of: fn(&Track) -> f64| tracks.iter().map(of).sum::<f64>();
    let count = tracks.len() as f64;
    let decoded = all(|track| &track.decoded);
    let presented = all(|track| &track.presented);
    let received = all(|track| &track.received);
    let mean = received.iter().sum::<f64>() / received.len() as f64;

    let mut row = |what: &str, unit, value, [one, three]: [Option<Target>; 2]| {
        let target = one.filter(|_| setup == ONE).or(three.filter(|_| setup == THREE));
        report.add(format!("{}: {what}", name(setup)), unit, value, target);
    };
    let (most, least) = (|limit| Some(Target::AtMost(limit)), |limit| Some(Target::AtLeast(limit)));
    row("capture → decoded p50", "ms", percentile(&decoded, 0.5), [most(20.0), most(25.0)]);
    row("capture → decoded p99", "ms", percentile(&decoded, 0.99), [None, most(45.0)]);
    row("glass to glass p50", "ms", percentile(&presented, 0.5), [most(50.0), None]);
    row("glass to glass p99", "ms", percentile(&presented, 0.99), [None, None]);
    row("server's share, mean", "ms", mean - STAMP_ROUNDING, [None, most(8.0)]);
    // The browser's clock and ours may differ by a frame in the few seconds that are counted.
    row("decoded per track", "1/s", sum(|track| track.fps) / count, [None, least(29.8)]);
    row("presented per track", "1/s", sum(|track| track.presented_fps) / count, [None, None]);
    row("bitrate, all tracks", "kbit/s", sum(|track| track.kbps), [None, None]);
    // As sharp at the beginning as ever after; 6 more halve what is seen of details.
    let first = sum(|track| track.first_quantiser) / count;
    let settled = sum(|track| track.quantiser) / count;
    row("quantiser", "", settled, [None, None]);
    row("quantiser, first second, above that", "", first - settled, [most(3.0), most(3.0)]);
    row("cpu", "%", cpu_share * 100.0, [most(20.0), most(55.0)]);
    row("poses meanwhile, p50", "ms", percentile(poses, 0.5), [None, None]);
    row("poses meanwhile, p99", "ms", percentile(poses, 0.99), [None, most(1.0)]);
    row("freezes", "", sum(|track| track.freezes), [None, None]);
    row("frames with unreadable stamp", "", sum(|track| f64::from(track.unreadable)), [None, None]);
}
