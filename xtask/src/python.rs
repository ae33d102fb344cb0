//! The Python environment of the tests: the libraries of `tests/python` in the build directory.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{child, tools, workspace};

/// The oldest Python that runs `tests/python`: Debian 12's.
const PYTHON: [u32; 3] = [3, 11, 0];

/// Whether this Python can make environments; Debian leaves that to a package of its own.
pub(crate) fn makes_environments() -> bool {
    child::output("python3", &["-c", "import ensurepip, venv"]).is_some()
}

/// Makes the environment, unless it is there with the libraries in the pinned versions.
///
/// # Errors
/// If Python is too old, or its package index cannot be reached.
pub(crate) fn environment() -> Result<()> {
    let python = child::output("python3", &["--version"]).context("`python3` does not run")?;
    match tools::version(&python) {
        Some(found) if found >= PYTHON => {}
        _ => bail!("Python 3.11 or newer is needed for tests; `python3` is {}", python.trim_end()),
    }
    let list = workspace::root().join("tests/python/requirements.txt");
    let wanted = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))? + &python;
    let folder = workspace::target_dir()?.join("python");
    let stamp = folder.join(".requirements");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut venv = child::command("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&folder);
    child::watch("making the Python environment of the tests", venv)?;
    let mut pip = child::command(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--requirement"]).arg(&list);
    child::watch("installing the Python libraries of the tests", pip)?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}
