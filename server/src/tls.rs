//! The certificate of the robot, and TLS with it.
//!
//! [`Identity`] is a certificate with its key, [`Names`] what it has to cover, [`ServerTls`] what a listener uses: it
//! swaps the identity for new connections while old ones go on.

mod identity;
mod names;
mod own;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use identity::{Fingerprint, Identity, TlsError};
pub use names::Names;
use own::OwnCertificate;

use crate::config::Settings;

/// How often files and addresses are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A certificate that ends sooner than this is complained about; one of Waldo's own is renewed before.
const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Why the certificate was made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Renewal {
    /// There was none.
    First,
    /// It was about to expire, or had.
    Expiry,
    /// It did not cover these names or addresses.
    Uncovered(Vec<String>),
    /// The files were damaged; why.
    Damaged(String),
}

impl fmt::Display for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => write!(f, "there was none"),
            Self::Expiry => write!(f, "the old one ends soon"),
            Self::Uncovered(names) => write!(f, "new names: {}", names.join(", ")),
            Self::Damaged(why) => write!(f, "{why}"),
        }
    }
}

/// Where the certificate comes from.
#[derive(Debug)]
enum Source {
    /// Waldo makes and renews it.
    Own(OwnCertificate),
    /// The user's; only ever read.
    Files { certfile: PathBuf, keyfile: PathBuf },
}

impl Source {
    fn new(settings: &Settings) -> Result<Self, TlsError> {
        match (&settings.certfile, &settings.keyfile) {
            (None, None) => Ok(Self::Own(OwnCertificate::new(&settings.data_dir))),
            (Some(certfile), Some(keyfile)) => Ok(Self::Files { certfile: certfile.clone(), keyfile: keyfile.clone() }),
            _ => Err(TlsError::Half),
        }
    }

    fn current(&self, names: &Names, now: SystemTime) -> Result<(Identity, Option<Renewal>), TlsError> {
        match self {
            Self::Own(own) => own.current(names, now),
            Self::Files { certfile, keyfile } => Ok((Identity::read(certfile, keyfile)?, None)),
        }
    }
}

/// The certificate `settings` choose, made or renewed if need be, and why it was.
///
/// # Errors
/// [`TlsError`] says which file is wrong and what to do.
pub fn certificate(settings: &Settings) -> Result<(Identity, Option<Renewal>), TlsError> {
    Source::new(settings)?.current(&Names::of_this_machine(), SystemTime::now())
}

/// A new certificate with a new key in the data folder of `settings`. A running server takes it over within a minute.
///
/// # Errors
/// [`TlsError`] says which file is wrong.
pub fn renew(settings: &Settings) -> Result<Identity, TlsError> {
    OwnCertificate::new(&settings.data_dir).renew(&Names::of_this_machine(), SystemTime::now())
}

/// Hands the present certificate to each handshake.
#[derive(Debug)]
struct Present(ArcSwap<Identity>);

impl ResolvesServerCert for Present {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified))
    }
}

/// TLS for listeners, with a certificate that can be swapped without dropping connections.
#[derive(Debug)]
pub struct ServerTls {
    source: Source,
    present: Arc<Present>,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Loads the certificate, or makes one; logs what it did.
    ///
    /// # Errors
    /// [`TlsError`] says which file is wrong and what to do.
    pub fn new(settings: &Settings) -> Result<Arc<Self>, TlsError> {
        let source = Source::new(settings)?;
        let (identity, renewal) = source.current(&Names::of_this_machine(), SystemTime::now())?;
        if let Some(renewal) = renewal {
            tracing::info!(fingerprint = %identity.fingerprint(), "made a certificate: {renewal}");
        }
        let present = Arc::new(Present(ArcSwap::from_pointee(identity)));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&present) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(Self { source, present, config: Arc::new(config) }))
    }

    /// The configuration for a rustls acceptor.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The present certificate.
    pub fn identity(&self) -> Arc<Identity> {
        self.present.0.load_full()
    }

    /// Looks at the files, the addresses and the time, renews what needs it, and swaps the certificate of new
    /// connections if another one is due.
    ///
    /// # Errors
    /// [`TlsError`]; the present certificate then stays in use.
    pub fn refresh(&self, names: &Names, now: SystemTime) -> Result<Option<Renewal>, TlsError> {
        let (identity, renewal) = self.source.current(names, now)?;
        if identity.certificate() != self.identity().certificate() {
            let why = renewal.as_ref().map_or_else(|| "the file changed".to_owned(), Renewal::to_string);
            tracing::warn!(
                fingerprint = %identity.fingerprint(),
                "new certificate, browsers may ask to accept it again: {why}"
            );
            self.present.0.store(Arc::new(identity));
        }
        Ok(renewal)
    }

    /// Keeps the certificate valid and covering all addresses, until `shutdown`: looks every minute.
    pub async fn keep_current(self: Arc<Self>, shutdown: CancellationToken) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complained = None;
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = shutdown.cancelled() => return,
            }
            let tls = Arc::clone(&self);
            let refresh = move || {
                let now = SystemTime::now();
                match tls.refresh(&Names::of_this_machine(), now) {
                    Ok(_) => complaint(&tls.identity(), now),
                    Err(error) => Some(format!("the certificate cannot be kept current: {error}")),
                }
            };
            // A task that was cancelled or panicked is tried again a minute later.
            let Ok(complaint) = tokio::task::spawn_blocking(refresh).await else { continue };
            if complaint != complained {
                if let Some(complaint) = &complaint {
                    tracing::error!("{complaint}");
                }
                complained = complaint;
            }
        }
    }
}

/// What the operator has to do about a certificate that only the operator can replace.
fn complaint(identity: &Identity, now: SystemTime) -> Option<String> {
    let (file, expiry) = (identity.certfile().display(), identity.expiry());
    match identity.remaining(now) {
        Duration::ZERO => Some(format!("the certificate in {file} ended {expiry}: replace it, no restart is needed")),
        left if left < WARN_BEFORE => {
            Some(format!("the certificate in {file} ends {expiry}: replace it, no restart is needed"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dir: &std::path::Path) -> Settings {
        Settings { data_dir: dir.to_owned(), ..Settings::default() }
    }

    #[test]
    fn half_a_certificate_of_ones_own_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { certfile: Some("a.pem".into()), ..settings(dir.path()) };
        assert!(matches!(ServerTls::new(&settings), Err(TlsError::Half)));
    }

    #[test]
    fn a_renewal_by_another_process_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        let tls = ServerTls::new(&settings).unwrap();
        let renewed = renew(&settings).unwrap();
        assert_ne!(tls.identity().fingerprint(), renewed.fingerprint());
        assert_eq!(tls.refresh(&Names::of_this_machine(), SystemTime::now()).unwrap(), None);
        assert_eq!(tls.identity().fingerprint(), renewed.fingerprint());
    }

    #[test]
    fn a_users_file_that_breaks_keeps_the_present_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certfile, keyfile) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        std::fs::write(&certfile, made.cert.pem()).unwrap();
        std::fs::write(&keyfile, made.signing_key.serialize_pem()).unwrap();
        let settings = Settings { certfile: Some(certfile.clone()), keyfile: Some(keyfile), ..settings(dir.path()) };
        let tls = ServerTls::new(&settings).unwrap();
        std::fs::write(&certfile, "half a fi").unwrap();
        assert!(tls.refresh(&Names::of_this_machine(), SystemTime::now()).is_err());
        assert_eq!(tls.identity().certificate(), made.cert.der());
    }

    #[test]
    fn the_operator_is_told_before_a_certificate_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (identity, _) =
            Source::new(&settings(dir.path())).unwrap().current(&Names::new("robot", []), SystemTime::now()).unwrap();
        let end = identity.not_after();
        assert_eq!(complaint(&identity, end - WARN_BEFORE), None);
        assert!(complaint(&identity, end - WARN_BEFORE / 2).unwrap().contains(" ends "));
        assert!(complaint(&identity, end + WARN_BEFORE).unwrap().contains(" ended "));
    }
}
