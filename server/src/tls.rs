//! The certificate of the robot, and TLS with it.
//!
//! [`Identity`] is a certificate with its key, [`Names`] what it has to cover, [`ServerTls`] what a listener uses: it
//! swaps the identity for new connections while old ones go on.

mod identity;
mod names;

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use identity::{Fingerprint, Identity, TlsError};
pub use names::Names;

use crate::config::Settings;

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
    /// Somebody asked for it.
    Asked,
}

/// TLS for listeners, with a certificate that can be swapped without dropping connections.
pub struct ServerTls {}

impl ServerTls {
    /// Loads the certificate, or makes one; logs what it did.
    ///
    /// # Errors
    /// [`TlsError`] says which file is wrong and what to do.
    pub fn new(_settings: &Settings) -> Result<Arc<Self>, TlsError> {
        unimplemented!()
    }

    /// The configuration for a rustls acceptor.
    pub fn config(&self) -> Arc<rustls::ServerConfig> {
        unimplemented!()
    }

    /// The present certificate.
    pub fn identity(&self) -> Arc<Identity> {
        unimplemented!()
    }

    /// Keeps the certificate valid and covering all addresses, until `shutdown`: looks every minute.
    pub async fn keep_current(self: Arc<Self>, _shutdown: CancellationToken) {
        unimplemented!()
    }
}
