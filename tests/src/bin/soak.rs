//! `cargo xtask soak`: clients come and go for an hour, and nothing may be left of them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use waldo_tests::soak::{Plan, run};

/// Lets clients of all kinds come and go, and fails if memory grows or anything is left of them.
#[derive(Parser)]
#[command(name = "cargo xtask soak", bin_name = "cargo xtask soak --")]
struct Args {
    /// Minutes in which clients come and go; all in all it takes some two minutes longer.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    minutes: u64,
    /// Who comes when is decided by this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    // Built beside this program.
    let program = std::env::current_exe().context("where this program lies")?.with_file_name("robot");
    let plan = Plan { program: &program, duration: Duration::from_secs(60 * args.minutes), seed: args.seed };
    let report = run(&plan).await?;
    report.publish(args.json.as_deref())?;
    let missed = report.missed();
    if missed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("missed: {}", missed.join("; "));
    Ok(ExitCode::FAILURE)
}
