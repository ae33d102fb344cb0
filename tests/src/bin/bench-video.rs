//! `cargo xtask bench video`: pictures from a camera to a browser's screen, with headless Chromium on a bare page.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde::Deserialize;
use tempfile::TempDir;
use waldo_server::config::Settings;
use waldo_server::video::VideoSource;
use waldo_server::vr::VrServer;
use waldo_tests::bench::{PaintedCameras, Report, Target, network, percentile, process_cpu};
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
    /// Measure over these networks instead: one, several with commas between, or all.
    #[arg(long, value_name = "PROFILE")]
    network: Option<Profiles>,
}

/// The encoder's rate control and the browser's jitter buffer settle in this time.
const WARM_UP: Duration = Duration::from_secs(3);

/// What is measured: tracks, width, height.
const SETUPS: [(usize, usize, usize); 4] = [(1, 640, 480), (1, 1280, 720), (3, 640, 480), (3, 1280, 720)];

/// The setup that the project's targets are about.
const TARGETS: (usize, usize, usize) = (1, 1280, 720);

/// What the page tells about one track, times in milliseconds.
#[derive(Deserialize)]
struct Track {
    decoded: Vec<f64>,
    presented: Vec<f64>,
    unreadable: u32,
    freezes: f64,
    fps: f64,
    presented_fps: f64,
    kbps: f64,
    receiver_ms: f64,
}

/// Milliseconds from the page's request on.
#[derive(Deserialize)]
struct Beginning {
    offer: f64,
    connected: f64,
    first_frame: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(Profiles(profiles)) = &args.network {
        let mut report = Report::new("video over hard networks");
        network::measure(profiles, args.repetitions, args.seconds, &mut report).await?;
        return report.publish(args.json.as_deref());
    }
    let mut report = Report::new("video");
    report.fact("browser", "headless Chromium on this machine, software rendering");
    report.fact("latency stamp", "whole milliseconds, rounded down: latencies read up to 1 ms too long");
    report.fact("cpu", "the server without the cameras and the browser, of one core");
    for repetition in 1..=args.repetitions {
        for setup in SETUPS {
            eprintln!("repetition {repetition} of {}: {}", args.repetitions, name(setup));
            measure(setup, Duration::from_secs(args.seconds.into()), &mut report).await?;
        }
    }
    report.publish(args.json.as_deref())
}

fn name((tracks, width, height): (usize, usize, usize)) -> String {
    format!("{tracks} × {width}x{height}")
}

async fn measure(setup: (usize, usize, usize), duration: Duration, report: &mut Report) -> Result<()> {
    let (count, width, height) = setup;
    let data = TempDir::new()?;
    let server = VrServer::new(Settings {
        static_dir: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bench/page").into()),
        ..local(data.path())
    });
    let painted = PaintedCameras::start(count, width, height);
    let sources = painted.cameras.iter().map(|c| (c.name().to_owned(), VideoSource::Camera(c.clone())));
    server.set_video_sources(Some(sources.collect()));
    server.start().await?;
    let addr = server.addr().context("the server has no address")?;

    let chromium = Chromium::launch(1280, 800).await?;
    let tab = chromium.tab().await?;
    tab.page.goto(format!("https://localhost:{}/", addr.port())).await?;
    tab.until("window.ready").await?;
    tab.eval::<bool>("ready").await?;
    let beginning: Beginning = tab.eval(&format!("request({count})")).await?;
    tokio::time::sleep(WARM_UP).await;

    let cpu = || process_cpu().saturating_sub(painted.cpu());
    tab.eval::<bool>("begin()").await?;
    let (started, cpu_before) = (Instant::now(), cpu());
    tokio::time::sleep(duration).await;
    let cpu_share = cpu().saturating_sub(cpu_before).as_secs_f64() / started.elapsed().as_secs_f64();
    let tracks: Vec<Track> = tab.eval("end()").await?;
    chromium.close().await?;
    server.stop().await;

    ensure!(tracks.len() == count, "{} of {count} tracks arrived", tracks.len());
    add(setup, &beginning, cpu_share, &tracks, report);
    Ok(())
}

fn add(setup: (usize, usize, usize), beginning: &Beginning, cpu_share: f64, tracks: &[Track], report: &mut Report) {
    let target = |limit: f64| (setup == TARGETS).then_some(Target::AtMost(limit));
    let all = |of: fn(&Track) -> &[f64]| tracks.iter().flat_map(of).copied().collect::<Vec<_>>();
    let sum = |of: fn(&Track) -> f64| tracks.iter().map(of).sum::<f64>();
    let count = tracks.len() as f64;
    let decoded = all(|track| &track.decoded);
    let presented = all(|track| &track.presented);
    let mean = decoded.iter().sum::<f64>() / decoded.len() as f64;

    let mut row = |what: &str, unit, value, target| report.add(format!("{}: {what}", name(setup)), unit, value, target);
    row("request → offer", "ms", beginning.offer, None);
    row("request → connected", "ms", beginning.connected, None);
    row("request → first frame", "ms", beginning.first_frame, target(300.0));
    row("capture → decoded p50", "ms", percentile(&decoded, 0.5), None);
    row("capture → decoded p99", "ms", percentile(&decoded, 0.99), None);
    row("glass to glass p50", "ms", percentile(&presented, 0.5), target(50.0));
    row("glass to glass p99", "ms", percentile(&presented, 0.99), None);
    row("server's share, mean", "ms", mean - sum(|track| track.receiver_ms) / count, None);
    row("decoded per track", "1/s", sum(|track| track.fps) / count, None);
    row("presented per track", "1/s", sum(|track| track.presented_fps) / count, None);
    row("bitrate, all tracks", "kbit/s", sum(|track| track.kbps), None);
    row("cpu", "%", cpu_share * 100.0, None);
    row("freezes", "", sum(|track| track.freezes), None);
    row("frames with unreadable stamp", "", sum(|track| f64::from(track.unreadable)), None);
}
