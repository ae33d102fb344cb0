//! Logs go to stderr.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// Crates that tell more than anybody wants to know, unless asked for by name. Some would tell descriptions in full, and
/// those that read datagrams would write lines for whatever a stranger sends.
const NOISY: &str = "hyper=warn,is=off,mdns_sd=error,reqwest=warn,rtc=error,rustls=warn,sctp_proto=off,sqlx=warn,\
     str0m=error,webrtc=error";

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

/// Starts logging what a filter lets through. A program with a subscriber of its own keeps it.
pub fn init(filter: &str, format: LogFormat) {
    let filter = EnvFilter::new(format!("{NOISY},{filter}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let _ = match format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Checks a filter, such as `info,waldo_server::vr=trace`.
///
/// # Errors
/// What is wrong with it.
pub fn filter(text: &str) -> Result<String, String> {
    EnvFilter::builder().parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked_before_anything_starts() {
        assert!(filter("info,waldo_server::vr=trace").is_ok());
        assert!(filter("waldo_server=loud").is_err());
        assert!(EnvFilter::builder().parse(NOISY).is_ok());
    }
}
