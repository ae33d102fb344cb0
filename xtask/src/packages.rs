//! What comes from the system: Debian packages and Node.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{child, tools};

/// The oldest Node that runs the web app's build.
const NODE: u32 = 20;

/// The first of these programs on PATH.
pub(crate) fn program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file())
}

/// Whether a file is there below `/usr`; `*` stands for a folder of any name, such as that of the architecture.
pub(crate) fn is_there(file: &str) -> bool {
    let Some((before, after)) = file.split_once("/*/") else { return PathBuf::from("/usr").join(file).exists() };
    let folders = fs::read_dir(PathBuf::from("/usr").join(before)).into_iter().flatten().flatten();
    folders.map(|folder| folder.path().join(after)).any(|path| path.exists())
}

/// Installs Debian packages if this is root; otherwise says which command does.
///
/// # Errors
/// If they are missing and this is not root, or apt fails.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if program(&["apt-get"]).is_none() {
        bail!("please install the packages that Debian calls {names}, then run this command again");
    }
    if !is_root() {
        bail!("missing system packages. Please run\n\n    sudo apt-get install {names}\n\nand then this command again");
    }
    let mut update = child::command("apt-get");
    update.args(["update", "--quiet"]);
    child::watch("updating the package lists", update)?;
    let mut install = child::command("apt-get");
    install.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    child::watch(&format!("installing {names}"), install)
}

/// Whether packages can be installed without asking anybody.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Checks that Node and npm are there and recent enough.
///
/// # Errors
/// If not; Debian 12's own Node is too old, so this is never installed by itself.
pub(crate) fn check_node() -> Result<()> {
    let found = child::output("node", &["--version"]);
    match found.as_deref().and_then(tools::version) {
        Some([major, ..]) if major >= NODE => {}
        Some([a, b, c]) => bail!("Node {NODE} or newer is needed to build the web app; `node` is {a}.{b}.{c}"),
        None => bail!("Node {NODE} or newer is needed to build the web app: see https://nodejs.org/en/download"),
    }
    if program(&["npm"]).is_none() {
        bail!("`npm` is needed to build the web app; it usually comes with Node");
    }
    Ok(())
}
