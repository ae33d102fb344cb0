//! A robot in a process of its own, and what the system says about that process.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tokio_rustls::TlsConnector;
use waldo_server::tls;

use crate::client::trusting;
use crate::robot::local;

/// A running robot; killed when dropped.
pub struct RobotProcess {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Trusts its certificate.
    pub tls: TlsConnector,
    child: Child,
    output: BufReader<ChildStdout>,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holdings {
    /// Resident memory in MiB: what is allocated, what the allocator keeps of freed memory, and the program itself.
    pub memory: f64,
    /// Allocated memory in MiB.
    pub allocated: f64,
    /// Open files, sockets included.
    pub files: usize,
    /// Threads.
    pub threads: usize,
    /// Tasks of the server's own runtime; those of the WebRTC threads are not among them.
    pub tasks: usize,
}

impl Holdings {
    /// Whether nothing is held that was not held then; memory aside, of which allocators keep some.
    pub fn returned_to(&self, then: &Self) -> bool {
        self.files <= then.files && self.threads <= then.threads && self.tasks <= then.tasks
    }
}

impl RobotProcess {
    /// Starts the program `robot` of this package; port 0 takes a free one.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(program: &Path, data: &Path, port: u16) -> Result<Self> {
        let (identity, _) = tls::certificate(&local(data))?;
        let connector = trusting(identity.certificate().clone())?;
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(data).arg("--port").arg(port.to_string());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut output = BufReader::new(child.stdout.take().context("a pipe")?);
        let port = loop {
            let line = line(&mut output)?;
            let port = line.split_once("https://127.0.0.1:").and_then(|(_, rest)| rest.split(['/', ' ']).next());
            if let Some(port) = port.and_then(|port| port.trim().parse().ok()) {
                break port;
            }
        };
        Ok(Self { addr: (Ipv4Addr::LOCALHOST, port).into(), tls: connector, child, output })
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// What it holds now.
    ///
    /// # Errors
    /// If it has ended.
    pub fn holdings(&mut self) -> Result<Holdings> {
        let process = format!("/proc/{}", self.child.id());
        let status = fs::read_to_string(format!("{process}/status")).context("the robot has ended")?;
        let number = |name: &str| -> Result<f64> {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
            value.with_context(|| format!("{name} is not in {process}/status"))?.parse().context("a number")
        };
        let (memory, threads) = (number("VmRSS:")? / 1024.0, number("Threads:")?);
        let files = fs::read_dir(format!("{process}/fd"))?.count();
        let (tasks, bytes) = self.tasks_and_bytes()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        Ok(Holdings { memory, allocated: bytes as f64 / f64::from(1 << 20), files, threads: threads as usize, tasks })
    }

    fn tasks_and_bytes(&mut self) -> Result<(usize, usize)> {
        self.child.stdin.as_mut().context("a pipe")?.write_all(b"\n")?;
        loop {
            let line = line(&mut self.output)?;
            if let Some((tasks, bytes)) = line.trim().strip_prefix("tasks ").and_then(|rest| rest.split_once(" bytes "))
            {
                return Ok((tasks.parse()?, bytes.parse()?));
            }
        }
    }

    /// Lets it end by itself.
    ///
    /// # Errors
    /// If it fails.
    pub fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the robot ended with {status}");
        }
        Ok(())
    }
}

fn line(output: &mut BufReader<ChildStdout>) -> Result<String> {
    let mut line = String::new();
    ensure!(output.read_line(&mut line)? > 0, "the robot has ended");
    Ok(line)
}

impl Drop for RobotProcess {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
