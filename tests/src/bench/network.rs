//! `bench video --network`: poses and pictures between the robot and headless Chromium over a hard network.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use waldo_protocol::vr::VrFrame;
use waldo_server::clock;
use waldo_server::config::Settings;
use waldo_server::video::VideoSource;
use waldo_server::vr::VrServer;

use super::{PaintedCameras, Report, percentile};
use crate::browser::{Chromium, PATIENCE, Tab};
use crate::client::Operator;
use crate::network::{Cable, Direction, Profile, robot};
use crate::robot::reachable;

/// Rate control, jitter buffer and congestion control settle in this time.
const WARM_UP: Duration = Duration::from_secs(3);

/// A cut comes this long after the begin of the measurement, which then lasts at least as long as given.
const BEFORE_CUT: Duration = Duration::from_secs(2);
const WITH_CUT: Duration = Duration::from_secs(12);

const SIZE: (usize, usize) = (1280, 720);

/// Pose frames per second and way, as the page sends them.
const HEADSET_HZ: f64 = 90.0;

/// Chances are the same in every run; packets are not, since browser and encoder have clocks of their own.
const SEED: u64 = 1;

/// What the page tells, times in milliseconds.
#[derive(Deserialize)]
struct Pictures {
    /// Pictures that left the decoder; of those, the ones that are smaller than the camera's, and those without a stamp
    /// that can be read.
    all: f64,
    smaller: f64,
    unreadable: f64,
    decoded: Vec<Decoded>,
    /// Ages on the screen.
    presented: Vec<f64>,
    fps: f64,
    kbps: f64,
    freezes: f64,
    frozen_ms: f64,
}

/// A picture at the decoder.
#[derive(Clone, Copy, Deserialize)]
struct Decoded {
    /// Unix time.
    at: f64,
    /// Since it was taken.
    age: f64,
}

/// A pose at the server, times in milliseconds.
#[derive(Clone, Copy)]
struct Arrival {
    seq: i64,
    /// Unix time.
    at: f64,
    /// Since it was sent.
    age: f64,
}

type Arrivals = Arc<Mutex<Vec<Arrival>>>;

fn unix_ms() -> f64 {
    clock::unix_time(clock::now()).as_secs_f64() * 1000.0
}

/// Measures these networks, so often, for so long each, and adds the figures.
///
/// # Errors
/// If networks are not permitted here, or anything fails.
pub async fn measure(profiles: &[Profile], repetitions: u32, seconds: u32, report: &mut Report) -> Result<()> {
    report.fact("network", "between two namespaces; each direction has its own chances, seed 1");
    report.fact("pose age", "from the page's send to the server's callback, with 90 poses per second each way");
    report.fact("video", format!("one camera, {}x{}, 30 per second", SIZE.0, SIZE.1));
    report.fact("back after", "the end of the cut, until a pose or picture arrives that was made after it");
    for repetition in 1..=repetitions {
        for profile in profiles {
            eprintln!("repetition {repetition} of {repetitions}: {}", profile.name());
            one(*profile, Duration::from_secs(seconds.into()), report).await?;
        }
    }
    Ok(())
}

async fn one(profile: Profile, duration: Duration, report: &mut Report) -> Result<()> {
    let cable = Cable::lay(&profile.conditions(), SEED)?;
    let (near, far) = (robot()?.runtime()?, cable.far.runtime()?);
    let painted = PaintedCameras::start(1, SIZE.0, SIZE.1);
    let sources = painted.cameras.iter().map(|c| (c.name().to_owned(), VideoSource::Camera(c.clone()))).collect();
    let data = TempDir::new()?;
    let server = VrServer::new(Settings {
        static_dir: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bench/page").into()),
        ..reachable(data.path())
    });
    server.set_video_sources(Some(sources));
    let arrivals = Arrivals::default();
    let noted = Arc::clone(&arrivals);
    server.on_frame(Some(Arc::new(move |frame: &VrFrame| {
        if let (Some(seq), Some(t)) = (frame.seq, frame.t) {
            let at = unix_ms();
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(Arrival { seq, at, age: at - t });
        }
    })));
    let starting = server.clone();
    near.run(async move { Ok(starting.start().await?) }).await?;
    let port = server.addr().context("the server has no address")?.port();
    let url = format!("https://{}:{port}/?network", cable.near);

    let (chromium, tab, first, attempts) = far.run(open(url)).await?;
    sleep(WARM_UP).await;
    tab.eval::<bool>("begin()").await?;
    let (before, lost) = (unix_ms(), cable.counts(Direction::Down));
    let started = Instant::now();
    let mut cut_end = None;
    if let Some(cut) = profile.cut() {
        sleep(BEFORE_CUT).await;
        let end = cable.cut(cut);
        cut_end = Some(unix_ms() + end.saturating_duration_since(Instant::now()).as_secs_f64() * 1000.0);
    }
    let duration = if cut_end.is_some() { duration.max(WITH_CUT) } else { duration };
    sleep(duration.saturating_sub(started.elapsed())).await;
    let pictures: Pictures = tab.eval("end()").await?;
    let after = unix_ms();
    far.run(chromium.close()).await?;
    let stopping = server.clone();
    near.run(async move {
        stopping.stop().await;
        Ok(())
    })
    .await?;

    let name = profile.name();
    let mut row = |what: &str, unit, value| report.add(format!("{name}: {what}"), unit, value, None);
    let all = arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (way, parity) in [("socket", 0), ("pose channel", 1)] {
        let own: Vec<_> = all.iter().filter(|a| a.seq % 2 == parity && a.at >= before && a.at <= after).collect();
        let ages: Vec<f64> = own.iter().map(|a| a.age).collect();
        row(&format!("poses, {way}: age p50"), "ms", percentile(&ages, 0.5));
        row(&format!("poses, {way}: age p99"), "ms", percentile(&ages, 0.99));
        let sent = (after - before) / 1000.0 * HEADSET_HZ;
        row(&format!("poses, {way}: arrived"), "%", own.len() as f64 / sent * 100.0);
        if let Some(end) = cut_end {
            let back = own.iter().find(|a| a.at - a.age >= end).map_or(f64::NAN, |a| a.at - end);
            row(&format!("poses, {way}: back after"), "ms", back);
        }
    }
    let ages: Vec<f64> = pictures.decoded.iter().map(|d| d.age).collect();
    row("connections: attempts for two", "", attempts);
    row("video: first picture", "ms", first);
    row("video: decoded", "1/s", pictures.fps);
    row("video: capture → decoded p50", "ms", percentile(&ages, 0.5));
    row("video: capture → decoded p99", "ms", percentile(&ages, 0.99));
    row("video: glass to glass p50", "ms", percentile(&pictures.presented, 0.5));
    row("video: glass to glass p99", "ms", percentile(&pictures.presented, 0.99));
    row("video: made smaller", "%", pictures.smaller / pictures.all * 100.0);
    row("video: unreadable stamps", "%", pictures.unreadable / pictures.all * 100.0);
    row("video: freezes", "", pictures.freezes);
    row("video: frozen", "ms", pictures.frozen_ms);
    row("video: received", "kbit/s", pictures.kbps);
    if let Some(end) = cut_end {
        let fresh = pictures.decoded.iter().find(|d| d.at - d.age >= end);
        row("video: back after", "ms", fresh.map_or(f64::NAN, |d| d.at - end));
    }
    let now = cable.counts(Direction::Down);
    let [arrived, overflowed] = [now.arrived - lost.arrived, now.overflowed - lost.overflowed].map(|n| n as f64);
    row("packets to the headset dropped by the full queue", "%", overflowed / (arrived + overflowed) * 100.0);
    Ok(())
}

/// A browser that watches and drives, how many milliseconds its first picture took, and how many attempts to connect.
async fn open(url: String) -> Result<(Chromium, Tab, f64, f64)> {
    let chromium = Chromium::launch(1280, 800).await?;
    let tab = chromium.tab().await?;
    tab.page.goto(url).await?;
    tab.until("window.ready").await?;
    let [first, for_video]: [f64; 2] = in_time(&tab, &format!("watch({})", SIZE.0)).await?;
    let mut frame = String::new();
    Operator::default().frame.encode(&mut frame);
    let for_channel: f64 = in_time(&tab, &format!("drive({frame})")).await?;
    Ok((chromium, tab, first, for_video + for_channel))
}

/// What the page does, unless its connections do not come about.
async fn in_time<T: DeserializeOwned>(tab: &Tab, script: &str) -> Result<T> {
    timeout(PATIENCE, tab.eval(script)).await.with_context(|| format!("no end of {script:.8}"))?
}
