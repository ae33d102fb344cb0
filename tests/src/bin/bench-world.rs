//! `cargo xtask bench world`: hosted teleoperation over routes around the world, with the operator's page in Chromium.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use tokio::time::sleep;
use waldo_tests::bench::{Report, Target, percentile};
use waldo_tests::world::{Engine, Leg, Recovery, Route, World, unix_ms};

/// Measures commands, pictures, stops and recoveries of an operator far away.
#[derive(Parser)]
#[command(name = "cargo xtask bench world", bin_name = "cargo xtask bench world --")]
struct Args {
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often everything is measured; the table shows the median.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Seconds of driving that count, per route.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Stops per route; the table shows their median and the slowest.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    stops: u32,
    /// Measure only these routes, by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROUTES")]
    routes: Option<Vec<Route>>,
    /// Leave out what happens when the broker is killed.
    #[arg(long)]
    no_outages: bool,
}

/// Rate control, jitter buffer and congestion control settle in this time.
const WARM_UP: Duration = Duration::from_secs(4);

const CUT: Duration = Duration::from_secs(5);

/// How long the broker is away.
const AWAY: Duration = Duration::from_secs(8);

/// The SFU and all that is not the network may add so much to the median of a command's round trip.
const ADDED_MS: f64 = 5.0;

/// So much of its jitter a route adds to its mean, as no packet overtakes another.
const QUEUED: f64 = 0.5;

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let own = std::env::current_exe()?;
    let broker = own.with_file_name("broker");
    let mut report = Report::new("world");
    report.fact("robot, broker, operator", "three network namespaces; page in headless Chromium, software rendering");
    report.fact("commands", "the page's own, 80 per second; pings and pongs take the channels of the stop");
    report.fact("glass to glass", "from the simulated camera, 640x480, to the screen, by the stamp in the picture");
    report.fact("a leg is cut for 5 s", "back: from the end of the cut on");
    let routes = args.routes.clone().unwrap_or_else(|| Route::value_variants().to_vec());
    let described: Vec<_> = routes.iter().map(|route| format!("{}: {}", route.name(), route.describe())).collect();
    report.fact("routes", described.join("; "));
    for repetition in 1..=args.repetitions {
        for route in &routes {
            eprintln!("repetition {repetition} of {}: {}", args.repetitions, route.name());
            let world = World::open(*route, Engine::Embedded, &broker).await.context("the world does not begin")?;
            one(&world, *route, &args, &mut report).await?;
            world.close().await?;
        }
        if !args.no_outages {
            eprintln!("repetition {repetition} of {}: the broker is killed", args.repetitions);
            outages(&broker, &mut report).await?;
        }
    }
    report.publish(args.json.as_deref())
}

async fn one(world: &World, route: Route, args: &Args, report: &mut Report) -> Result<()> {
    let name = route.name();
    // Once more: the first time was the browser's first of everything.
    world.operator.leave().await?;
    let connect = world.operator.connect().await?;
    world.drive().await?;
    sleep(WARM_UP).await;
    let before = world.robot.heard().counted.context("telemetry")?;
    let from = unix_ms();
    world.operator.begin().await?;
    sleep(Duration::from_secs(args.seconds.into())).await;
    let ride = world.operator.end().await?;
    let heard = world.robot.heard();
    let after = heard.counted.context("telemetry")?;
    let [received, lost] = [0, 1].map(|index| (after[index] - before[index]) as f64);
    let ages: Vec<f64> = heard.ages.iter().filter(|(at, _)| *at >= from).map(|(_, age)| *age).collect();
    let latencies: Vec<f64> = ride.pictures.iter().map(|picture| picture.at - picture.taken).collect();
    let all = f64::from(ride.unreadable) + latencies.len() as f64;

    let mut row = |what: &str, unit, value, limit: Option<f64>| {
        report.add(format!("{name}: {what}"), unit, value, limit.map(Target::AtMost));
    };
    row("connect → moving picture", "ms", connect, Some(2000.0));
    row(
        "command round trip p50",
        "ms",
        percentile(&ride.trips, 0.5),
        Some(route.rtt_ms() + QUEUED * route.jitter_ms() + ADDED_MS),
    );
    row("command round trip p99", "ms", percentile(&ride.trips, 0.99), None);
    row("of it, waiting for the page's thread p50", "ms", percentile(&ride.waits, 0.5), None);
    row("command to robot, age p50", "ms", percentile(&ages, 0.5), None);
    row("command to robot, age p99", "ms", percentile(&ages, 0.99), None);
    row("commands lost", "%", lost / (received + lost) * 100.0, None);
    row("longest pause of the drive", "ms", heard.longest_pause(from, unix_ms()), None);
    row("glass to glass p50", "ms", percentile(&latencies, 0.5), None);
    row("glass to glass p99", "ms", percentile(&latencies, 0.99), None);
    row("pictures decoded", "1/s", ride.fps, None);
    row("pictures received", "kbit/s", ride.kbps, None);
    row("pictures with unreadable stamp", "%", f64::from(ride.unreadable) / all * 100.0, None);
    row("freezes", "", ride.freezes, None);
    row("frozen", "ms", ride.frozen_ms, None);

    eprintln!("{name}: stops");
    for _ in 0..args.stops {
        world.drive().await?;
        let stop = world.operator.stop().await?;
        row("stop → acknowledged", "ms", stop.acked - stop.pressed, Some(300.0));
        let stood = world.robot.heard().stands_after(stop.pressed).context("it stands when it acknowledges")?;
        row("stop → robot stands", "ms", stood - stop.pressed, None);
        world.operator.re_arm().await?;
    }
    for (leg, what) in [(Leg::Operator, "operator's"), (Leg::Robot, "robot's")] {
        eprintln!("{name}: the {what} leg is cut");
        let Recovery { stands, sees, drives } = world.cut(leg, CUT).await?;
        row(&format!("{what} leg cut: robot stands after"), "ms", stands, Some(1500.0));
        row(&format!("{what} leg cut: picture back after"), "ms", sees, None);
        row(&format!("{what} leg cut: drive back after"), "ms", drives, None);
    }
    Ok(())
}

async fn outages(broker: &std::path::Path, report: &mut Report) -> Result<()> {
    let mut row = |what: &str, value, limit: f64| report.add(what, "ms", value, Some(Target::AtMost(limit)));
    let mut world = World::open(Route::City, Engine::Process, broker).await?;
    world.operator.begin().await?;
    let away = world.broker_away(AWAY).await?;
    row("broker killed, SFU stays: longest pause of the drive", away.without_motion, 1000.0);
    row("broker killed, SFU stays: longest time without a new picture", away.without_picture, 1000.0);
    row("broker killed, SFU stays: leaving and connecting anew afterwards", away.reconnects, 5000.0);
    world.close().await?;

    let mut world = World::open(Route::City, Engine::Embedded, broker).await?;
    let outage = world.all_away(AWAY).await?;
    row("broker killed with its SFU: robot stands after", outage.stands, 1000.0);
    row("broker killed with its SFU: picture back after its return", outage.live, 5000.0);
    row("broker killed with its SFU: drive back after a fresh press", outage.drives, 1000.0);
    world.close().await
}
