//! What `waldo serve` runs, as a process under test: for each line on standard input it tells the number of its tasks and
//! the bytes that it has allocated, and ends with it, so that it never outlives whoever started it.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use tokio::runtime::Handle;
use tracing_subscriber::EnvFilter;
use waldo_server::config::{FieldSettings, Settings};
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::serve::serve;
use waldo_tests::robot::local;

#[derive(Parser)]
struct Args {
    /// Where certificate and token are kept.
    #[arg(long)]
    data_dir: PathBuf,
    /// Port on this machine; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let filter = EnvFilter::try_from_env("WALDO_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let settings = Settings { port: args.port, field: FieldSettings::default(), ..local(&args.data_dir) };
    let robot = SimRobot::new(SimOptions { camera_size: (320, 240), latency_stamp: true });
    tokio::select! {
        served = serve(settings, Box::new(robot)) => Ok(served?),
        answered = answer(Handle::current()) => answered,
    }
}

/// Until standard input ends.
async fn answer(runtime: Handle) -> Result<()> {
    // A thread of its own: one of the runtime's would be waited for at the end.
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let told = io::stdin().lock().lines().try_for_each(|line| {
            line?;
            writeln!(io::stdout(), "tasks {} bytes {}", runtime.metrics().num_alive_tasks(), allocated())
        });
        let _ = ended.send(told);
    });
    Ok(end.await??)
}

/// Bytes of all threads that are allocated and not freed, those of libraries in C included. What the allocator keeps of freed
/// memory is not among them.
#[expect(unsafe_code, reason = "a call of the C library")]
fn allocated() -> usize {
    // SAFETY: it only reads the allocator's own counters, under its locks.
    let counters = unsafe { nix::libc::mallinfo2() };
    counters.uordblks + counters.hblkhd
}
