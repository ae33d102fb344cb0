//! Records what a robot feels, and lets it do the same again.
//!
//! A recording is text, one JSON map per line: `{"t": seconds since the first, "action": [values]}`.
//!
//! ```text
//! cargo run -p waldo-policy-client --example policy_replay -- record motion.jsonl --action left --action right
//! cargo run -p waldo-policy-client --example policy_replay -- play motion.jsonl --chunks
//! ```

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use ndarray::Array2;
use serde_json::{Value, json};
use waldo_policy_client::{Chunk, DEFAULT_URI, Due, Options, PolicyClient};

/// Rows that are sent ahead of time.
const CHUNK: usize = 32;

/// Longest recording.
const MAX_ROWS: usize = 1_000_000;

/// Record what a robot feels, and let it do the same again. Ctrl-C ends it.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The robot: ws://host:port, wss://host:port, or tcp/host:port for Zenoh.
    #[arg(long, default_value = DEFAULT_URI, global = true)]
    uri: String,
}

#[derive(Subcommand)]
enum What {
    /// Write the robot's proprioception to a file, as the actions that would bring it there.
    Record {
        /// The file.
        file: PathBuf,
        /// Streams that make up the action, one after the other; all by default.
        #[arg(long)]
        action: Vec<String>,
        /// Observations per second.
        #[arg(long, default_value_t = 30.0)]
        hz: f64,
        /// Seconds until it ends by itself.
        #[arg(long)]
        seconds: Option<f64>,
    },
    /// Send the actions of a file in the time in which they were recorded.
    Play {
        /// The file.
        file: PathBuf,
        /// Hand the actions over in chunks with due times, instead of one by one.
        #[arg(long)]
        chunks: bool,
        /// Start an episode first.
        #[arg(long)]
        reset: bool,
    },
}

/// An action of a recording.
struct Row {
    /// Seconds since the first.
    t: f64,
    values: Vec<f32>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let work = async {
        match &arguments.what {
            What::Record { file, action, hz, seconds } => record(&arguments.uri, file, action, *hz, *seconds).await,
            What::Play { file, chunks, reset } => {
                // A bad file is told before a robot is looked for.
                let rows = read(file).with_context(|| format!("{}", file.display()))?;
                play(&arguments.uri, &rows, *chunks, *reset).await
            }
        }
    };
    tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn record(uri: &str, file: &Path, action: &[String], hz: f64, seconds: Option<f64>) -> Result<()> {
    let mut out = BufWriter::new(File::create(file).with_context(|| format!("{}", file.display()))?);
    let robot = PolicyClient::connect(uri, Options::default()).await?;
    robot.start_obs_stream(hz)?;
    let (mut version, mut rows, mut begin) = (0, 0, None);
    loop {
        let latest = robot.newer_obs(version, Duration::from_secs(10)).await.context("the robot's stream")?;
        version = latest.version;
        let observation = latest.observation;
        let t = observation.received().duration_since(*begin.get_or_insert(observation.received())).as_secs_f64();
        if seconds.is_some_and(|seconds| t > seconds) || rows == MAX_ROWS {
            break;
        }
        let mut values = Vec::new();
        if action.is_empty() {
            observation.proprios().for_each(|stream| values.extend(stream.to_vec()));
        }
        for stream in action {
            values.extend(observation.proprio(stream)?.to_vec());
        }
        writeln!(out, "{}", json!({ "t": t, "action": values }))?;
        // What was recorded stays if the program is ended.
        out.flush()?;
        rows += 1;
    }
    writeln!(io::stdout(), "{rows} actions in {}", file.display())?;
    Ok(())
}

fn read(file: &Path) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for (i, line) in BufReader::new(File::open(file)?).lines().enumerate() {
        let row = parse(&line?).with_context(|| format!("line {}", i + 1))?;
        let last = rows.last();
        ensure!(last.is_none_or(|last| last.t <= row.t), "line {}: times must be in order", i + 1);
        ensure!(
            last.is_none_or(|last| last.values.len() == row.values.len()),
            "line {}: all actions must have as many values",
            i + 1
        );
        ensure!(rows.len() < MAX_ROWS, "more than {MAX_ROWS} lines");
        rows.push(row);
    }
    ensure!(!rows.is_empty(), "no actions in it");
    Ok(rows)
}

fn parse(line: &str) -> Result<Row> {
    let row: Value = serde_json::from_str(line)?;
    let t = row["t"].as_f64().context("\"t\" must be a number of seconds")?;
    let Value::Array(values) = &row["action"] else { bail!("\"action\" must be a list of numbers") };
    let number = |value: &Value| value.as_f64().map(|value| value as f32).filter(|value| value.is_finite());
    let values: Option<Vec<f32>> = values.iter().map(number).collect();
    let values = values.filter(|values| !values.is_empty()).context("\"action\" must be a list of numbers")?;
    Ok(Row { t, values })
}

async fn play(uri: &str, rows: &[Row], chunks: bool, reset: bool) -> Result<()> {
    let robot = PolicyClient::connect(uri, Options::default()).await?;
    // Its shape of actions is known from here on.
    robot.metadata().await?;
    if reset {
        robot.reset().await?;
    }
    let mut events = robot.events();
    let begin = Instant::now() + Duration::from_millis(100);
    let due = |row: &Row| begin + Duration::from_secs_f64((row.t - rows[0].t).max(0.0));
    if chunks {
        for rows in rows.chunks(CHUNK) {
            // Far enough ahead that none is late.
            tokio::time::sleep_until((due(&rows[0]) - Duration::from_millis(100)).into()).await;
            let values = rows.iter().flat_map(|row| &row.values).copied().collect();
            let values = Array2::from_shape_vec((rows.len(), rows[0].values.len()), values)?;
            let chunk = Chunk::new(values.view(), Due::At(rows.iter().map(due).collect()));
            let queued = robot.put_chunk(chunk).await?;
            if queued.dropped_late > 0 {
                writeln!(io::stderr(), "{} actions came too late", queued.dropped_late)?;
            }
        }
        tokio::time::sleep_until((due(&rows[rows.len() - 1]) + Duration::from_millis(100)).into()).await;
    } else {
        for row in rows {
            tokio::time::sleep_until(due(row).into()).await;
            robot.send_action(&row.values[..]).await?;
        }
    }
    while let Ok(event) = events.try_recv() {
        writeln!(io::stderr(), "{event:?}")?;
    }
    robot.close().await;
    writeln!(io::stdout(), "{} actions sent in {:.1} s", rows.len(), begin.elapsed().as_secs_f64())?;
    Ok(())
}
