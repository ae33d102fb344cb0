//! The program `waldo` once more: a robot process of their own for tests that kill it.

use std::process::ExitCode;

fn main() -> ExitCode {
    waldo_server::cli::run_simulated()
}
