//! The program `waldo`, for tests that start it and speak to it with clients which its own package does not know.

use std::process::ExitCode;

fn main() -> ExitCode {
    waldo_server::cli::run_simulated()
}
