//! What a headset downloads.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::web::BUNDLE;
use crate::workspace;

/// Bytes of all wasm, JavaScript and style sheets, compressed with brotli, without the emulator.
const BUDGET: u64 = 500_000;

/// Prints the compressed size of each file and compares their sum with the budget.
///
/// # Errors
/// If the sum is above it, or there is no compressed bundle.
pub(crate) fn check() -> Result<()> {
    let folder = workspace::root().join(BUNDLE);
    let mut total = 0;
    let mut wasm = false;
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("emulator") || ![".wasm", ".js", ".css"].iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let compressed = folder.join(format!("{name}.br"));
        let size = fs::metadata(&compressed).with_context(|| format!("{} is missing", compressed.display()))?.len();
        eprintln!("{size:>8} {name}");
        total += size;
        wasm |= name.ends_with(".wasm");
    }
    if !wasm {
        bail!("{BUNDLE} holds no wasm file");
    }
    eprintln!("{total:>8} of {BUDGET} bytes");
    if total > BUDGET {
        bail!("the web app is {total} bytes compressed; its budget is {BUDGET}");
    }
    Ok(())
}
