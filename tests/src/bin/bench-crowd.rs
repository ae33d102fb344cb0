//! `cargo xtask bench crowd`: what clients cost each other and the robot.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tempfile::TempDir;
use tokio::time::sleep;
use waldo_server::tls;
use waldo_server::video::VideoSource;
use waldo_server::vr::VrServer;
use waldo_tests::bench::{PaintedCameras, Report, Target, percentile, process_cpu};
use waldo_tests::client::trusting;
use waldo_tests::crowd::{Viewers, delays};
use waldo_tests::robot::local;

/// Measures what a client that stops reading costs the others, and what a further viewer costs the robot.
#[derive(Parser)]
#[command(name = "cargo xtask bench crowd", bin_name = "cargo xtask bench crowd --")]
struct Args {
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often everything is measured; the table shows the median.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Seconds that count, per measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Be some viewers of the server on this port instead, whose data folder is given, until standard input ends.
    #[arg(long, hide = true, num_args = 3, value_names = ["PORT", "FOLDER", "COUNT"])]
    watch: Option<Vec<String>>,
}

const CROWD: usize = 24;

const WARM_UP: Duration = Duration::from_secs(2);

const HEADSET_HZ: u32 = 90;

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if let Some([port, folder, count]) = args.watch.as_deref() {
        return watch(port.parse()?, Path::new(folder), count.parse()?).await;
    }
    let mut report = Report::new("crowd");
    report.fact("messages", "128 KiB to everybody, 90 times a second; the other client reads none of them");
    report.fact("viewers", "of one camera, 1280x720 at 30 per second; native, in a process of their own");
    report.fact("cpu", "the server without the camera, of one core");
    for repetition in 1..=args.repetitions {
        eprintln!("repetition {repetition} of {}: a client that stops reading", args.repetitions);
        stalled(args.seconds, &mut report).await?;
        let mut shares = Vec::new();
        for count in [1, CROWD] {
            eprintln!("repetition {repetition} of {}: {count} viewers", args.repetitions);
            let (cpu, pictures) = watched(count, Duration::from_secs(args.seconds.into())).await?;
            report.add(format!("{count} viewers: cpu"), "%", cpu, None);
            report.add(format!("{count} viewers: pictures for each"), "1/s", pictures, None);
            shares.push(cpu);
        }
        report.add("cpu per further viewer", "%", (shares[1] - shares[0]) / (CROWD - 1) as f64, None);
    }
    report.publish(args.json.as_deref())
}

/// Delays of a client alone, and beside one that stops reading.
async fn stalled(seconds: u32, report: &mut Report) -> Result<()> {
    let alone = delays(seconds * HEADSET_HZ, false).await?;
    let beside = delays(seconds * HEADSET_HZ, true).await?;
    for (way, alone, beside) in [("poses", alone.up, beside.up), ("messages", alone.down, beside.down)] {
        for (what, share) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
            let [alone, beside] = [&alone, &beside].map(|delays| percentile(delays, share));
            report.add(format!("{way}: {what}, alone"), "ms", alone, None);
            report.add(format!("{way}: {what}, beside it"), "ms", beside, None);
            let target = (what == "p99").then_some(Target::AtMost(5.0));
            report.add(format!("{way}: {what}, added by it"), "ms", beside - alone, target);
        }
    }
    Ok(())
}

/// The server's CPU share in percent, and pictures per second of each viewer.
async fn watched(count: usize, duration: Duration) -> Result<(f64, f64)> {
    let data = TempDir::new()?;
    let painted = PaintedCameras::start(1, 1280, 720);
    let server = VrServer::new(local(data.path()));
    let sources = painted.cameras.iter().map(|c| (c.name().to_owned(), VideoSource::Camera(c.clone()))).collect();
    server.set_video_sources(Some(sources));
    server.start().await?;
    let port = server.addr().context("the server runs")?.port();
    let mut crowd = Crowd::start(port, data.path(), count)?;
    crowd.line()?;
    sleep(WARM_UP).await;
    let cpu = || process_cpu().saturating_sub(painted.cpu());
    let before = crowd.seen()?;
    let (started, used) = (Instant::now(), cpu());
    sleep(duration).await;
    let (used, seconds) = (cpu().saturating_sub(used).as_secs_f64(), started.elapsed().as_secs_f64());
    let pictures = crowd.seen()? - before;
    drop(crowd);
    server.stop().await;
    Ok((used / seconds * 100.0, pictures / count as f64 / seconds))
}

/// Viewers in a process of their own, so that their work does not count.
struct Crowd {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Crowd {
    fn start(port: u16, data: &Path, count: usize) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--watch").arg(port.to_string()).arg(data).arg(count.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("a pipe")?);
        Ok(Self { child, output })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "the viewers have ended");
        Ok(line)
    }

    /// Pictures that all of them have received.
    fn seen(&mut self) -> Result<f64> {
        self.child.stdin.as_mut().context("a pipe")?.write_all(b"\n")?;
        Ok(self.line()?.trim().parse()?)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The viewers' process: a line when all see something, then for each byte the number of pictures so far.
async fn watch(port: u16, data: &Path, count: usize) -> Result<()> {
    let (identity, _) = tls::certificate(&local(data))?;
    let connector = trusting(identity.certificate().clone())?;
    let viewers = Viewers::arrive(count, 1, (Ipv4Addr::LOCALHOST, port).into(), &connector).await?;
    let mut output = std::io::stdout();
    writeln!(output, "all watch")?;
    let answering = tokio::task::spawn_blocking(move || {
        while std::io::stdin().read_exact(&mut [0]).is_ok() {
            writeln!(output, "{}", viewers.counts().iter().sum::<u64>())?;
        }
        Ok(())
    });
    answering.await?
}
