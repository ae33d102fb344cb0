//! `cargo xtask bench` and `cargo xtask soak`: the load generators of `tests`, built for release.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::setup::{self, Need};
use crate::{child, web, workspace};

/// What can be measured.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Bench {
    /// Pose frames from a client's socket to the robot's callback.
    Pose,
    /// Pictures from a camera to a browser's screen; with `--network`, and poses back, over hard networks.
    Video,
    /// What clients cost each other and the robot.
    Crowd,
    /// Users and spectators of a field, beside bare sockets.
    Field,
    /// Observations and streams for policies, beside bare TCP and bare Zenoh.
    Policy,
    /// Commands and pictures of hosted teleoperation over routes around the world, and without the broker.
    World,
    /// Commands and pictures through the SFU of far operators, beside peers that are connected directly.
    Sfu,
}

/// Builds the benchmark, then becomes it.
///
/// # Errors
/// If something is missing or the build fails.
pub(crate) fn run(bench: Bench, args: &[OsString]) -> Result<()> {
    let browser = [setup::NATIVE, &[Need::Chromium, Need::Networks]].concat();
    let (programs, needs): (&[&str], _) = match bench {
        Bench::Pose => (&["bench-pose"], setup::NATIVE.to_vec()),
        Bench::Crowd => (&["bench-crowd"], setup::NATIVE.to_vec()),
        Bench::Field => (&["bench-field"], setup::NATIVE.to_vec()),
        Bench::Policy => (&["bench-policy"], setup::NATIVE.to_vec()),
        Bench::Sfu => (&["bench-sfu"], setup::NATIVE.to_vec()),
        Bench::Video => (&["bench-video"], browser),
        Bench::World => {
            // The broker serves its page to the operator.
            web::build()?;
            (&["bench-world", "broker"], browser)
        }
    };
    become_program(programs, &needs, args)
}

/// Builds the soak and the robot it starts, then becomes the soak.
///
/// # Errors
/// If something is missing or the build fails.
pub(crate) fn soak(args: &[OsString]) -> Result<()> {
    become_program(&["soak", "robot"], setup::NATIVE, args)
}

/// Builds these programs of `tests` for release, then becomes the first.
fn become_program(programs: &[&str], needs: &[Need], args: &[OsString]) -> Result<()> {
    let toolbox = setup::ensure(needs)?;
    let mut build = toolbox.cargo(&["build", "--release", "--package", "waldo-tests"]);
    build.args(programs.iter().flat_map(|program| ["--bin", program]));
    child::watch(&format!("building {}", programs[0]), build)?;
    let path = workspace::target_dir()?.join("release").join(programs[0]);
    let error = toolbox.command(&path).args(args).exec();
    Err(error).with_context(|| format!("cannot start {}", path.display()))
}
