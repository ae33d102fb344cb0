//! `cargo xtask`: every command of the project, the same for a newcomer, a developer and CI.
//!
//! Starts the other crates' programs and knows nothing of their code. Never runs sudo.

mod bench;
mod checks;
mod child;
mod hosted;
mod packages;
mod python;
mod run;
mod setup;
mod tools;
mod web;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

/// Sets up, builds, runs, tests and measures Waldo.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Xtask {
    /// Install whatever building and testing need and this machine lacks.
    Setup,
    /// Set up what is missing, build the web app and the server, and start `waldo serve`.
    Run {
        /// Arguments of `waldo serve`, for example `--port 9000`; `-- --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        serve: Vec<OsString>,
    },
    /// Start a broker with its SFU and a simulated robot that dials it, and print where to log in.
    Hosted(hosted::Args),
    /// Run all checks and tests, or the named ones, and print a list of results.
    Test(checks::Args),
    /// Run a benchmark on release builds and print a table.
    Bench {
        /// What to measure.
        what: bench::Bench,
        /// Arguments of the benchmark, for example `--json FILE`; `-- --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<OsString>,
    },
    /// Let clients of all kinds come and go for an hour and see that nothing is left of them.
    Soak {
        /// Arguments of the soak, for example `--minutes 5`; `-- --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<OsString>,
    },
    /// Build the web app into static/dist, unless it is up to date.
    BuildWeb,
}

fn main() -> ExitCode {
    let outcome = match Xtask::parse() {
        Xtask::Setup => setup::everything(),
        Xtask::Run { serve } => run::run(&serve),
        Xtask::Hosted(args) => hosted::run(&args),
        Xtask::Test(args) => checks::run(&args),
        Xtask::Bench { what, args } => bench::run(what, &args),
        Xtask::Soak { args } => bench::soak(&args),
        Xtask::BuildWeb => web::build(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
