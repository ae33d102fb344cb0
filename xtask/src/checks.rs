//! `cargo xtask test`: every check by name, and the list of results at the end.

mod bundle_size;
mod dependencies;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;

use crate::setup::{self, Need, Toolbox};
use crate::{child, tools, web, workspace};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The checks to run, in the order of the list; all if none is named.
    #[arg(value_parser = PossibleValuesParser::new(CHECKS.iter().map(|check| check.name)))]
    names: Vec<String>,
    /// Also check what needs the internet: security advisories.
    #[arg(long)]
    online: bool,
    /// Stop at the first failure.
    #[arg(long)]
    fail_fast: bool,
    /// Print the names of the checks and what each one does.
    #[arg(long)]
    list: bool,
}

struct Check {
    name: &'static str,
    about: &'static str,
    needs: &'static [Need],
    run: fn(&Context<'_>) -> Result<()>,
}

/// What a check may use.
struct Context<'a> {
    toolbox: &'a Toolbox,
    online: bool,
}

impl Context<'_> {
    fn cargo(&self, args: &[&str]) -> Result<()> {
        child::show(self.toolbox.cargo(args))
    }
}

/// The package of which only the pure logic builds natively, for its tests.
const WEB_CLIENT: &str = "waldo-web-client";

const WASM: &str = "wasm32-unknown-unknown";

/// Cheap ones first. The native ones share one set of features, so that each dependency is built once.
const CHECKS: &[Check] = &[
    Check { name: "fmt", about: "formatting", needs: &[], run: |c| c.cargo(&["fmt", "--all", "--check"]) },
    Check {
        name: "deps",
        about: "who may depend on whom, and what protocol must never depend on",
        needs: &[],
        run: |c| dependencies::check(c.toolbox),
    },
    Check {
        name: "deny",
        about: "licences, sources and banned crates; security advisories with --online",
        needs: &[Need::Tool(&tools::DENY)],
        run: deny,
    },
    Check {
        name: "clippy",
        about: "lints of everything native, warnings denied",
        needs: &[Need::Cxx, Need::Nasm, Need::Codecs],
        run: |c| {
            c.cargo(&[
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--all-features",
                "--",
                "--deny",
                "warnings",
            ])
        },
    },
    Check {
        name: "clippy-wasm",
        about: "lints of what runs in the browser, warnings, clocks and blocking calls denied",
        needs: &[Need::WasmTarget],
        run: clippy_wasm,
    },
    Check {
        name: "docs",
        about: "documentation, warnings denied",
        needs: &[Need::Cxx, Need::Nasm, Need::WasmTarget],
        run: docs,
    },
    Check {
        name: "native",
        about: "unit and integration tests and the examples in the documentation",
        needs: &[Need::Cxx, Need::Nasm, Need::Networks, Need::Python, Need::Tool(&tools::NEXTEST)],
        run: |c| {
            c.cargo(&["nextest", "run", "--workspace"])?;
            c.cargo(&["test", "--doc", "--workspace"])
        },
    },
    Check {
        name: "soak",
        about: "two minutes in which clients of all kinds come and go and leave nothing behind",
        needs: setup::NATIVE,
        run: soak,
    },
    Check {
        name: "codecs",
        about: "the tests of video with the optional encoders: VP8 and GStreamer",
        needs: &[Need::Cxx, Need::Nasm, Need::Codecs, Need::Tool(&tools::NEXTEST), Need::Chromium],
        run: codecs,
    },
    Check {
        name: "wasm",
        about: "the tests of protocol once more, in headless Chromium",
        needs: &[Need::WasmTarget, Need::Tool(&tools::WASM_BINDGEN), Need::Chromium],
        run: wasm,
    },
    Check {
        name: "browser",
        about: "the whole app in headless Chromium with an emulated headset",
        needs: &[Need::Cxx, Need::Nasm, Need::Tool(&tools::NEXTEST), Need::Chromium],
        run: browser,
    },
    Check {
        name: "size",
        about: "the web app's download, compressed, within its budget",
        needs: &[],
        run: |_| {
            web::build()?;
            bundle_size::check()
        },
    },
];

/// Runs the named checks, or all.
///
/// # Errors
/// If something is missing, or checks failed; names them.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        for Check { name, about, .. } in CHECKS {
            writeln!(io::stdout(), "{name:<12} {about}")?;
        }
        return Ok(());
    }
    let chosen: Vec<_> =
        CHECKS.iter().filter(|check| args.names.is_empty() || args.names.iter().any(|n| n == check.name)).collect();
    let needs: Vec<Need> = chosen.iter().flat_map(|check| check.needs).copied().collect();
    let toolbox = setup::ensure(&needs)?;
    let context = Context { toolbox: &toolbox, online: args.online };

    let started = Instant::now();
    let mut results = Vec::new();
    let mut failed = Vec::new();
    for check in chosen {
        eprintln!("\n=== {}: {}", check.name, check.about);
        let began = Instant::now();
        let outcome = (check.run)(&context);
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        if let Err(error) = outcome {
            eprintln!("error: {error:#}");
            failed.push((check.name, error));
        }
        results.push(format!("{:<12} {verdict:<7} {:>6}", check.name, child::elapsed(began)));
        if args.fail_fast && !failed.is_empty() {
            break;
        }
    }
    eprintln!("\n=== results after {}\n{}", child::elapsed(started), results.join("\n"));
    let Some((first, _)) = failed.first() else { return Ok(()) };
    let mut what = format!("run one alone with `cargo xtask test {first}`");
    for (name, error) in &failed {
        write!(what, "\n{name} failed: {error:#}")?;
    }
    bail!(what)
}

fn deny(c: &Context<'_>) -> Result<()> {
    let mut deny = c.toolbox.cargo(&["deny", "--all-features", "--locked", "check", "bans", "licenses", "sources"]);
    if c.online {
        deny.arg("advisories");
    }
    child::show(deny)
}

fn clippy_wasm(c: &Context<'_>) -> Result<()> {
    let mut clippy = c.toolbox.cargo(&[
        "clippy",
        "--locked",
        "--package",
        "waldo-protocol",
        "--package",
        WEB_CLIENT,
        "--target",
        WASM,
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]);
    // A second clippy.toml, which also bans what a browser lacks.
    clippy.env("CLIPPY_CONF_DIR", workspace::root().join(".ci/clippy-wasm"));
    child::show(clippy)
}

fn docs(c: &Context<'_>) -> Result<()> {
    // Private items too: module documentation speaks of them.
    let native = ["doc", "--no-deps", "--document-private-items", "--workspace"];
    let browser = ["doc", "--no-deps", "--document-private-items", "--package", WEB_CLIENT, "--target", WASM];
    for args in [&native[..], &browser] {
        let mut doc = c.toolbox.cargo(args);
        doc.env("RUSTDOCFLAGS", "--deny warnings");
        child::show(doc)?;
    }
    Ok(())
}

fn soak(c: &Context<'_>) -> Result<()> {
    // As the tests are built, with the same features, so that this builds nothing anew after them.
    c.cargo(&["test", "--no-run", "--workspace"])?;
    let mut soak = c.toolbox.command(workspace::target_dir()?.join("debug/soak"));
    soak.args(["--minutes", "2"]);
    child::show(soak)
}

fn codecs(c: &Context<'_>) -> Result<()> {
    let features = "waldo-server/gstreamer,waldo-server/vp8,waldo-tests/browser,waldo-tests/vp8";
    let mut args = vec!["nextest", "run", "--package", "waldo-server", "--package", "waldo-tests"];
    args.extend(["--features", features, "--lib", "--test", "video", "--test", "rtc", "--test", "browser_codecs"]);
    args.extend(["--filterset", "test(video::) | binary(video) | binary(rtc) | binary(browser_codecs)"]);
    c.cargo(&args)
}

fn wasm(c: &Context<'_>) -> Result<()> {
    let mut test = c.toolbox.cargo(&["test", "--package", "waldo-protocol", "--target", WASM]);
    test.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner");
    child::show(test)
}

fn browser(c: &Context<'_>) -> Result<()> {
    web::build()?;
    c.cargo(&[
        "nextest",
        "run",
        "--workspace",
        "--features",
        "waldo-tests/browser",
        "--filterset",
        "package(waldo-tests) & binary(/^browser/)",
    ])
}
