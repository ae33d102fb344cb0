//! `cargo xtask bench`: the load generators of `tests`, built for release.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::setup::{self, Need};
use crate::{child, workspace};

/// What can be measured.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Bench {
    /// Pose frames from a client's socket to the robot's callback.
    Pose,
    /// Pictures from a camera to a browser's screen.
    Video,
}

/// Builds the benchmark, then becomes it.
///
/// # Errors
/// If something is missing or the build fails.
pub(crate) fn run(bench: Bench, args: &[OsString]) -> Result<()> {
    let (program, needs) = match bench {
        Bench::Pose => ("bench-pose", setup::NATIVE.to_vec()),
        Bench::Video => ("bench-video", [setup::NATIVE, &[Need::Chromium, Need::Networks]].concat()),
    };
    let toolbox = setup::ensure(&needs)?;
    let build = toolbox.cargo(&["build", "--release", "--package", "waldo-tests", "--bin", program]);
    child::watch(&format!("building {program}"), build)?;
    let path = workspace::target_dir()?.join("release").join(program);
    let error = toolbox.command(&path).args(args).exec();
    Err(error).with_context(|| format!("cannot start {}", path.display()))
}
