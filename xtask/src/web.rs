//! The web app: npm packages, trunk, and the knowledge whether the bundle is up to date.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{child, setup, workspace};

/// Everything the bundle is made from, relative to the root.
const INPUTS: &[&str] = &[
    ".cargo/config.toml",
    "Cargo.lock",
    "Cargo.toml",
    "Trunk.toml",
    "protocol",
    "rust-toolchain.toml",
    "static",
    "web-client",
    "xtask/src/tools.rs",
    "xtask/src/web",
];

/// Folders below the inputs that are outputs.
const OUTPUTS: &[&str] = &["dist", "node_modules", "target"];

/// The finished bundle, relative to the root.
pub(crate) const BUNDLE: &str = "static/dist";

/// Builds the bundle unless it is up to date.
///
/// # Errors
/// If something is missing or the build fails.
pub(crate) fn build() -> Result<()> {
    let stamp = workspace::root().join("static/node_modules/.web-app");
    if fs::read_to_string(&stamp).is_ok_and(|built| fingerprint().is_ok_and(|now| now == built)) {
        eprintln!("==> the web app in {BUNDLE} is up to date");
        return Ok(());
    }
    let toolbox = setup::ensure(setup::WEB)?;
    let mut trunk = toolbox.command("trunk");
    // Offline keeps trunk from downloading tools, which are on PATH in the right version; it is passed on to cargo, which
    // therefore needs everything at hand.
    child::watch("fetching the crates", toolbox.cargo(&["fetch", "--locked"]))?;
    trunk.args(["build", "--release", "--offline=true", "--skip-version-check", "--color=never"]);
    child::watch("building the web app", trunk)?;
    let mut compress = toolbox.command("node");
    compress.args(["-e", include_str!("web/compress.js"), BUNDLE]);
    child::show(compress).context("compressing the web app failed")?;
    fs::write(&stamp, fingerprint()?).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Installs the npm packages of the lockfile, unless they are there; returns the folder of their programs.
///
/// # Errors
/// If npm fails.
pub(crate) fn npm_packages() -> Result<PathBuf> {
    let folder = workspace::root().join("static");
    let lock = folder.join("package-lock.json");
    let wanted = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let stamp = folder.join("node_modules/.package-lock");
    if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        let mut npm = child::command("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder);
        child::watch("installing the npm packages of the web app", npm)?;
        fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    }
    Ok(folder.join("node_modules/.bin"))
}

/// A number that changes with every file that goes into the bundle and with the bundle itself.
fn fingerprint() -> Result<String> {
    let root = workspace::root();
    let mut files = Vec::new();
    for input in INPUTS {
        list(&root.join(input), &mut files)?;
    }
    list(&root.join(BUNDLE), &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Appends the file, or all files below the folder that are not outputs.
fn list(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
        let entry = entry?;
        if !OUTPUTS.iter().any(|output| entry.file_name() == *output) {
            list(&entry.path(), files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_below_the_inputs_do_not_count() {
        let folder = std::env::temp_dir().join(format!("waldo-xtask-{}", std::process::id()));
        for name in ["src/lib.rs", "dist/app.js", "node_modules/iwer/index.js"] {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, name).unwrap();
        }
        let mut files = Vec::new();
        list(&folder, &mut files).unwrap();
        assert_eq!(files, [folder.join("src/lib.rs")]);
        fs::remove_dir_all(folder).unwrap();
    }
}
