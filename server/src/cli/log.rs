//! Logs go to stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::args::{LogArgs, LogFormat};

/// Crates that tell more than anybody wants to know, unless asked for by name.
const NOISY: &str = "hyper=warn,mdns_sd=error,rtc=error,rustls=warn,webrtc=error";

/// Starts logging. A program with a subscriber of its own keeps it.
pub(super) fn init(args: &LogArgs) {
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
