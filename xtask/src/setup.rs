//! Finds what a command needs and installs what is missing.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::tools::{self, Place, Tool};
use crate::{child, packages, python, web, workspace};

/// Something that building or testing needs beyond Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A C++ compiler, for the H.264 encoder.
    Cxx,
    /// The assembler that makes the H.264 encoder three times faster; taken if it is there or can be installed.
    Nasm,
    /// What the optional features of the server are built with: libvpx and GStreamer, with elements to test.
    Codecs,
    /// The standard library for wasm32.
    WasmTarget,
    /// Node and the npm packages of the web app.
    Npm,
    /// A program from the crate registry.
    Tool(&'static Tool),
    /// Headless Chromium and its driver.
    Chromium,
    /// `ip`, for tests that make networks, which only root may.
    Networks,
    /// Python with the libraries of `tests/python`.
    Python,
    /// PostgreSQL, the broker's other database, and coturn, a relay.
    Servers,
}

/// Needs of every native build.
pub(crate) const NATIVE: &[Need] = &[Need::Cxx, Need::Nasm];

/// Needs of the web app's build.
pub(crate) const WEB: &[Need] =
    &[Need::WasmTarget, Need::Npm, Need::Tool(&tools::TRUNK), Need::Tool(&tools::WASM_BINDGEN)];

/// Needs of tests alone.
const TESTS: &[Need] = &[
    Need::Tool(&tools::NEXTEST),
    Need::Tool(&tools::DENY),
    Need::Chromium,
    Need::Networks,
    Need::Codecs,
    Need::Python,
    Need::Servers,
];

/// The environment in which everything asked for is found.
pub(crate) struct Toolbox {
    path: OsString,
}

impl Toolbox {
    /// A command that finds the tools on its PATH.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = child::command(program);
        command.env("PATH", &self.path);
        for (variable, names) in [("CHROMIUM", CHROMIUM), ("CHROMEDRIVER", DRIVER)] {
            if let (None, Some(program)) = (env::var_os(variable), packages::program(names)) {
                command.env(variable, program);
            }
        }
        command
    }

    /// A cargo command; the subcommand is the first argument.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut cargo = self.command("cargo");
        cargo.args(args);
        cargo
    }
}

/// Debian packages that the server's features need, and a file of each below `/usr`.
const CODECS: &[(&str, &str)] = &[
    ("pkg-config", "bin/pkg-config"),
    ("libvpx-dev", "include/vpx/vpx_encoder.h"),
    ("libgstreamer1.0-dev", "include/gstreamer-1.0/gst/gst.h"),
    ("libgstreamer-plugins-base1.0-dev", "include/gstreamer-1.0/gst/app/gstappsink.h"),
    ("gstreamer1.0-plugins-base", "lib/*/gstreamer-1.0/libgstvideoconvertscale.so"),
    ("gstreamer1.0-plugins-bad", "lib/*/gstreamer-1.0/libgstopenh264.so"),
    ("gstreamer1.0-plugins-ugly", "lib/*/gstreamer-1.0/libgstx264.so"),
];

/// Debian packages of servers that tests start themselves, with what makes keys for them, and a file of each below `/usr`.
const SERVERS: &[(&str, &str)] =
    &[("postgresql", "lib/postgresql/*/bin/initdb"), ("coturn", "bin/turnserver"), ("openssl", "bin/openssl")];

const CHROMIUM: &[&str] = &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const DRIVER: &[&str] = &["chromedriver"];

/// `cargo xtask setup`.
///
/// # Errors
/// What [`ensure`] says.
pub(crate) fn everything() -> Result<()> {
    ensure(&[NATIVE, WEB, TESTS].concat())?;
    eprintln!("Everything is in place: `cargo xtask run` starts Waldo, `cargo xtask test` tests it.");
    Ok(())
}

/// Installs what is missing of these, system packages first, since they may need a person.
///
/// # Errors
/// If something can neither be found nor installed; the message says what to do.
pub(crate) fn ensure(needs: &[Need]) -> Result<Toolbox> {
    packages::install(&missing_packages(needs))?;
    if needs.contains(&Need::Npm) {
        packages::check_node()?;
    }
    if needs.contains(&Need::WasmTarget) {
        wasm_target()?;
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for need in needs {
        if let Need::Tool(tool) = need
            && let Place::Folder(bin) = tool.find_or_install()?
            && !folders.contains(&bin)
        {
            folders.push(bin);
        }
    }
    if needs.contains(&Need::Npm) {
        folders.push(web::npm_packages()?);
    }
    if needs.contains(&Need::Python) {
        python::environment()?;
    }
    let old = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(folders.into_iter().chain(env::split_paths(&old)))
        .context("a folder of the tool cache has a colon in its name")?;
    Ok(Toolbox { path })
}

fn missing_packages(needs: &[Need]) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if needs.contains(&Need::Cxx) && packages::program(&["c++", "g++"]).is_none() {
        missing.push("build-essential");
    }
    if needs.contains(&Need::Servers) {
        missing.extend(SERVERS.iter().filter(|(_, file)| !packages::is_there(file)).map(|(package, _)| *package));
    }
    if needs.contains(&Need::Codecs) {
        missing.extend(CODECS.iter().filter(|(_, file)| !packages::is_there(file)).map(|(package, _)| *package));
    }
    if needs.contains(&Need::Chromium) {
        if packages::program(CHROMIUM).is_none() {
            missing.push("chromium");
        }
        if packages::program(DRIVER).is_none() {
            missing.push("chromium-driver");
        }
    }
    if needs.contains(&Need::Nasm) && packages::program(&["nasm"]).is_none() {
        if packages::is_root() {
            missing.push("nasm");
        } else {
            eprintln!(
                "note: without nasm the video encoder is three times slower. To have it:\n      \
                 sudo apt-get install nasm && cargo clean --release -p openh264-sys2"
            );
        }
    }
    if needs.contains(&Need::Networks) && packages::is_root() && packages::program(&["ip"]).is_none() {
        missing.push("iproute2");
    }
    if needs.contains(&Need::Python) && !python::makes_environments() {
        missing.push("python3-venv");
    }
    missing
}

fn wasm_target() -> Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let sysroot = child::output("rustc", &["--print", "sysroot"]).context("`rustc` does not run")?;
    if PathBuf::from(sysroot.trim_end()).join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    let mut rustup = child::command("rustup");
    rustup.args(["target", "add", TARGET]);
    child::watch("adding the wasm32 target", rustup)
        .with_context(|| format!("Rust lacks the target {TARGET} in {}", workspace::root().display()))
}
