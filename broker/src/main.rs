//! The program `waldo-broker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    waldo_broker::cli::run()
}
