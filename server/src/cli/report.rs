//! `waldo report`: rates, stalls and latencies of a recording.

use std::io::{self, Write as _};

use super::args::ReportArgs;
use crate::record::report;

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    args.log.start();
    let path = report::write(&args.recording)?;
    Ok(writeln!(io::stdout(), "{}", path.display())?)
}
