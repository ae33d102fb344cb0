//! The rooms of ARCHITECTURE.md: which package may use which, and what `protocol` must stay free of.

use anyhow::{Context, Result, bail};

use crate::setup::Toolbox;

/// Each package of the workspace and the ones of ours that it may use. Nothing points back.
const ROOMS: &[(&str, &[&str])] = &[
    ("waldo-protocol", &[]),
    ("waldo-web-client", &["waldo-protocol"]),
    ("waldo-program", &[]),
    ("waldo-broker", &["waldo-program", "waldo-protocol"]),
    ("waldo-policy-client", &["waldo-protocol"]),
    ("waldo-server", &["waldo-program", "waldo-protocol"]),
    ("waldo-tests", &["waldo-broker", "waldo-policy-client", "waldo-protocol", "waldo-server", "waldo-web-client"]),
    ("xtask", &[]),
];

/// All that `protocol` may use directly outside of its tests.
const PROTOCOL_ALLOWED: &[&str] = &["bytemuck", "glam", "rmp", "rmpv", "serde", "serde_json", "thiserror", "utoipa"];

/// What `protocol` must not reach even through others: I/O, runtimes, clocks, randomness, the browser, logging.
const PROTOCOL_FORBIDDEN: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "crossbeam",
    "futures",
    "futures-util",
    "getrandom",
    "hyper",
    "instant",
    "js-sys",
    "leptos",
    "libc",
    "log",
    "mio",
    "parking_lot",
    "rand",
    "rayon",
    "ring",
    "rustix",
    "rustls",
    "smol",
    "socket2",
    "time",
    "tokio",
    "tracing",
    "tungstenite",
    "wasm-bindgen",
    "web-sys",
    "web-time",
];

/// Compares what cargo resolves with the tables above.
///
/// # Errors
/// Names every dependency that should not be.
pub(crate) fn check(toolbox: &Toolbox) -> Result<()> {
    let mut wrong = Vec::new();
    for (package, allowed) in ROOMS {
        for used in tree(toolbox, package, &["--edges", "all", "--depth", "1"])? {
            if ROOMS.iter().any(|(ours, _)| *ours == used) && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{package} must not use {used}"));
            }
        }
    }
    for member in members(toolbox)? {
        if !ROOMS.iter().any(|(package, _)| *package == member) {
            wrong.push(format!("{member} has no place in the table of rooms"));
        }
    }
    for used in tree(toolbox, "waldo-protocol", &["--edges", "normal,build", "--depth", "1"])? {
        if !PROTOCOL_ALLOWED.contains(&used.as_str()) {
            wrong.push(format!("waldo-protocol must not use {used}"));
        }
    }
    for used in tree(toolbox, "waldo-protocol", &["--edges", "normal,build"])? {
        if PROTOCOL_FORBIDDEN.contains(&used.as_str()) {
            wrong.push(format!("waldo-protocol must not reach {used} (see `cargo tree -p waldo-protocol -i {used}`)"));
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    eprintln!("{} packages, every arrow as drawn", ROOMS.len());
    Ok(())
}

/// Names of what the package uses, for all targets and features.
fn tree(toolbox: &Toolbox, package: &str, args: &[&str]) -> Result<Vec<String>> {
    let mut names = packages(toolbox, &[&["--package", package], args].concat())?;
    names.retain(|name| name != package);
    Ok(names)
}

fn members(toolbox: &Toolbox) -> Result<Vec<String>> {
    packages(toolbox, &["--workspace", "--depth", "0"])
}

/// First words of what `cargo tree` prints, each once.
fn packages(toolbox: &Toolbox, args: &[&str]) -> Result<Vec<String>> {
    let fixed = ["tree", "--locked", "--quiet", "--all-features", "--target", "all", "--prefix", "none"];
    let output = toolbox.cargo(&fixed).args(args).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("`cargo tree` failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut names: Vec<String> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok(names)
}
