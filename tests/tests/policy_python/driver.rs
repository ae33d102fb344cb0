//! Python programs of `tests/python`: started, spoken to line by line, and ended with the test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use waldo_tests::client::PATIENCE;

/// The folder of the Python code.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// A command of the environment that `cargo xtask setup` makes beside this program.
///
/// # Errors
/// If it has not been made.
pub(crate) fn python(args: impl IntoIterator<Item: AsRef<OsStr>>) -> Result<Command> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(3).context("this test lies outside of a build directory")?;
    let python = target.join("python/bin/python");
    ensure!(python.is_file(), "there is no {}: please run `cargo xtask setup`", python.display());
    let mut command = Command::new(python);
    command.arg("-B").args(args).current_dir(folder()).env_remove("PYTHONPATH");
    Ok(command)
}

/// A running program; killed when dropped.
pub(crate) struct Python {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Python {
    /// Starts a module of `waldo_policy`.
    pub(crate) fn start(module: &str, args: &[&str]) -> Result<Self> {
        let module = format!("waldo_policy.{module}");
        let mut command = python(["-m", &module].iter().chain(args))?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("a pipe")?;
        let output = BufReader::new(child.stdout.take().context("a pipe")?);
        let (sender, lines) = sync_channel(64);
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Self { child, input, lines })
    }

    /// The next line that it prints.
    pub(crate) fn line(&self) -> Result<String> {
        self.lines.recv_timeout(PATIENCE).context("the Python program says nothing")
    }

    /// The next line, of JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.line()?)?)
    }

    /// The next line of JSON in which `key` is `value`.
    pub(crate) fn event(&self, key: &str, value: &str) -> Result<Value> {
        loop {
            let event = self.json()?;
            if event[key] == value {
                return Ok(event);
            }
        }
    }

    /// What a command leads to, or the error that the client raised.
    pub(crate) fn ask(&mut self, call: &str, mut arguments: Value) -> Result<Value> {
        arguments["call"] = json!(call);
        writeln!(self.input, "{arguments}")?;
        let mut answer = self.json()?;
        match answer["error"].as_str() {
            Some(error) => bail!("{call}: {error}"),
            None => Ok(answer["result"].take()),
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes that a report has under a key.
pub(crate) fn bytes(hex: &Value) -> Result<Vec<u8>> {
    let hex = hex.as_str().context("no text")?;
    let byte = |two| u8::from_str_radix(hex.get(two..two + 2).unwrap_or_default(), 16);
    (0..hex.len()).step_by(2).map(byte).collect::<Result<_, _>>().map_err(|error| anyhow!("{hex}: {error}"))
}
