//! `cargo xtask run`: from a fresh clone to a serving robot.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::{child, setup, web, workspace};

/// Builds what is not up to date, then becomes `waldo serve`, so that Ctrl-C and signals reach it directly.
///
/// # Errors
/// If something is missing or a build fails.
pub(crate) fn run(serve: &[OsString]) -> Result<()> {
    // What is missing may need a person, so it is said before the long builds.
    let toolbox = setup::ensure(setup::NATIVE)?;
    // The bundle first: the server carries it inside.
    web::build()?;
    let build = toolbox.cargo(&["build", "--release", "--package", "waldo-server", "--bin", "waldo"]);
    child::watch("building the server", build)?;
    let waldo = workspace::target_dir()?.join("release/waldo");
    let error = child::command(&waldo).arg("serve").args(serve).exec();
    Err(error).with_context(|| format!("cannot start {}", waldo.display()))
}
