//! The process that is measured: one engine, on a core of its own.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use waldo_broker::sfu;
use waldo_broker::sfu::embedded::{Embedded, Settings};
use waldo_broker::sfu::process::{Client, Server};

use super::forwarder::Forwarder;
use super::{SECRET, pin};

/// What forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The broker's own.
    Embedded,
    /// As little as can be on the `webrtc` crate: commands only.
    Webrtc,
}

/// The other process, as the measuring one sees it; ended when dropped.
pub struct SfuSide {
    /// How the engine is asked.
    pub client: Client,
    child: Child,
    _input: ChildStdin,
}

impl SfuSide {
    /// Starts `program`, which calls [`serve`] if it is told to by `--sfu-side`. Must be called inside of a Tokio runtime.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(program: &Path, engine: Engine) -> Result<Self> {
        let name = engine.to_possible_value().context("a name")?;
        let mut command = Command::new(program);
        command.arg("--sfu-side").arg(name.get_name()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let input = child.stdin.take().context("a pipe")?;
        let mut url = String::new();
        ensure!(BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut url)? > 0, "the SFU has ended");
        Ok(Self { client: Client::new(url.trim_end(), SECRET), child, _input: input })
    }

    /// CPU time of all its threads so far.
    ///
    /// # Errors
    /// If it has ended.
    pub fn cpu(&self) -> Result<Duration> {
        let mut total = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id())).context("the SFU has ended")? {
            // A thread may end while we look.
            let times = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            total += times.split(' ').next().and_then(|time| time.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(total))
    }

    /// Bytes of memory that it has in use.
    ///
    /// # Errors
    /// If it has ended.
    pub fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("the SFU has ended")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

impl Drop for SfuSide {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until the standard input ends.
///
/// # Errors
/// If something does not start.
pub fn serve(engine: Engine) -> Result<()> {
    pin(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _entered = runtime.enter();
    let engine: Arc<dyn sfu::Engine> = match engine {
        Engine::Embedded => Arc::new(Embedded::start(&Settings {
            bind: (Ipv4Addr::LOCALHOST, 0).into(),
            most_peers: 4096,
            most_peers_of_a_tenant: Some(4096),
            ..Settings::default()
        })?),
        Engine::Webrtc => Arc::new(Forwarder::new()),
    };
    let server = runtime.block_on(Server::start((Ipv4Addr::LOCALHOST, 0).into(), SECRET, engine))?;
    let mut out = io::stdout().lock();
    writeln!(out, "http://{}", server.address())?;
    out.flush()?;
    io::stdin().lines().for_each(drop);
    Ok(())
}
