//! `cargo xtask bench sfu`: robots and operators at the embedded SFU, beside peers that are connected directly, and beside a forwarder on the
//! `webrtc` crate.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use tokio::runtime::{Handle, Runtime};
use waldo_tests::bench::sfu::{COMMAND, Counts, Engine, Load, Pace, Probe, Samples, SfuSide, pin, serve};
use waldo_tests::bench::{Report, Target, percentile};

/// Measures the SFU.
#[derive(Parser)]
#[command(name = "cargo xtask bench sfu", bin_name = "cargo xtask bench sfu --")]
struct Args {
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often everything is measured; the table shows the median.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Seconds that count, per measurement.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Sessions at most; there are as many as one core can generate.
    #[arg(long, default_value_t = 160, value_parser = clap::value_parser!(u32).range(20..=1000))]
    sessions: u32,
    /// Be the SFU, with this engine.
    #[arg(long, hide = true, value_name = "ENGINE")]
    sfu_side: Option<Engine>,
}

/// What an operator and a robot do: 50 commands a second, and 1.5 Mbit/s in 30 pictures a second.
const SESSION: Pace = Pace { commands: 50.0, pictures: 30.0, bytes: 6250 };

/// Much of one kind, by a few.
const COMMANDS: Pace = Pace { commands: 250.0, ..NOTHING };
const PICTURES: Pace = Pace { pictures: 120.0, bytes: 11_000, ..NOTHING };
const NOTHING: Pace = Pace { commands: 0.0, pictures: 0.0, bytes: 0 };

/// Who they are.
const FEW: usize = 20;

/// What of its core the load would take if many sessions cost what each of a few costs; they take about half of that, so that it keeps its times.
const GENERATE: f64 = 1.1;

/// The load runs for so long before and after the probe.
const AROUND: Duration = Duration::from_secs(1);

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(engine) = args.sfu_side {
        return serve(engine);
    }
    let mut report = Report::new("sfu");
    let pinned = pin(1);
    report
        .fact("cores", if pinned { "the SFU on the first, the load on the second" } else { "shared by SFU and load" });
    report.fact("a session", "50 commands/s to the robot, 1.5 Mbit/s of video at 30 Hz to the operator");
    report.fact("bytes of a command", COMMAND);
    report.fact(
        "added",
        "what a command takes through the SFU, less what it takes between peers of the same kind, in turns",
    );
    report.fact("per core", "of the SFU's core, extrapolated by the CPU time that it takes");
    report.fact("load before", load_average());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for repetition in 1..=args.repetitions {
        eprintln!("repetition {repetition} of {}: embedded", args.repetitions);
        embedded(&args, &runtime, &mut report).context("embedded")?;
        eprintln!("repetition {repetition} of {}: the webrtc crate", args.repetitions);
        webrtc(&args, &runtime, &mut report).context("webrtc")?;
    }
    let ratio = |what: &str| {
        let of = |engine| report.median(&format!("{engine}: {what}")).unwrap_or(f64::NAN);
        of("webrtc crate") / of("embedded")
    };
    let (cpu, memory) = (ratio(CPU_OF_COMMAND), ratio(MEMORY_WITHOUT));
    report.add("webrtc crate ÷ embedded: cpu of a command", "", cpu, None);
    report.add("webrtc crate ÷ embedded: memory of a session", "", memory, None);
    report.fact("load after", load_average());
    report.publish(args.json.as_deref())
}

const CPU_OF_COMMAND: &str = "cpu of a command";
const MEMORY_WITHOUT: &str = "memory of a session without video";

/// Of the last minute, five and fifteen minutes.
fn load_average() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn embedded(args: &Args, runtime: &Runtime, report: &mut Report) -> Result<()> {
    let _entered = runtime.enter();
    let seconds = Duration::from_secs(args.seconds.into());
    let side = SfuSide::start(&env::current_exe()?, Engine::Embedded)?;
    let (samples, vanished) = unloaded(&side, seconds, runtime.handle(), |probe| Ok(Some(probe.vanish()?)))?;
    latencies("embedded, unloaded", &samples, [Some(1.0), None], report);
    let vanished = vanished.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    report.add("embedded: operator vanishes → robot is told", "ms", vanished, Some(Target::AtMost(1000.0)));

    let (mut load, before) = (Load::new(runtime.handle().clone())?, side.memory()?);
    load.grow(&side.client, FEW, true)?;
    let tried = load.run(FEW, SESSION, Duration::from_secs(1))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of sessions")]
    let can = (FEW as f64 * GENERATE / share(tried.cpu, &tried)) as usize;
    let sessions = can.clamp(FEW, args.sessions as usize);
    load.grow(&side.client, sessions, true)?;
    let (counts, cpu) = measured(&side, || load.run(sessions, SESSION, seconds))?;
    let memory = side.memory()?.saturating_sub(before) as f64 / sessions as f64 / 1e3;
    let busy = share(cpu, &counts);
    let per_core = sessions as f64 / busy;
    let mut row = |what: &str, unit, value, target| report.add(format!("embedded: {what}"), unit, value, target);
    row("sessions generated", "", sessions as f64, None);
    row("cpu of the load with them", "%", share(counts.cpu, &counts) * 100.0, None);
    row("cpu of the SFU with them", "%", busy * 100.0, None);
    row("sessions per core", "", per_core, Some(Target::AtLeast(100.0)));
    row("commands lost with them", "", (counts.commands - counts.commands_got) as f64, Some(Target::AtMost(0.0)));
    row("packets lost with them", "", (counts.packets - counts.packets_got) as f64, Some(Target::AtMost(0.0)));
    row("memory of a session", "kB", memory, None);

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of sessions")]
    let half = ((per_core / 2.0) as usize).clamp(1, sessions);
    let (samples, counts, cpu) = probed(&side, &mut load, half, seconds, runtime.handle())?;
    report.add("embedded, half load: sessions", "", half as f64, None);
    report.add("embedded, half load: cpu of the SFU", "%", share(cpu, &counts) * 100.0, None);
    latencies("embedded, half load", &samples, [None, Some(2.0)], report);

    let (counts, cpu) = measured(&side, || load.run(FEW, PICTURES, seconds))?;
    let per_packet = cpu.as_secs_f64() / counts.packets as f64;
    report.add("embedded: packets of video per core", "1/s", 1.0 / per_packet, None);
    drop((load, side));
    commands_only("embedded", Engine::Embedded, seconds, runtime, report)
}

fn webrtc(args: &Args, runtime: &Runtime, report: &mut Report) -> Result<()> {
    let _entered = runtime.enter();
    let seconds = Duration::from_secs(args.seconds.into());
    let side = SfuSide::start(&env::current_exe()?, Engine::Webrtc)?;
    let (samples, _) = unloaded(&side, seconds, runtime.handle(), |_| Ok(None))?;
    latencies("webrtc crate, unloaded", &samples, [None; 2], report);
    drop(side);
    commands_only("webrtc crate", Engine::Webrtc, seconds, runtime, report)
}

/// A probe alone, on a thread of its own, and something that it does at the end.
fn unloaded(
    side: &SfuSide,
    seconds: Duration,
    runtime: &Handle,
    end: impl FnOnce(Probe) -> Result<Option<Duration>> + Send,
) -> Result<(Samples, Option<Duration>)> {
    thread::scope(|scope| {
        let probe = scope.spawn(move || {
            let mut probe = Probe::connect(&side.client, runtime)?;
            Ok((probe.run(seconds)?, end(probe)?))
        });
        probe.join().map_err(|_| anyhow!("the probe panicked"))?
    })
}

/// The same for both.
fn commands_only(name: &str, engine: Engine, seconds: Duration, runtime: &Runtime, report: &mut Report) -> Result<()> {
    let side = SfuSide::start(&env::current_exe()?, engine)?;
    let (mut load, before) = (Load::new(runtime.handle().clone())?, side.memory()?);
    load.grow(&side.client, FEW, false)?;
    let (counts, cpu) = measured(&side, || load.run(FEW, COMMANDS, seconds))?;
    let memory = side.memory()?.saturating_sub(before) as f64 / FEW as f64 / 1e3;
    let per_command = cpu.as_secs_f64() / counts.commands_got as f64;
    let mut row = |what: &str, unit, value| report.add(format!("{name}: {what}"), unit, value, None);
    row(CPU_OF_COMMAND, "µs", per_command * 1e6);
    row("commands per core", "1/s", 1.0 / per_command);
    row("commands lost", "", (counts.commands - counts.commands_got) as f64);
    row(MEMORY_WITHOUT, "kB", memory);
    Ok(())
}

/// What the load says, and the CPU time of the SFU meanwhile.
fn measured(side: &SfuSide, run: impl FnOnce() -> Result<Counts>) -> Result<(Counts, Duration)> {
    let before = side.cpu()?;
    let counts = run()?;
    Ok((counts, side.cpu()?.saturating_sub(before)))
}

/// A probe beside the load.
fn probed(
    side: &SfuSide,
    load: &mut Load,
    sessions: usize,
    seconds: Duration,
    runtime: &Handle,
) -> Result<(Samples, Counts, Duration)> {
    thread::scope(|scope| {
        let probe = scope.spawn(move || {
            thread::sleep(AROUND);
            Probe::connect(&side.client, runtime)?.run(seconds)
        });
        let (counts, cpu) = measured(side, || load.run(sessions, SESSION, seconds + 2 * AROUND))?;
        let samples = probe.join().map_err(|_| anyhow!("the probe panicked"))??;
        Ok((samples, counts, cpu))
    })
}

/// Part of a core.
fn share(cpu: Duration, counts: &Counts) -> f64 {
    cpu.as_secs_f64() / counts.time.as_secs_f64()
}

/// With targets for what is added at p50 and p99.
fn latencies(name: &str, samples: &Samples, targets: [Option<f64>; 2], report: &mut Report) {
    for ((part, word), target) in [(0.5, "p50"), (0.99, "p99")].into_iter().zip(targets) {
        let [through, direct] = [&samples.through, &samples.direct].map(|values| percentile(values, part));
        report.add(format!("{name}: direct {word}"), "ms", direct, None);
        report.add(format!("{name}: through {word}"), "ms", through, None);
        report.add(format!("{name}: added {word}"), "ms", through - direct, target.map(Target::AtMost));
    }
    report.add(format!("{name}: probes lost"), "", f64::from(samples.lost), Some(Target::AtMost(0.0)));
}
