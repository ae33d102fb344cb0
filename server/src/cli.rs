//! The command line of `waldo`, also for programs with a robot of their own.

mod welcome;

use std::process::ExitCode;

pub use welcome::welcome;

use crate::robot::Robot;

/// Runs `robot` with all the flags of `waldo serve`: the whole `main` of a program with a robot of its own.
pub fn run(_robot: impl Robot + 'static) -> ExitCode {
    unimplemented!()
}

/// The program `waldo`: the simulated robot.
pub fn run_simulated() -> ExitCode {
    unimplemented!()
}
