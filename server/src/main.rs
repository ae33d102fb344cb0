//! The program `waldo`.

use std::process::ExitCode;

fn main() -> ExitCode {
    waldo_server::cli::run_simulated()
}
