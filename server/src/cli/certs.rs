//! `waldo certs`: what a person needs to know to trust the robot's certificate.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::SystemTime;

use anyhow::bail;

use super::args::{CertsAction, CertsArgs};
use crate::tls::{self, Identity};

pub(super) fn run(args: &CertsArgs) -> anyhow::Result<()> {
    args.log.start();
    let settings = args.settings();
    let (identity, remark) = match args.action {
        CertsAction::Show => {
            let (identity, renewal) = tls::certificate(&settings)?;
            (identity, renewal.map(|why| format!("Made a new certificate: {why}.")))
        }
        CertsAction::Renew if settings.certfile.is_some() || settings.keyfile.is_some() => {
            bail!("the certificate of --certfile is yours: renew it where it came from")
        }
        CertsAction::Renew => {
            let remark = "Renewed; a running server takes it over within a minute, and browsers ask again.";
            (tls::renew(&settings)?, Some(remark.to_owned()))
        }
    };
    let mut text = describe(&identity, SystemTime::now());
    if let Some(remark) = remark {
        text += &format!("\n{remark}\n");
    }
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn describe(identity: &Identity, now: SystemTime) -> String {
    let days = identity.remaining(now).as_secs() / (24 * 60 * 60);
    let left = match days {
        0 => "expired, or will today".to_owned(),
        days => format!("in {days} days"),
    };
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = writeln!(text, "file         {}", identity.certfile().display());
    let _ = writeln!(text, "SHA-256      {}", identity.fingerprint());
    let _ = writeln!(text, "expires      {} ({left})", identity.expiry());
    let _ = writeln!(text, "names        {}", identity.names().join("\n             "));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn everything_to_compare_with_the_browser_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { data_dir: dir.path().to_owned(), ..Settings::default() };
        let (identity, _) = tls::certificate(&settings).unwrap();
        let text = describe(&identity, SystemTime::now());
        assert!(text.contains(&identity.fingerprint().to_string()), "{text}");
        assert!(text.contains("tls/cert.pem") && text.contains("127.0.0.1") && text.contains("in 39"), "{text}");
    }
}
