//! The process that is measured: a field service with its arms, and the floor.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use waldo_protocol::field::HandlingConfig;
use waldo_server::field::{FieldConfig, FieldServer, MultiArmPassThroughBackend, Physics};

use super::floor;
use crate::bench::process_cpu;

/// Where everything is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// The field.
    pub field: SocketAddr,
    /// See [`floor()`].
    pub floor: SocketAddr,
}

/// The other process, as the measuring one sees it; ended when dropped.
pub struct FieldSide {
    /// Where to connect.
    pub addresses: Addresses,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl FieldSide {
    /// Starts `program`, which calls [`serve`] if it is told to by `--field-side`. Without `soft` arms they only pass on
    /// where they are wanted.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(program: &Path, soft: bool) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("--field-side").arg(soft.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let (input, output) = (child.stdin.take().context("a pipe")?, child.stdout.take().context("a pipe")?);
        let mut output = BufReader::new(output);
        let addresses = serde_json::from_str(&line(&mut output)?)?;
        Ok(Self { addresses, child, input, output })
    }

    /// CPU time of all its threads.
    ///
    /// # Errors
    /// If it has ended.
    pub fn cpu(&mut self) -> Result<Duration> {
        writeln!(self.input, "cpu")?;
        Ok(Duration::from_nanos(line(&mut self.output)?.parse()?))
    }
}

fn line(output: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    ensure!(output.read_line(&mut line)? > 0, "the field's side has ended");
    Ok(line.trim_end().to_owned())
}

impl Drop for FieldSide {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until the standard input ends.
///
/// # Errors
/// If something does not start.
pub fn serve(soft: bool) -> Result<()> {
    let listen = Some((Ipv4Addr::LOCALHOST, 0).into());
    let server = FieldServer::new(FieldConfig { listen, ..FieldConfig::default() });
    let arms = if soft {
        MultiArmPassThroughBackend::simulated(Physics::Soft, HandlingConfig::default())
    } else {
        MultiArmPassThroughBackend::new()
    };
    server.start(Box::new(arms))?;
    let addresses = Addresses { field: server.addr().context("the field listens")?, floor: floor()? };
    say(&serde_json::to_string(&addresses)?)?;
    for command in io::stdin().lines() {
        command?;
        say(&process_cpu().as_nanos().to_string())?;
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
