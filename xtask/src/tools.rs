//! Programs from the crate registry, in the versions that fit this workspace.

use std::path::PathBuf;

use anyhow::Result;

use crate::{child, workspace};

/// A program that `cargo install` can bring.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    /// Name of the crate.
    name: &'static str,
    /// The program that is asked for its version.
    program: &'static str,
    /// The version to install.
    version: &'static str,
    /// Whether no other version will do; otherwise a newer one is taken as well.
    exact: bool,
    /// Further arguments of `cargo install`.
    install: &'static [&'static str],
}

/// Builds the web app. 0.22 needs a newer compiler than this workspace. Its default features download other tools, which
/// the toolbox has already, and would take as long to build as the rest.
pub(crate) const TRUNK: Tool = Tool {
    name: "trunk",
    program: "trunk",
    version: "0.21.14",
    exact: true,
    install: &["--locked", "--no-default-features"],
};

/// Must match the `wasm-bindgen` of Cargo.lock to the digit.
pub(crate) const WASM_BINDGEN: Tool =
    Tool { name: "wasm-bindgen-cli", program: "wasm-bindgen", version: "0.2.130", exact: true, install: &[] };

/// Runs the tests.
pub(crate) const NEXTEST: Tool =
    Tool { name: "cargo-nextest", program: "cargo-nextest", version: "0.9.143", exact: false, install: &["--locked"] };

/// Checks licences, sources and banned crates.
pub(crate) const DENY: Tool =
    Tool { name: "cargo-deny", program: "cargo-deny", version: "0.20.2", exact: false, install: &["--locked"] };

/// Where a tool was found.
pub(crate) enum Place {
    /// On the user's PATH.
    Path,
    /// In this folder.
    Folder(PathBuf),
}

impl Tool {
    /// Looks on PATH, then in the cache, and builds the tool into the cache if it is in neither.
    ///
    /// # Errors
    /// If there is no place for a cache, or the build fails.
    pub(crate) fn find_or_install(&self) -> Result<Place> {
        let on_path = child::output(self.program, &["--version"]);
        if on_path.as_deref().and_then(version).is_some_and(|found| self.accepts(found)) {
            return Ok(Place::Path);
        }
        let bin = self.folder()?.join("bin");
        if !bin.join(self.program).is_file() {
            self.install()?;
        }
        Ok(Place::Folder(bin))
    }

    /// An unoptimised build takes half the time, and none of the tools has much to do.
    fn install(&self) -> Result<()> {
        let folder = self.folder()?;
        let build = workspace::tools_dir()?.join(format!("{}-{}.build", self.name, self.version));
        let mut cargo = child::command("cargo");
        cargo.args(["install", "--debug", self.name, "--version", self.version]).args(self.install);
        // A build directory of its own, kept on failure, so that an interrupted build goes on where it was.
        cargo.arg("--root").arg(&folder).arg("--target-dir").arg(&build);
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "false");
        child::watch(&format!("installing {} {} (once, some minutes)", self.name, self.version), cargo)?;
        let _ = std::fs::remove_dir_all(&build);
        Ok(())
    }

    fn folder(&self) -> Result<PathBuf> {
        Ok(workspace::tools_dir()?.join(format!("{}-{}", self.name, self.version)))
    }

    fn accepts(&self, found: Version) -> bool {
        let wanted = version(self.version);
        wanted.is_some_and(|wanted| if self.exact { found == wanted } else { found >= wanted })
    }
}

type Version = [u32; 3];

/// The first version number in a program's answer to `--version`.
pub(crate) fn version(text: &str) -> Option<Version> {
    text.split_whitespace().find_map(|word| {
        let mut parts = word.trim_start_matches('v').split('.').map(|part| part.parse().ok());
        Some([parts.next()??, parts.next()??, parts.next()??])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_programs_print() {
        assert_eq!(version("trunk 0.21.14\n"), Some([0, 21, 14]));
        assert_eq!(version("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)\nrelease: 0.9.143"), Some([0, 9, 143]));
        assert_eq!(version("v20.20.2"), Some([20, 20, 2]));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn the_builders_of_the_web_app_must_match_exactly_and_the_others_may_be_newer() {
        assert!(TRUNK.accepts([0, 21, 14]) && !TRUNK.accepts([0, 22, 0]));
        assert!(NEXTEST.accepts([0, 9, 200]) && NEXTEST.accepts([1, 0, 0]) && !NEXTEST.accepts([0, 9, 70]));
    }

    #[test]
    fn the_wasm_bindgen_tool_is_the_locked_one() {
        let lock = std::fs::read_to_string(workspace::root().join("Cargo.lock")).unwrap();
        let entry = format!("name = \"wasm-bindgen\"\nversion = \"{}\"\n", WASM_BINDGEN.version);
        assert!(lock.contains(&entry));
    }
}
