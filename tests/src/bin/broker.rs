//! The program `waldo-broker`, for tests and benches that start it inside of a network namespace and kill it.

use std::process::ExitCode;

fn main() -> ExitCode {
    waldo_broker::cli::run()
}
