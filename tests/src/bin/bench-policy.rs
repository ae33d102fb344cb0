//! `cargo xtask bench policy`: observations and streams through the policy service and client, and the floors beside them.

use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use waldo_policy_client::blocking::PolicyClient;
use waldo_policy_client::{Observation, Options, StreamOptions};
use waldo_server::clock;
use waldo_tests::bench::policy::{Addresses, RobotSide, SETS, Set, TcpFloor, ZenohFloor, serve};
use waldo_tests::bench::{Report, Target, percentile, process_cpu};
use waldo_tests::client::PATIENCE;

/// Measures the policy wire.
#[derive(Parser)]
#[command(name = "cargo xtask bench policy", bin_name = "cargo xtask bench policy --")]
struct Args {
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often everything is measured; the table shows the median.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Requests that count, per repetition, set and transport.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(20..))]
    requests: u32,
    /// Seconds that count of each stream, per repetition.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Measure only the sets whose name contains this, such as `3 × 1280`.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Be the robot's side of this set.
    #[arg(long, hide = true, value_name = "SET")]
    robot_side: Option<usize>,
}

/// Requests in a row before whoever comes next is measured: the speed of a machine changes within seconds.
const BATCH: u32 = 20;

/// Requests before those that count.
const WARM_UP: u32 = 10;

/// Rate of the streams and of the cameras meanwhile.
const HZ: u32 = 30;

/// A stream runs for so long before it counts.
const SETTLING: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    WebSocket,
    Zenoh,
    /// As from another computer, but for the network.
    PlainZenoh,
}

impl Transport {
    const fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "WebSocket",
            Self::Zenoh => "Zenoh",
            Self::PlainZenoh => "Zenoh without shared memory",
        }
    }

    const fn floor(self) -> &'static str {
        match self {
            Self::WebSocket => "bare TCP",
            Self::Zenoh | Self::PlainZenoh => "bare Zenoh",
        }
    }

    /// How many times the floor a request may take.
    const fn most(self) -> f64 {
        match self {
            Self::WebSocket => 1.6,
            Self::Zenoh | Self::PlainZenoh => 1.3,
        }
    }

    fn connect(self, addresses: &Addresses) -> Result<PolicyClient> {
        let uri = match self {
            Self::WebSocket => format!("ws://{}", addresses.websocket),
            Self::Zenoh | Self::PlainZenoh => format!("tcp/127.0.0.1:{}", addresses.zenoh),
        };
        let shared_memory = self != Self::PlainZenoh;
        let options = Options { connect_timeout: Some(Duration::from_secs(10)), shared_memory, ..Options::default() };
        Ok(PolicyClient::connect(&uri, options)?)
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(set) = args.robot_side {
        return serve(*SETS.get(set).context("no such set")?);
    }
    let mut report = Report::new("policy");
    report.fact(
        "processes",
        "robot and policy in one each, over loopback; floors likewise, interleaved with what they floor",
    );
    report.fact("request", "from the call to the decoded observation, through the blocking client");
    report.fact("cpu", "per observation, of all threads");
    report.fact("age", "of the newest picture, from when the hub had it (the camera's call returned) to the policy");
    report.fact("age over bare Zenoh", "from before the publication until all bytes came, which are not put together");
    report.fact("age with the copy", "of the newest picture, from right before the camera's call, which copies it");
    report.fact("load before", load());
    let chosen: Vec<_> = SETS.iter().enumerate().filter(|(_, set)| set.to_string().contains(&args.only)).collect();
    if chosen.is_empty() {
        bail!("no set is called so; there are {}", SETS.map(|set| set.to_string()).join(", "));
    }
    for repetition in 1..=args.repetitions {
        for (number, set) in &chosen {
            eprintln!("repetition {repetition} of {}: {set}", args.repetitions);
            measure(*number, **set, &args, &mut report).with_context(|| set.to_string())?;
        }
    }
    report.fact("load after", load());
    report.publish(args.json.as_deref())
}

/// Of the last minute, five and fifteen minutes; this machine's cores are in the first line of the table.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn measure(number: usize, set: Set, args: &Args, report: &mut Report) -> Result<()> {
    let mut robot = RobotSide::start(&env::current_exe()?, number)?;
    let size = requests(&mut robot, set, args.requests, report)?;
    robot.publish(HZ)?;
    let addresses = robot.addresses;
    let mut tcp = TcpFloor::connect(addresses.tcp_floor)?;
    paced(Transport::WebSocket, set, args.seconds, || tcp.exchange(size), report)?;
    let mut zenoh = ZenohFloor::connect(addresses.zenoh_floor)?;
    paced(Transport::Zenoh, set, args.seconds, || zenoh.exchange(size), report)?;
    let ages = zenoh.pushed(size, HZ, args.seconds * HZ)?;
    report.add(format!("{set}, bare Zenoh, {HZ} Hz by push: age p50"), "ms", percentile(&ages, 0.5), None);
    for (transport, push) in [
        (Transport::WebSocket, false),
        (Transport::WebSocket, true),
        (Transport::Zenoh, false),
        (Transport::Zenoh, true),
        (Transport::PlainZenoh, true),
    ] {
        stream(&mut robot, set, transport, push, args.seconds, report)?;
    }
    Ok(())
}

/// One way to get the bytes of an observation, and how long that took.
struct Course<'a> {
    name: String,
    exchange: Box<dyn FnMut() -> Result<()> + 'a>,
    latencies: Vec<f64>,
    /// CPU time of this process and of the robot's.
    cpu: [Duration; 2],
    spent: Duration,
}

impl<'a> Course<'a> {
    fn new(name: String, exchange: impl FnMut() -> Result<()> + 'a) -> Self {
        Self {
            name,
            exchange: Box::new(exchange),
            latencies: Vec::new(),
            cpu: Default::default(),
            spent: Duration::ZERO,
        }
    }

    fn batch(&mut self, robot: &mut RobotSide) -> Result<()> {
        let (begin, cpu) = (Instant::now(), [process_cpu(), robot.cpu()?]);
        for _ in 0..BATCH {
            let sent = Instant::now();
            (self.exchange)()?;
            self.latencies.push(sent.elapsed().as_secs_f64() * 1e3);
        }
        self.spent += begin.elapsed();
        let after = [process_cpu(), robot.cpu()?];
        for (sum, (after, before)) in self.cpu.iter_mut().zip(after.into_iter().zip(cpu)) {
            *sum += after.saturating_sub(before);
        }
        Ok(())
    }
}

/// Exchanges at the rate of a stream, between which caches, clocks and memory cool down: what no stream can go below.
fn paced(
    transport: Transport,
    set: Set,
    seconds: u32,
    mut exchange: impl FnMut() -> Result<()>,
    report: &mut Report,
) -> Result<()> {
    let (begin, mut latencies) = (Instant::now(), Vec::new());
    for number in 0..seconds * HZ {
        let due = begin + Duration::from_secs(1) * number / HZ;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        exchange()?;
        latencies.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    let name = format!("{set}, {}, {HZ} Hz: exchange p50", transport.floor());
    report.add(name, "ms", percentile(&latencies, 0.5), None);
    Ok(())
}

/// Observations on request, and exchanges of as many bytes over what carries them. Returns how many bytes.
fn requests(robot: &mut RobotSide, set: Set, count: u32, report: &mut Report) -> Result<usize> {
    let addresses = robot.addresses;
    let clients = [Transport::WebSocket.connect(&addresses)?, Transport::Zenoh.connect(&addresses)?];
    let size = clients[0].observation()?.frame().len();
    let mut tcp = TcpFloor::connect(addresses.tcp_floor)?;
    let mut zenoh = ZenohFloor::connect(addresses.zenoh_floor)?;
    let mut courses = [
        Course::new(Transport::WebSocket.name().to_owned(), || look(&clients[0], set)),
        Course::new(Transport::WebSocket.floor().to_owned(), || tcp.exchange(size)),
        Course::new(Transport::Zenoh.name().to_owned(), || look(&clients[1], set)),
        Course::new(Transport::Zenoh.floor().to_owned(), || zenoh.exchange(size)),
    ];
    for course in &mut courses {
        (0..WARM_UP).try_for_each(|_| (course.exchange)())?;
    }
    for _ in 0..count.div_ceil(BATCH) {
        courses.iter_mut().try_for_each(|course| course.batch(robot))?;
    }

    for (place, course) in courses.iter().enumerate() {
        let requests = course.latencies.len() as f64;
        let rate = requests / course.spent.as_secs_f64();
        let mut row = |what: &str, unit, value, target| {
            report.add(format!("{set}, {}: {what}", course.name), unit, value, target);
        };
        // The first of each pair is ours.
        let ours = place % 2 == 0;
        let alone = (ours && set.cameras == 0).then_some(Target::AtMost(0.10));
        row("request p50", "ms", percentile(&course.latencies, 0.5), alone);
        row("request p99", "ms", percentile(&course.latencies, 0.99), None);
        row("observations, flat out", "1/s", rate, None);
        row("bytes, flat out", "MB/s", rate * size as f64 / 1e6, None);
        row("cpu of the policy", "ms", course.cpu[0].as_secs_f64() * 1e3 / requests, None);
        row("cpu of the robot", "ms", course.cpu[1].as_secs_f64() * 1e3 / requests, None);
    }
    for (transport, pair) in [Transport::WebSocket, Transport::Zenoh].into_iter().zip(courses.chunks(2)) {
        let [ours, floor] = [&pair[0], &pair[1]].map(|course| percentile(&course.latencies, 0.5));
        let name = format!("{set}, {} ÷ {}: request p50", transport.name(), transport.floor());
        let target = (set.cameras > 0).then_some(Target::AtMost(transport.most()));
        report.add(name, "×", ours / floor, target);
    }
    Ok(size)
}

fn look(client: &PolicyClient, set: Set) -> Result<()> {
    let observation = client.observation()?;
    for camera in observation.cameras() {
        let image = camera.image()?;
        if image.dim() != (set.height as usize, set.width as usize, 3) || camera.depth()?.is_some() != set.depth {
            bail!("{}: {:?}", camera.name(), image.dim());
        }
    }
    Ok(())
}

/// What tells how old an observation's pictures were when it came; nanoseconds of this computer's clock.
struct Arrival {
    at: u64,
    /// The time stamps of the newest picture and of the oldest.
    newest: u64,
    oldest: u64,
}

impl Arrival {
    /// Of an observation that came just now; `None` if it has no picture.
    fn now(observation: &Observation) -> Option<Self> {
        let at = clock::now().as_nanos();
        let stamps = || observation.cameras().map(|camera| (camera.timestamp() * 1e9).round() as u64);
        Some(Self { at, newest: stamps().max()?, oldest: stamps().min()? })
    }

    /// Milliseconds since a time, which may lie a little ahead: a camera's thread that was not let run once the hub had its
    /// picture says so late.
    fn since(&self, time: u64) -> f64 {
        (self.at as f64 - time as f64) / 1e6
    }
}

/// A stream at the rate of the cameras.
fn stream(
    robot: &mut RobotSide,
    set: Set,
    transport: Transport,
    push: bool,
    seconds: u32,
    report: &mut Report,
) -> Result<()> {
    let way = if push { "push" } else { "pull" };
    let client = transport.connect(&robot.addresses)?;
    let mut options = StreamOptions::hz(HZ.into());
    options.push = push;
    client.start_obs_stream_with(options)?;
    let mut newest = client.newer_obs(0, PATIENCE)?;
    let begin = Instant::now();
    while begin.elapsed() < SETTLING {
        newest = client.newer_obs(newest.version, PATIENCE)?;
    }
    let (cpu, robot_cpu) = (process_cpu(), robot.cpu()?);
    // From one observation to a later one, so that it matters little when the counting began.
    newest = client.newer_obs(newest.version, PATIENCE)?;
    let (begin, mut end, first) = (Instant::now(), Instant::now(), newest.version);
    let mut arrivals = Vec::new();
    while begin.elapsed() < Duration::from_secs(seconds.into()) {
        newest = client.newer_obs(newest.version, PATIENCE)?;
        end = Instant::now();
        arrivals.extend(Arrival::now(&newest.observation));
    }
    ensure!(newest.observation.push().is_some() == push, "what was to come by {way} did not");
    let (count, elapsed) = (newest.version - first, (end - begin).as_secs_f64());
    let shares = [process_cpu().saturating_sub(cpu), robot.cpu()?.saturating_sub(robot_cpu)];
    client.close();
    let published = robot.published()?;
    let age = |arrival: &Arrival| published.get(&arrival.newest).map(|time| arrival.since(*time));
    let young: Option<Vec<f64>> = arrivals.iter().map(age).collect();
    let young = young.context("a picture came that was never published")?;

    let mut row = |what: &str, unit, value, target| {
        report.add(format!("{set}, {}, {HZ} Hz by {way}: {what}", transport.name()), unit, value, target);
    };
    row("got", "1/s", count as f64 / elapsed, Some(Target::AtLeast(29.9)));
    if set.cameras > 0 {
        let target = push && transport != Transport::PlainZenoh;
        row("age p50", "ms", percentile(&young, 0.5), target.then_some(Target::AtMost(3.0)));
        row("age p99", "ms", percentile(&young, 0.99), None);
        let with_copy = |stamp: fn(&Arrival) -> u64| -> Vec<f64> {
            arrivals.iter().map(|arrival| arrival.since(stamp(arrival))).collect()
        };
        row("age with the copy, p50", "ms", percentile(&with_copy(|arrival| arrival.newest), 0.5), None);
        let oldest = percentile(&with_copy(|arrival| arrival.oldest), 0.5);
        row("age of the oldest picture with all copies, p50", "ms", oldest, None);
    }
    row("cpu of the policy", "%", shares[0].as_secs_f64() / elapsed * 100.0, None);
    row("cpu of the robot, cameras included", "%", shares[1].as_secs_f64() / elapsed * 100.0, None);
    Ok(())
}
