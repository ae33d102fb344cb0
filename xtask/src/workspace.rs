//! Where things lie: the checkout, its build directory, the user's tool cache.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the checkout.
///
/// Cargo tells it at run time; the compiled-in path serves a directly started binary.
pub(crate) fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.parent().map_or(package.clone(), Path::to_path_buf)
}

/// Cargo's build directory, wherever the user has put it: this program lies in `<target>/<profile>`.
///
/// # Errors
/// If the system does not tell where this program lies.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot find the path of xtask itself")?;
    let target = program.ancestors().nth(2).context("xtask lies outside of a build directory")?;
    Ok(target.to_path_buf())
}

/// Where installed tools lie, one folder per tool and version, shared by all checkouts of this user.
///
/// # Errors
/// If neither `XDG_CACHE_HOME` nor `HOME` is set.
pub(crate) fn tools_dir() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .context("no place for tools: set HOME or XDG_CACHE_HOME")?;
    Ok(cache.join("waldo").join("tools"))
}
