//! The certificate: files of the user, or one that the broker makes itself.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

/// Browsers refuse certificates that are valid for longer.
const VALIDITY: Duration = Duration::from_secs(396 * 24 * 60 * 60);

/// One of our own is made anew when it is so old.
const RENEW_AFTER: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Whether and with what certificate the listener speaks TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// It does not; a proxy may.
    #[default]
    Off,
    /// With the certificate of these files, which are read again when they change.
    Files {
        /// The chain, PEM.
        certificate: PathBuf,
        /// The key, PEM.
        key: PathBuf,
    },
    /// With one that the broker makes, in its data folder.
    SelfSigned,
}

/// The certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no certificate or no key.
    #[error("{}: {detail}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Certificate and key do not fit.
    #[error("certificate and key do not fit: {0}")]
    Pair(#[from] rustls::Error),
    /// A certificate cannot be made.
    #[error("no certificate can be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Paths of certificate and key, made if they are ours and missing or old.
pub(super) fn files(
    tls: &Tls,
    data_dir: &Path,
    ip: IpAddr,
    host: Option<&str>,
) -> Result<Option<(PathBuf, PathBuf)>, TlsError> {
    match tls {
        Tls::Off => Ok(None),
        Tls::Files { certificate, key } => Ok(Some((certificate.clone(), key.clone()))),
        Tls::SelfSigned => {
            let folder = data_dir.join("tls");
            let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
            let age = fs::metadata(&certificate).and_then(|file| file.modified());
            let fresh = age.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age < RENEW_AFTER));
            if !fresh || !key.exists() {
                make(&folder, &certificate, &key, ip, host)?;
            }
            Ok(Some((certificate, key)))
        }
    }
}

fn make(folder: &Path, certificate: &Path, key: &Path, ip: IpAddr, host: Option<&str>) -> Result<(), TlsError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !ip.is_unspecified() {
        names.push(ip.to_string());
    }
    names.extend(host.map(str::to_owned));
    names.sort_unstable();
    names.dedup();
    let mut params = rcgen::CertificateParams::new(names)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "waldo-broker");
    params.not_before = (SystemTime::now() - Duration::from_secs(24 * 60 * 60)).into();
    params.not_after = (SystemTime::now() + VALIDITY - Duration::from_secs(24 * 60 * 60)).into();
    let pair = rcgen::KeyPair::generate()?;
    let made = params.self_signed(&pair)?;
    fs::create_dir_all(folder).map_err(file(folder))?;
    let write = |path: &Path, text: &str, mode: u32| {
        let _ = fs::remove_file(path);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(mode).open(path)?.write_all(text.as_bytes())
    };
    write(key, &pair.serialize_pem(), 0o600).map_err(file(key))?;
    write(certificate, &made.pem(), 0o644).map_err(file(certificate))?;
    tracing::info!("made a certificate: {}", certificate.display());
    Ok(())
}

/// What rustls needs of two files.
pub(super) fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let content = |path: &Path, error: rustls_pki_types::pem::Error| match error {
        rustls_pki_types::pem::Error::Io(source) => TlsError::File { path: path.to_owned(), source },
        error => TlsError::Content { path: path.to_owned(), detail: error.to_string() },
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| content(certificate, error))?;
    if chain.is_empty() {
        let detail = "there is no certificate in it".to_owned();
        return Err(TlsError::Content { path: certificate.to_owned(), detail });
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| content(key, error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Reads the files again when they change, until stopped.
pub(super) async fn keep_current(config: RustlsConfig, files: (PathBuf, PathBuf), stop: CancellationToken) {
    let modified = |files: &(PathBuf, PathBuf)| {
        let of = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
        (of(&files.0), of(&files.1))
    };
    let mut known = modified(&files);
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
        let now = modified(&files);
        if now == known {
            continue;
        }
        known = now;
        match read(&files.0, &files.1) {
            Ok(fresh) => {
                tracing::info!("took the new certificate of {}", files.0.display());
                config.reload_from_config(fresh);
            }
            Err(error) => tracing::error!("the old certificate stays: {error}"),
        }
    }
}
