//! The robot under everyday life for hours: clients of all kinds come and go at random, and nothing may be left of them.

mod visitors;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::bench::{Report, Target, percentile};
use crate::client::{Client, Operator};
use crate::process::{Holdings, RobotProcess};

pub use visitors::{Robot, Visit};

/// Clients at one time.
const PLACES: usize = 8;

/// How long a client may be away before the next takes its place.
const PAUSE: Duration = Duration::from_millis(500);

/// Connections that are opened and closed in the end, and how many of them at a time.
const CYCLES: usize = 200;
const AT_ONCE: usize = 4;

/// How long all traces of clients that have left may take to go: silence of a peer that said no goodbye counts after 10 s,
/// a missing pong after 40 s, a thread of the blocking pool rests for 10 s.
const SETTLING: Duration = Duration::from_secs(60);

/// Where a progress line cannot be redrawn, it comes so often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(20);

/// How much more memory may be held in the last quarter of the time than in the first one after the warm-up, percent.
const GROWTH: f64 = 25.0;

/// A run that is shorter has no figure for the growth: the allocator is still collecting what it keeps, and who happens to
/// watch makes more of a difference than a leak would.
const LONG: Duration = Duration::from_secs(600);

/// How much more may be allocated after all have left, MiB.
const LEFT: f64 = 3.0;

/// How much the second half of the cycles may add to what is allocated, MiB; 10 kB for each connection would be this much.
const ADDED: f64 = 1.0;

/// Longest that any answer to a well-behaved client may take while all this goes on, ms. Far more than the robot needs: the
/// clients, and in CI unoptimised code, keep the same machine busy. A robot that is blocked takes longer.
const PROMPT: f64 = 2000.0;

/// What to run.
pub struct Plan<'a> {
    /// The program `robot`.
    pub program: &'a Path,
    /// How long clients come and go.
    pub duration: Duration,
    /// Of who comes when.
    pub seed: u64,
}

/// What a client that behaves well met with.
#[derive(Default)]
struct Witness {
    /// Milliseconds that each answer took.
    answers: Vec<f64>,
}

/// Lets clients come and go, then all leave, and compares.
///
/// # Errors
/// If the robot ends, disconnects a client that behaves well, or cannot be looked at.
pub async fn run(plan: &Plan<'_>) -> Result<Report> {
    let data = TempDir::new()?;
    let mut process = RobotProcess::start(plan.program, data.path(), 0)?;
    let robot = Robot { addr: process.addr, tls: process.tls.clone() };
    let mut report = Report::new("soak");
    report.fact("seed", plan.seed);
    report.fact("clients", format!("up to {PLACES} at a time: drivers, viewers, half-dead ones, senders of garbage"));
    report
        .fact("tasks", "of the server's runtime; those of the WebRTC threads hold sockets, which are counted as files");

    eprintln!("soak: everybody once, to wake whatever starts with the first client");
    let mut chance = Rng::with_seed(plan.seed);
    for visit in Visit::ALL {
        visit.pay(&robot, Duration::from_secs(2), chance.fork()).await.with_context(|| format!("{visit:?}"))?;
    }
    let (_, begin) = settle(&mut process, None).await?;

    let (memory, visits, witness) = everyday_life(plan, &mut process, &robot, &mut chance).await?;
    let (took, after) = settle(&mut process, Some(&begin)).await?;
    add(&mut report, "after all have left", &begin, &after);
    report.add("time until nothing was left of them", "s", took.as_secs_f64(), None);

    eprintln!("\nsoak: {CYCLES} connections, opened and closed");
    cycles(CYCLES / 2, &robot, &mut chance).await?;
    let (_, half) = settle(&mut process, Some(&begin)).await?;
    cycles(CYCLES / 2, &robot, &mut chance).await?;
    let (_, after) = settle(&mut process, Some(&begin)).await?;
    add(&mut report, &format!("after {CYCLES} cycles"), &begin, &after);
    let added = after.allocated - half.allocated;
    report.add("allocated by the second half of them", "MiB", added, Some(Target::AtMost(ADDED)));

    let (early, late) = quarters(&memory);
    report.add("memory, first quarter after the warm-up", "MiB", early, None);
    report.add("memory, last quarter", "MiB", late, None);
    let growth = (late / early - 1.0) * 100.0;
    report.add("memory, growth", "%", growth, (plan.duration >= LONG).then_some(Target::AtMost(GROWTH)));
    report.add("memory, in the end", "MiB", after.memory, None);
    report.add("visits", "", visits as f64, Some(Target::AtLeast(1.0)));
    report.add(
        "longest answer to a good client",
        "ms",
        percentile(&witness.answers, 1.0),
        Some(Target::AtMost(PROMPT)),
    );
    report.add("answers to it, p99", "ms", percentile(&witness.answers, 0.99), None);
    process.stop()?;
    Ok(report)
}

/// Differences to the beginning, which shall be none.
fn add(report: &mut Report, when: &str, begin: &Holdings, now: &Holdings) {
    for (what, before, after) in [
        ("open files", begin.files, now.files),
        ("threads", begin.threads, now.threads),
        ("tasks", begin.tasks, now.tasks),
    ] {
        let left = after as f64 - before as f64;
        report.add(format!("{when}: {what} more than {before}"), "", left, Some(Target::AtMost(0.0)));
    }
    let left = now.allocated - begin.allocated;
    report.add(format!("{when}: allocated more than {:.1}", begin.allocated), "MiB", left, Some(Target::AtMost(LEFT)));
}

/// Medians of the first and the last quarter of what was held after the warm-up.
fn quarters(memory: &[f64]) -> (f64, f64) {
    let quarter = memory.len() / 4;
    (percentile(&memory[..quarter], 0.5), percentile(&memory[memory.len() - quarter..], 0.5))
}

/// Clients come and go; gives the memory after the warm-up by the second, the number of visits, and what a client saw
/// that stayed.
async fn everyday_life(
    plan: &Plan<'_>,
    process: &mut RobotProcess,
    robot: &Robot,
    chance: &mut Rng,
) -> Result<(Vec<f64>, usize, Witness)> {
    let begin = Instant::now();
    // Half of the time, at most five minutes.
    let warm_up = (plan.duration / 2).min(Duration::from_secs(300));
    let mut places = JoinSet::new();
    let mut visits = 0;
    let mut come = |places: &mut JoinSet<Result<()>>| {
        let (robot, mut chance) = (robot.clone(), chance.fork());
        visits += 1;
        places.spawn(async move {
            sleep(PAUSE.mul_f64(chance.f64())).await;
            let visit = Visit::ALL[chance.usize(..Visit::ALL.len())];
            let stay = visit.longest_stay().mul_f64(chance.f64());
            visit.pay(&robot, stay, chance).await.with_context(|| format!("{visit:?}"))
        });
    };
    for _ in 0..PLACES {
        come(&mut places);
    }
    let good = robot.clone();
    let end = begin + plan.duration;
    let mut witness = tokio::spawn(async move { stay(&good, end).await });
    let mut progress = Progress::default();
    let mut memory = Vec::new();
    let mut seconds = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            Some(visit) = places.join_next() => {
                visit??;
                if begin.elapsed() < plan.duration {
                    come(&mut places);
                }
            }
            _ = seconds.tick() => {
                let now = process.holdings()?;
                if begin.elapsed() >= warm_up {
                    memory.push(now.memory);
                }
                progress.tell(begin.elapsed(), plan.duration, &now);
            }
            told = &mut witness => {
                places.shutdown().await;
                return Ok((memory, visits, told??));
            }
        }
    }
}

/// A client that drives, asks something once in a while, and must never be disturbed.
async fn stay(robot: &Robot, end: Instant) -> Result<Witness> {
    let mut client = Client::connect(robot.addr, &robot.tls, "/ws").await?;
    let mut operator = Operator::default();
    let mut frames = interval(Duration::from_secs(1) / 30);
    let mut witness = Witness::default();
    let hello =
        json!({ "type": "hello", "v": 1, "client": "soak/1", "stream": "witness", "role": "driver", "caps": [] });
    let mut asked = None;
    let mut number = 0;
    while Instant::now() < end {
        tokio::select! {
            _ = frames.tick() => {
                client.send_frame(operator.capture()).await.context("the good client was disconnected")?;
                number += 1;
                if asked.is_none() && number % 10 == 0 {
                    asked = Some(Instant::now());
                    client.send(hello.to_string()).await?;
                }
            }
            message = client.receive() => {
                if message.context("the good client was disconnected")?["type"] == "hello"
                    && let Some(asked) = asked.take()
                {
                    witness.answers.push(asked.elapsed().as_secs_f64() * 1000.0);
                }
            }
        }
    }
    ensure!(!witness.answers.is_empty(), "the good client was never answered");
    Ok(witness)
}

/// Opens and closes connections with video, a few at a time.
async fn cycles(count: usize, robot: &Robot, chance: &mut Rng) -> Result<()> {
    let mut running = JoinSet::new();
    for _ in 0..count {
        if running.len() == AT_ONCE
            && let Some(done) = running.join_next().await
        {
            done??;
        }
        let (robot, chance) = (robot.clone(), chance.fork());
        running.spawn(async move { Visit::Viewer.pay(&robot, Duration::ZERO, chance).await });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}

/// Waits until no more is held than at `begin`; without a beginning, until nothing has changed for some seconds. Gives up
/// in the end, with what is held then.
async fn settle(process: &mut RobotProcess, begin: Option<&Holdings>) -> Result<(Duration, Holdings)> {
    const STILL: Duration = Duration::from_secs(12);
    let start = Instant::now();
    let (mut last, mut since) = (process.holdings()?, Instant::now());
    loop {
        let now = process.holdings()?;
        if !(now.returned_to(&last) && last.returned_to(&now)) {
            (last, since) = (now, Instant::now());
        }
        let done = begin.map_or(since.elapsed() >= STILL, |begin| now.returned_to(begin));
        if done || start.elapsed() >= SETTLING {
            return Ok((start.elapsed(), now));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The line that tells how far it is.
#[derive(Default)]
struct Progress {
    told: Option<Duration>,
}

impl Progress {
    fn tell(&mut self, now: Duration, of: Duration, held: &Holdings) {
        let terminal = io::stderr().is_terminal();
        if !terminal && self.told.is_some_and(|told| now.saturating_sub(told) < PLAIN_INTERVAL) {
            return;
        }
        self.told = Some(now);
        let clock = |time: Duration| format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60);
        let Holdings { memory, allocated, files, threads, tasks } = held;
        let line = format!(
            "soak {} of {}: {memory:.1} MiB, {allocated:.1} of it allocated, {files} files, {threads} threads, {tasks} tasks",
            clock(now),
            clock(of)
        );
        let (start, end) = if terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        // Progress that nobody can read is no failure.
        let _ = write!(io::stderr(), "{start}{line}{end}");
    }
}
