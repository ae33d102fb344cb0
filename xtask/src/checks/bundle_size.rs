//! What a headset downloads.

use anyhow::{Context, Result, bail};

use crate::setup::Toolbox;
use crate::web::BUNDLE;

/// Bytes of all wasm, JavaScript and style sheets, compressed with brotli, without the emulator.
const BUDGET: u64 = 500_000;

/// Node's zlib has brotli; nothing else here would need it.
const MEASURE: &str = r#"
const fs = require('fs'), path = require('path'), zlib = require('zlib');
const folder = process.argv[1];
for (const name of fs.readdirSync(folder, { recursive: true }).sort()) {
  if (!/\.(wasm|js|css)$/.test(name) || path.basename(name).startsWith('emulator')) continue;
  console.log(zlib.brotliCompressSync(fs.readFileSync(path.join(folder, name))).length, name);
}
"#;

/// Prints the compressed size of each file and compares their sum with the budget.
///
/// # Errors
/// If the sum is above it, or there is no bundle.
pub(crate) fn check(toolbox: &Toolbox) -> Result<()> {
    let output = toolbox.command("node").args(["-e", MEASURE, BUNDLE]).output().context("cannot start node")?;
    if !output.status.success() {
        bail!("cannot measure {BUNDLE}: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let files = String::from_utf8_lossy(&output.stdout);
    let mut total = 0;
    for line in files.lines() {
        let size = line.split(' ').next().and_then(|size| size.parse::<u64>().ok());
        total += size.with_context(|| format!("unexpected answer of node: {line}"))?;
        eprintln!("{line}");
    }
    if !files.lines().any(|line| line.ends_with(".wasm")) {
        bail!("{BUNDLE} holds no wasm file");
    }
    eprintln!("{total} bytes of {BUDGET}");
    if total > BUDGET {
        bail!("the web app is {total} bytes compressed; its budget is {BUDGET}");
    }
    Ok(())
}
