//! A certificate with its private key.
use rustls_pki_types::CertificateDer;

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {}

/// SHA-256 of a certificate; displayed as browsers do, `AB:CD:…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// A certificate with its private key.
#[derive(Debug)]
pub struct Identity {}

impl Identity {
    /// The leaf certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        unimplemented!()
    }

    /// Its SHA-256.
    pub fn fingerprint(&self) -> Fingerprint {
        unimplemented!()
    }
}
