//! Logs go to stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::args::{DataArgs, LogFormat};

/// Crates that tell more than anybody wants to know, unless asked for by name. Some would tell descriptions in full, and
/// those that read datagrams would write lines for whatever a stranger sends.
const NOISY: &str = "hyper=warn,is=off,reqwest=warn,rustls=warn,sctp_proto=off,sqlx=warn,str0m=error";

/// Starts logging. A program with a subscriber of its own keeps it.
pub(super) fn init(args: &DataArgs) {
    let filter = EnvFilter::new(format!("{NOISY},{}", args.log));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let _ = match args.log_format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Checks a filter.
pub(super) fn filter(text: &str) -> Result<String, String> {
    EnvFilter::builder().parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}
