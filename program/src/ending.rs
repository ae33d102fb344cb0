//! How a program ends, and what it says then.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::SettingError;

/// Wrong usage, as opposed to something that went wrong.
const USAGE: u8 = 2;

/// Prints what went wrong, in one line with what to do. The code is 0, 1 if the program failed, 2 if it was misused.
pub fn finish(outcome: Result<anyhow::Result<()>, SettingError>) -> ExitCode {
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            // The reader of our output went away: not worth a word.
            if error.downcast_ref::<io::Error>().is_none_or(|error| error.kind() != io::ErrorKind::BrokenPipe) {
                complain(format_args!("{error:#}"));
            }
            ExitCode::FAILURE
        }
        Err(SettingError::Flags(error)) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nobody is left to tell if the terminal is gone.
            let _ = error.print();
            ExitCode::from(code)
        }
        Err(error) => misused(error),
    }
}

/// Prints what is wrong about how the program was called. The code is 2.
pub fn misused(error: impl Display) -> ExitCode {
    complain(error);
    ExitCode::from(USAGE)
}

fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "error: {text}");
}

/// Waits for Ctrl-C or a termination signal. From this call on neither ends the program by itself, also while nobody waits.
///
/// # Errors
/// If the system takes no handler; outside of a runtime it panics.
pub fn stopped() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
