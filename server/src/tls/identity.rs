//! A certificate with its private key.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{} cannot be written: {source}; --data-dir chooses another folder", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no usable {expected}: {detail}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// Certificate and key do not belong together.
    #[error("the key in {} does not belong to the certificate in {}", keyfile.display(), certfile.display())]
    Mismatch {
        /// The certificate's file.
        certfile: PathBuf,
        /// The key's file.
        keyfile: PathBuf,
    },
    /// Only one of both files was given.
    #[error("certfile and keyfile belong together: give both, or none to use the certificate Waldo makes itself")]
    Half,
    /// A certificate cannot be made.
    #[error("no certificate can be made: {0}")]
    Make(#[from] rcgen::Error),
    /// The TLS library refused its configuration.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

impl TlsError {
    fn malformed(path: &Path, expected: &'static str, detail: impl fmt::Display) -> Self {
        Self::Malformed { path: path.to_owned(), expected, detail: detail.to_string() }
    }

    /// Would files made anew mend it?
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Malformed { .. } | Self::Mismatch { .. } => true,
            Self::Read { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

/// SHA-256 of a certificate; displayed as browsers do, `AB:CD:…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// A certificate chain with its private key, ready for TLS.
#[derive(Debug)]
pub struct Identity {
    pub(super) certified: Arc<CertifiedKey>,
    leaf: CertificateDer<'static>,
    names: Vec<String>,
    not_after: SystemTime,
    certfile: PathBuf,
    keyfile: PathBuf,
}

impl Identity {
    /// Reads PEM files: the chain with the leaf first, and its key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn read(certfile: &Path, keyfile: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source });
        let chain = CertificateDer::pem_slice_iter(&read(certfile)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsError::malformed(certfile, "certificate", error))?;
        let leaf = chain
            .first()
            .cloned()
            .ok_or_else(|| TlsError::malformed(certfile, "certificate", "no PEM block BEGIN CERTIFICATE"))?;
        let key = PrivateKeyDer::from_pem_slice(&read(keyfile)?)
            .map_err(|error| TlsError::malformed(keyfile, "private key", error))?;
        let (names, not_after) =
            contents(&leaf).map_err(|error| TlsError::malformed(certfile, "certificate", error))?;
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { certfile: certfile.to_owned(), keyfile: keyfile.to_owned() }
            }
            error => TlsError::malformed(keyfile, "private key", error),
        })?;
        let (certfile, keyfile) = (certfile.to_owned(), keyfile.to_owned());
        Ok(Self { certified: Arc::new(certified), leaf, names, not_after, certfile, keyfile })
    }

    /// The leaf certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.leaf
    }

    /// SHA-256 of the leaf certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(&self.leaf).into())
    }

    /// Names and addresses the certificate covers.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The end of its validity.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Validity left at `now`; zero once expired.
    pub fn remaining(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }

    /// The end of its validity for people: `Sat, 22 Dec 2027 03:05:42 +0000`.
    pub fn expiry(&self) -> String {
        let seconds = self.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        i64::try_from(seconds)
            .ok()
            .and_then(|seconds| ASN1Time::from_timestamp(seconds).ok())
            .and_then(|time| time.to_rfc2822().ok())
            .unwrap_or_else(|| "never".to_owned())
    }

    /// The certificate's file.
    pub fn certfile(&self) -> &Path {
        &self.certfile
    }

    /// The key's file.
    pub fn keyfile(&self) -> &Path {
        &self.keyfile
    }
}

/// Names covered, and the end of validity.
fn contents(leaf: &[u8]) -> Result<(Vec<String>, SystemTime), String> {
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
    let extension = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = extension.iter().flat_map(|extension| &extension.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|ip| ip.to_string()),
        _ => None,
    });
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    Ok((names.collect(), SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_written_as_browsers_do() {
        let mut bytes = [0; 32];
        bytes[0] = 0xab;
        bytes[31] = 7;
        let text = Fingerprint(bytes).to_string();
        assert!(text.starts_with("AB:00:"), "{text}");
        assert!(text.ends_with(":00:07"), "{text}");
        assert_eq!(text.len(), 32 * 3 - 1);
    }

    #[test]
    fn files_that_hold_nothing_usable_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (certfile, keyfile) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        let error = Identity::read(&certfile, &keyfile).unwrap_err();
        assert!(matches!(&error, TlsError::Read { path, .. } if *path == certfile), "{error}");
        fs::write(&certfile, "hello").unwrap();
        fs::write(&keyfile, "hello").unwrap();
        let error = Identity::read(&certfile, &keyfile).unwrap_err();
        assert!(error.to_string().contains("c.pem holds no usable certificate"), "{error}");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let [a, b] = [(); 2].map(|()| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
        let certfile = write("a.pem", &a.cert.pem());
        let error = Identity::read(&certfile, &write("b.key", &b.signing_key.serialize_pem())).unwrap_err();
        assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
        let identity = Identity::read(&certfile, &write("a.key", &a.signing_key.serialize_pem())).unwrap();
        assert_eq!(identity.names(), ["localhost"]);
        assert_eq!(identity.certificate(), a.cert.der());
    }
}
