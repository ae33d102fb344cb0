//! Child processes: started at the root of the checkout, with progress and elapsed time while one waits.
//!
//! Children share the terminal's process group, so that Ctrl-C ends them together with xtask.

use std::collections::VecDeque;
use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, IsTerminal, PipeReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Lines kept of a quiet child, shown if it fails.
const KEPT_LINES: usize = 200;

/// Last lines of any other child that an error repeats: the end of a long log is all that some services show.
const REPEATED_LINES: usize = 80;

/// How often the progress of a quiet child is told where no terminal can redraw a line.
const PLAIN_INTERVAL: Duration = Duration::from_secs(20);

/// A command at the root of the checkout.
///
/// What `cargo run` sets for xtask is removed: build scripts (of ring, for one) watch these variables, and would run
/// again each time one alternates between xtask and plain cargo.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let of_cargo_run = text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || matches!(text, "CARGO" | "CARGO_BIN_NAME" | "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE");
        if of_cargo_run {
            command.env_remove(name);
        }
    }
    command
}

/// What a command prints, or none if it cannot be started or fails.
pub(crate) fn output(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = command(program).args(args).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command whose own output is what one wants to see.
///
/// # Errors
/// If it cannot be started or fails; where no terminal shows what it said, with the last lines of that.
pub(crate) fn show(mut command: Command) -> Result<()> {
    let text = described(&command);
    let starting = || format!("cannot start `{text}`");
    let (status, last) = if io::stderr().is_terminal() {
        (command.status().with_context(starting)?, VecDeque::new())
    } else {
        let (reader, writer) = io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().with_context(starting)?;
        // The command owns this side's copies of the pipe; the reader sees the end only once they are closed.
        drop(command);
        let last = repeat(reader)?;
        (child.wait()?, last)
    };
    if !status.success() {
        let said: String = last.iter().map(|line| format!("\n    {line}")).collect();
        bail!("`{text}` failed: {status}{said}");
    }
    Ok(())
}

/// Passes on what a child writes, and gives the last lines of it.
fn repeat(reader: PipeReader) -> Result<VecDeque<String>> {
    let mut reader = BufReader::new(reader);
    let (mut line, mut last) = (Vec::new(), VecDeque::new());
    while reader.read_until(b'\n', &mut line)? > 0 {
        io::stderr().write_all(&line)?;
        last.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
        if last.len() > REPEATED_LINES {
            last.pop_front();
        }
        line.clear();
    }
    Ok(last)
}

/// Runs a long step behind one line of progress; its output appears only if it fails.
///
/// # Errors
/// If it cannot be started or fails.
pub(crate) fn watch(title: &str, mut command: Command) -> Result<()> {
    let text = described(&command);
    eprintln!("==> {title}");
    let started = Instant::now();
    let (reader, writer) = io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "100");
    let mut child = command.spawn().with_context(|| format!("cannot start `{text}`"))?;
    // The command owns this side's copies of the pipe; the reader sees the end only once they are closed.
    drop(command);

    let (sender, lines) = sync_channel(64);
    let reading = thread::spawn(move || split_lines(reader, &sender));
    let kept = follow(&lines, started);
    let status = child.wait()?;
    let _ = reading.join();

    if !status.success() {
        for line in kept.iter().rev() {
            eprintln!("{line}");
        }
        bail!("{title}: `{text}` failed: {status}");
    }
    eprintln!("    done in {}", elapsed(started));
    Ok(())
}

/// Time since `started` as minutes and seconds.
pub(crate) fn elapsed(started: Instant) -> String {
    let seconds = started.elapsed().as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn described(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

/// Sends each line; a carriage return ends one too, as progress bars write it.
fn split_lines(mut reader: PipeReader, lines: &SyncSender<String>) {
    let mut buffer = [0; 4096];
    let mut line = Vec::new();
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        for &byte in &buffer[..count] {
            if !matches!(byte, b'\n' | b'\r') {
                line.push(byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line).replace("\u{1b}[K", "").trim_end().to_owned();
            line.clear();
            if !text.is_empty() && lines.send(text).is_err() {
                return;
            }
        }
    }
}

/// Shows progress until the lines end; returns the last of those that are not progress
/// themselves, newest first.
fn follow(lines: &Receiver<String>, started: Instant) -> VecDeque<String> {
    let terminal = io::stderr().is_terminal();
    let mut kept = VecDeque::new();
    let mut status = String::new();
    let mut shown = started;
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                if let Some(count) = cargo_progress(&line) {
                    status = format!("{count} crates");
                } else {
                    status.clone_from(&line);
                    kept.truncate(KEPT_LINES - 1);
                    kept.push_front(line);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        show_progress(terminal, started, &status, &mut shown);
    }
    if terminal {
        eprint!("\r\u{1b}[K");
    }
    kept
}

fn show_progress(terminal: bool, started: Instant, status: &str, shown: &mut Instant) {
    let interval = if terminal { Duration::from_millis(100) } else { PLAIN_INTERVAL };
    if shown.elapsed() < interval {
        return;
    }
    *shown = Instant::now();
    let status: String = status.trim().chars().take(66).collect();
    if terminal {
        eprint!("\r\u{1b}[K    {}  {status}", elapsed(started));
        let _ = io::stderr().flush();
    } else {
        eprintln!("    {}  {status}", elapsed(started));
    }
}

/// `214 of 389` out of cargo's progress bar.
fn cargo_progress(line: &str) -> Option<String> {
    let bar = line.trim_start().strip_prefix("Building [")?;
    let (_, counts) = bar.split_once("] ")?;
    let (done, all) = counts.split(':').next()?.split_once('/')?;
    Some(format!("{done} of {all}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_progress_bar_becomes_a_count_of_crates() {
        let bar = "    Building [=====>         ] 214/389: rtc, webrtc(build)";
        assert_eq!(cargo_progress(bar).as_deref(), Some("214 of 389"));
        assert_eq!(cargo_progress("   Compiling rtc v0.21.1"), None);
    }

    #[test]
    fn lines_end_at_newlines_and_carriage_returns() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"one\r\n\x1b[Ktwo \rthree\n").unwrap();
        drop(writer);
        let (sender, lines) = sync_channel(8);
        split_lines(reader, &sender);
        drop(sender);
        assert_eq!(lines.iter().collect::<Vec<_>>(), ["one", "two", "three"]);
    }

    #[test]
    fn the_last_lines_of_a_child_are_kept() {
        let (reader, mut writer) = io::pipe().unwrap();
        for number in 0..100 {
            writeln!(writer, "{number}").unwrap();
        }
        write!(writer, "no end of line").unwrap();
        drop(writer);
        let last = repeat(reader).unwrap();
        assert_eq!(last.len(), REPEATED_LINES);
        assert_eq!((last[0].as_str(), last[REPEATED_LINES - 1].as_str()), ("21", "no end of line"));
    }

    #[test]
    fn a_failing_step_names_its_command() {
        let mut failing = command("sh");
        failing.args(["-c", "exit 3"]);
        let error = watch("a step", failing).unwrap_err().to_string();
        assert!(error.starts_with("a step: `sh -c exit 3` failed") && error.contains('3'), "{error}");
    }
}
