//! A live table of what a policy gets from a robot: rates, latencies, ages.
//!
//! `cargo run -p waldo-policy-client --example policy_table -- ws://localhost:8765`

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use waldo_policy_client::{Address, DEFAULT_STREAM_HZ, DEFAULT_URI, Options, PolicyClient, State, StreamOptions};

/// Show what a policy gets from a robot: rates, latencies and ages, four times a second. Ctrl-C ends it.
#[derive(Parser)]
struct Arguments {
    /// The robot: ws://host:port, wss://host:port, or tcp/host:port for Zenoh.
    #[arg(default_value = DEFAULT_URI)]
    uri: String,
    /// Observations per second.
    #[arg(long, default_value_t = DEFAULT_STREAM_HZ)]
    hz: f64,
    /// Ask for each observation, even if the robot could push them.
    #[arg(long)]
    pull: bool,
    /// Seconds until it ends by itself.
    #[arg(long)]
    seconds: Option<f64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let end = tokio::time::sleep(Duration::from_secs_f64(arguments.seconds.unwrap_or(1e9).clamp(0.0, 1e9)));
    tokio::select! {
        result = show(&arguments) => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
        () = end => Ok(()),
    }
}

async fn show(arguments: &Arguments) -> Result<()> {
    // Shown without its query, which may have a token.
    let address = Address::parse(&arguments.uri)?;
    print(&format!("waiting for {address}\n"));
    let robot = PolicyClient::connect(&arguments.uri, Options::default()).await?;
    let mut stream = StreamOptions::hz(arguments.hz);
    stream.push = !arguments.pull;
    robot.start_obs_stream_with(stream)?;
    let mut cameras: HashMap<String, Frames> = HashMap::new();
    let mut version = 0;
    let mut shown = Instant::now();
    loop {
        // A lost robot brings no observation, but its table goes on.
        if let Ok(latest) = robot.newer_obs(version, Duration::from_millis(250)).await {
            version = latest.version;
            for camera in latest.observation.cameras() {
                cameras.entry(camera.name().to_owned()).or_default().saw(camera.timestamp());
            }
        }
        if shown.elapsed() < Duration::from_millis(250) {
            continue;
        }
        shown = Instant::now();
        // Home, the table, and nothing behind it.
        print(&format!("\x1b[H\x1b[J{}", table(&address, &robot, &cameras)));
    }
}

/// The pictures of a camera that were seen.
#[derive(Default)]
struct Frames {
    /// Stamp of the last, and when it came.
    last: Option<(f64, Instant)>,
    /// Seconds between two, smoothed.
    interval: f64,
}

impl Frames {
    fn saw(&mut self, stamp: f64) {
        match self.last {
            Some((last, _)) if last == stamp => {}
            Some((_, at)) => {
                let interval = at.elapsed().as_secs_f64();
                self.interval += (interval - self.interval) * if self.interval == 0.0 { 1.0 } else { 0.1 };
                self.last = Some((stamp, Instant::now()));
            }
            None => self.last = Some((stamp, Instant::now())),
        }
    }
}

fn table(address: &Address, robot: &PolicyClient, cameras: &HashMap<String, Frames>) -> String {
    let stats = robot.stats();
    let mut text = String::new();
    let mut line = |what: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{what}");
    };
    let state = match robot.state() {
        State::Ready => "connected".to_owned(),
        State::Lost(why) => format!("LOST ({why})"),
        other => format!("{other:?}").to_lowercase(),
    };
    line(format_args!("{address}  {state}, {} connections", stats.connections));
    let Some(latest) = robot.latest_obs() else {
        line(format_args!("no observation yet"));
        return text;
    };
    let observation = &latest.observation;
    line(format_args!(
        "observations {:6.1}/s  {:8} so far  {:8.2} MB each  age {:6.1} ms{}  left out {}",
        stats.observation_hz,
        latest.version,
        observation.frame().len() as f64 / 1e6,
        milliseconds(latest.age),
        if latest.stale { "  STALE" } else { "" },
        stats.skipped,
    ));
    if let Some(episode) = observation.episode() {
        let outcome = episode.outcome;
        line(format_args!(
            "episode {}, driven by {}, reward {}{}{}",
            episode.episode,
            episode.driver.name(),
            outcome.reward,
            if outcome.terminated { ", terminated" } else { "" },
            if outcome.truncated { ", truncated" } else { "" },
        ));
    }
    if let Some(clock) = robot.clock() {
        line(format_args!("clocks: round trip {:.2} ms", clock.round_trip * 1e3));
    }
    line(format_args!("\n{:<20} {:>14} {:>8} {:>10} {:>12}", "camera", "shape", "per s", "age ms", "stamp s"));
    for camera in observation.cameras() {
        let shape: Vec<String> = camera.shape().iter().map(usize::to_string).collect();
        let rate = cameras.get(camera.name()).map_or(0.0, |frames| frames.interval).recip();
        // When it was taken, on this computer's clock, if the clocks are related.
        let taken = robot.clock().map(|clock| clock.to_client(camera.timestamp()));
        let age = taken.map_or("-".to_owned(), |taken| format!("{:.1}", (robot.now() - taken) * 1e3));
        line(format_args!(
            "{:<20} {:>14} {:>8.1} {:>10} {:>12.3}{}",
            camera.name(),
            shape.join("×"),
            if rate.is_finite() { rate } else { 0.0 },
            age,
            camera.timestamp(),
            if camera.is_jpeg() { "  jpeg" } else { "" },
        ));
    }
    line(format_args!("\n{:<20} {:>8}  first values", "proprioception", "values"));
    for stream in observation.proprios() {
        let values: Vec<String> = stream.values().iter().take(8).map(|value| format!("{value:7.3}")).collect();
        line(format_args!("{:<20} {:>8} {}", stream.name(), stream.len(), values.join(" ")));
    }
    line(format_args!("\n{:<20} {:>8} {:>8} {:>10} {:>10}", "call", "replies", "failed", "p50 ms", "p99 ms"));
    for call in &stats.calls {
        line(format_args!(
            "{:<20} {:>8} {:>8} {:>10.2} {:>10.2}",
            call.call,
            call.replies,
            call.failed,
            milliseconds(call.p50),
            milliseconds(call.p99),
        ));
    }
    text
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn print(text: &str) {
    let mut out = io::stdout().lock();
    // Whoever reads it may have gone.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
