//! `cargo xtask bench field`: users whose hands drive arms, and spectators who watch, beside bare sockets that carry as many
//! bytes.

use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use waldo_protocol::field::{CharacterMode, ControllerSample, Extension, Transform};
use waldo_tests::bench::field::{Echo, FieldSide, Frame, Watched, Watchers, serve, stall};
use waldo_tests::bench::{Report, Target, percentile};
use waldo_tests::field::{Drive, FieldUser, sample, tagged};

/// Measures the field wire.
#[derive(Parser)]
#[command(name = "cargo xtask bench field", bin_name = "cargo xtask bench field --")]
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
    /// Users who drive at the same time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=32))]
    users: u32,
    /// Spectators of the scene with eight arms.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    spectators: u32,
    /// Be the field, with soft arms or without a simulation.
    #[arg(long, hide = true, value_name = "SOFT")]
    field_side: Option<bool>,
}

/// Rate of the scene.
const HZ: f64 = 72.0;

/// Rates of the users' hands, in turns.
const HAND_HZ: [f64; 2] = [72.0, 90.0];

/// Everything runs for so long before it counts.
const SETTLING: Duration = Duration::from_secs(1);

/// Exchanges with the floor, per repetition.
const EXCHANGES: u32 = 200;

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(soft) = args.field_side {
        return serve(soft);
    }
    let mut report = Report::new("field");
    report.fact("processes", "the field in one, everybody in it in another, over loopback");
    report.fact("input → scene", "from sending a sample until a scene is there that shows it or a newer one");
    report.fact("off beat", "how far the time between two frames is from 1/72 s, of all spectators");
    report.fact("cpu", "of the field, of one core");
    report.fact("load before", load());
    for repetition in 1..=args.repetitions {
        eprintln!("repetition {repetition} of {}: users", args.repetitions);
        users(&args, &mut report).context("users")?;
        for watching in WATCHING {
            eprintln!("repetition {repetition} of {}: {}", args.repetitions, watching.name);
            spectators(&args, watching, &mut report).context(watching.name)?;
        }
    }
    compare(&args, &mut report);
    report.fact("load after", load());
    report.publish(args.json.as_deref())
}

/// Of the last minute, five and fifteen minutes; this machine's cores are in the first line of the table.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Users who drive two arms each that show what they are told.
fn users(args: &Args, report: &mut Report) -> Result<()> {
    let mut field = FieldSide::start(&env::current_exe()?, false)?;
    let seconds = Duration::from_secs(args.seconds.into());
    let mut users = Vec::new();
    for (number, hz) in (0..args.users).zip(HAND_HZ.into_iter().cycle()) {
        let user = FieldUser::join(field.addresses.field, &format!("user{number}"), CharacterMode::TwoCr)?;
        // Hands and scenes come at every phase to each other once.
        users.push((user, hz, hz - 1.0 / seconds.as_secs_f64()));
    }
    let spectator = Watchers::of_field(field.addresses.field, 1, &[])?;
    let (begin, cpu) = (Instant::now(), field.cpu()?);
    let settled = begin + SETTLING;
    let (drives, watched) = thread::scope(|scope| {
        let driving: Vec<_> = users
            .into_iter()
            .map(|(user, hz, real)| scope.spawn(move || Ok((hz, user.drive(real, SETTLING + seconds, hands)?))))
            .collect();
        thread::sleep(SETTLING);
        let watched = spectator.watch(seconds);
        let drives: Result<Vec<_>> =
            driving.into_iter().map(|user| user.join().map_err(|_| anyhow!("a user panicked"))?).collect();
        (drives, watched)
    });
    let (drives, watched) = (drives?, watched?);
    let cpu = field.cpu()?.saturating_sub(cpu).as_secs_f64() / begin.elapsed().as_secs_f64();

    for hz in HAND_HZ {
        let those: Vec<&Drive> = drives.iter().filter(|(of, _)| *of == hz).map(|(_, drive)| drive).collect();
        if those.is_empty() {
            continue;
        }
        let mut row = |what: &str, unit, value, target| {
            report.add(format!("{} users, hands at {hz} Hz: {what}", args.users), unit, value, target);
        };
        let rates: Vec<f64> = those.iter().map(|drive| accepted(drive, settled)).collect();
        let real = hz - 1.0 / seconds.as_secs_f64();
        row("samples accepted, per user", "1/s", percentile(&rates, 0.0), Some(Target::AtLeast(real * 0.99)));
        let latencies: Vec<f64> =
            those.iter().flat_map(|drive| drive.latencies(settled, |sight| Some(sight.tag()))).collect();
        row("input → scene p50", "ms", percentile(&latencies, 0.5), Some(Target::AtMost(10.0)));
        row("input → scene p99", "ms", percentile(&latencies, 0.99), Some(Target::AtMost(20.0)));
    }
    let total: f64 = drives.iter().map(|(_, drive)| accepted(drive, settled)).sum();
    report.add(format!("{} users: samples accepted, together", args.users), "1/s", total, None);
    report.add(format!("{} users: cpu", args.users), "%", cpu * 100.0, None);
    show(&format!("{} users", args.users), &watched, 1.0, report);

    let scene = typical(&watched);
    let sample = sample(0, SETTLING, hands(0)).encode().len();
    report.fact("bytes of a sample", sample);
    report.fact("bytes of a scene with four arms", scene);
    let (mut echo, mut latencies) = (Echo::connect(field.addresses.floor, sample, scene)?, Vec::new());
    for _ in 0..EXCHANGES {
        thread::sleep(Duration::from_secs_f64(1.0 / HZ));
        latencies.push(echo.exchange()?);
    }
    report.add("bare TCP: as many bytes there and back, p50", "ms", percentile(&latencies, 0.5), None);
    report.add("bare TCP: as many bytes there and back, p99", "ms", percentile(&latencies, 0.99), None);
    Ok(())
}

/// Both hands draw small circles; how they are turned is the number of the sample.
fn hands(number: u32) -> [ControllerSample; 2] {
    let angle = f64::from(number) / 90.0;
    [-0.2, 0.2].map(|x| {
        let translation = [x + 0.1 * angle.cos(), 1.2 + 0.1 * angle.sin(), 0.1];
        let pose = Transform { translation, rotation_xyzw: tagged(number) };
        // Pushed forward, the right stick lets an octopus crawl.
        ControllerSample { grip: 1.0, joystick: [0.2, -0.8], ..ControllerSample::at(pose) }
    })
}

/// Samples per second that the field took, as it says itself.
fn accepted(drive: &Drive, from: Instant) -> f64 {
    let mut acks = drive.seen.iter().filter(|sight| sight.at >= from).filter_map(|sight| Some((sight.at, sight.ack?)));
    let (Some((begin, first)), Some((end, last))) = (acks.next(), acks.next_back()) else { return f64::NAN };
    let taken = last.seq.wrapping_sub(first.seq).saturating_sub(last.lost.wrapping_sub(first.lost));
    f64::from(taken) / (end - begin).as_secs_f64()
}

/// How spectators watch.
#[derive(Clone, Copy)]
struct Watching {
    name: &'static str,
    ext: &'static [Extension],
    /// With one more who never reads.
    stalled: bool,
}

const WATCHING: [Watching; 4] = [
    Watching { name: PLAIN, ext: &[], stalled: false },
    Watching { name: "plain, one stalled", ext: &[], stalled: true },
    Watching { name: DELTA, ext: &[Extension::SceneDelta], stalled: false },
    Watching { name: BINARY, ext: &[Extension::SceneDelta, Extension::SceneBin], stalled: false },
];

const PLAIN: &str = "plain";
const DELTA: &str = "delta";
const BINARY: &str = "binary";

/// Spectators of one octopus that crawls on eight soft arms.
fn spectators(args: &Args, watching: Watching, report: &mut Report) -> Result<()> {
    let mut field = FieldSide::start(&env::current_exe()?, true)?;
    let addr = field.addresses.field;
    let seconds = Duration::from_secs(args.seconds.into());
    let user = FieldUser::join(addr, "amy", CharacterMode::CathyForaging)?;
    let begin = Instant::now();
    let (watched, cpu, drive) = thread::scope(|scope| -> Result<_> {
        let hz = HZ - 1.0 / seconds.as_secs_f64();
        let driving = scope.spawn(move || user.drive(hz, 2 * SETTLING + seconds, hands));
        let stalled = watching.stalled.then(|| stall(addr)).transpose()?;
        let watchers = Watchers::of_field(addr, args.spectators as usize, watching.ext)?;
        thread::sleep((2 * SETTLING).saturating_sub(begin.elapsed()));
        let (begin, before) = (Instant::now(), field.cpu()?);
        let watched = watchers.watch(seconds)?;
        let cpu = field.cpu()?.saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64();
        drop(stalled);
        Ok((watched, cpu, driving.join().map_err(|_| anyhow!("the user panicked"))??))
    })?;
    let name = format!("8 arms, {} spectators, {}", args.spectators, watching.name);
    let tolerated = if watching.stalled { 2.0 } else { 1.0 };
    show(&name, &watched, tolerated, report);
    let mut row = |what: &str, unit, value, target| report.add(format!("{name}: {what}"), unit, value, target);
    let per_second: Vec<f64> = watched.iter().map(|one| bytes_per_second(one)).collect();
    // What the arms of an octopus may cost everybody who agreed on less than plain scenes.
    let target = (watching.name == BINARY).then_some(Target::AtMost(4.0));
    row("to each spectator", "Mbit/s", percentile(&per_second, 0.5) * 8.0 / 1e6, target);
    let per_frame: Vec<f64> = watched.iter().map(|one| bytes_per_second(one) / rate(one) / 1e3).collect();
    row("a frame, on the average", "kB", percentile(&per_frame, 0.5), None);
    let latencies = drive.latencies(begin + 2 * SETTLING, |sight| sight.ack.map(|ack| ack.seq));
    row("input → acknowledged p50", "ms", percentile(&latencies, 0.5), None);
    row("input → acknowledged p99", "ms", percentile(&latencies, 0.99), None);
    row("cpu", "%", cpu * 100.0, None);
    if watching.name == PLAIN {
        let scene = typical(&watched);
        report.fact("bytes of a scene with eight arms", scene);
        let floor = Watchers::of_floor(field.addresses.floor, args.spectators as usize, scene)?;
        thread::sleep(SETTLING);
        let watched = floor.watch(seconds)?;
        beat(&format!("bare TCP, {} sockets, as many bytes", args.spectators), &watched, None, report);
    }
    Ok(())
}

/// The rows that every crowd of spectators has.
fn show(name: &str, watched: &[Watched], tolerated: f64, report: &mut Report) {
    beat(name, watched, Some(tolerated), report);
    let off: Vec<f64> = watched.iter().map(|one| (simulated(one) - 1.0).abs() * 100.0).collect();
    report.add(format!("{name}: simulated time, off"), "%", percentile(&off, 1.0), Some(Target::AtMost(1.0)));
}

/// How evenly frames come.
fn beat(name: &str, watched: &[Watched], tolerated: Option<f64>, report: &mut Report) {
    let rates: Vec<f64> = watched.iter().map(|one| rate(one)).collect();
    let off_rate: Vec<f64> = rates.iter().map(|rate| (rate / HZ - 1.0).abs() * 100.0).collect();
    let mut row = |what: &str, unit, value, target| report.add(format!("{name}: {what}"), unit, value, target);
    row("frames, slowest spectator", "1/s", percentile(&rates, 0.0), None);
    row("frames, off 72 Hz, worst spectator", "%", percentile(&off_rate, 1.0), tolerated.map(Target::AtMost));
    let off: Vec<f64> = watched
        .iter()
        .flat_map(|one| one.windows(2).map(|pair| ((pair[1].at - pair[0].at).as_secs_f64() - 1.0 / HZ).abs() * 1e3))
        .collect();
    row("off beat p50", "ms", percentile(&off, 0.5), None);
    row("off beat p99", "ms", percentile(&off, 0.99), None);
}

/// From the first to the last frame, so that it matters little when the counting began.
fn span(one: &[Frame]) -> Option<(&Frame, &Frame, f64)> {
    let (first, last) = (one.first()?, one.last()?);
    Some((first, last, (last.at - first.at).as_secs_f64()))
}

fn rate(one: &[Frame]) -> f64 {
    span(one).map_or(f64::NAN, |(.., seconds)| (one.len() - 1) as f64 / seconds)
}

/// Simulated seconds per second.
fn simulated(one: &[Frame]) -> f64 {
    span(one).map_or(f64::NAN, |(first, last, seconds)| (last.timestamp - first.timestamp) / seconds)
}

fn bytes_per_second(one: &[Frame]) -> f64 {
    span(one)
        .map_or(f64::NAN, |(.., seconds)| one.iter().skip(1).map(|frame| frame.bytes).sum::<usize>() as f64 / seconds)
}

/// Bytes of a frame in the middle of all.
fn typical(watched: &[Watched]) -> usize {
    let mut sizes: Vec<usize> = watched.iter().flatten().map(|frame| frame.bytes).collect();
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied().unwrap_or(0)
}

/// What the encodings save: by frame, as a busy machine shows fewer of them.
fn compare(args: &Args, report: &mut Report) {
    let of = |name| report.median(&format!("8 arms, {} spectators, {name}: a frame, on the average", args.spectators));
    let [plain, delta, binary] = [PLAIN, DELTA, BINARY].map(|name| of(name).unwrap_or(f64::NAN));
    report.add("delta ÷ plain: bytes", "%", delta / plain * 100.0, None);
    report.add("binary ÷ plain: bytes", "%", binary / plain * 100.0, Some(Target::AtMost(12.5)));
}
