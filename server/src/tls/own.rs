//! The certificate Waldo makes itself, in the data folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    SerialNumber,
};

use super::{Identity, Names, Renewal, TlsError};
use crate::config::private_file;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Browsers refuse server certificates that are valid for more than 398 days.
const VALIDITY: Duration = DAY.saturating_mul(396);

/// A certificate begins to be valid earlier, for headsets whose clock is behind.
const BACKDATED: Duration = DAY;

/// Made anew when less than this is left.
const RENEW_BEFORE: Duration = DAY.saturating_mul(30);

/// The folder of the certificate Waldo makes itself.
#[derive(Debug)]
pub(super) struct OwnCertificate {
    folder: PathBuf,
}

impl OwnCertificate {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("tls") }
    }

    fn certfile(&self) -> PathBuf {
        self.folder.join("cert.pem")
    }

    fn keyfile(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    /// The stored certificate if it is valid and covers `names`; else a new one, and why. The names of the old one
    /// are kept, so that an address that comes back is covered.
    pub(super) fn current(&self, names: &Names, now: SystemTime) -> Result<(Identity, Option<Renewal>), TlsError> {
        let _lock = self.lock()?;
        let old = match Identity::read(&self.certfile(), &self.keyfile()) {
            Ok(identity) => identity,
            Err(error) if error.is_damage() => {
                let missing = !self.certfile().exists() && !self.keyfile().exists();
                let reason = if missing { Renewal::First } else { Renewal::Damaged(error.to_string()) };
                return Ok((self.make(names, &[], true, now)?, Some(reason)));
            }
            Err(error) => return Err(error),
        };
        self.close_key_to_others()?;
        let reason = if old.remaining(now) < RENEW_BEFORE {
            Renewal::Expiry
        } else {
            let mut uncovered = names.all();
            uncovered.retain(|name| !old.names().contains(name));
            if uncovered.is_empty() {
                return Ok((old, None));
            }
            Renewal::Uncovered(uncovered)
        };
        Ok((self.make(names, old.names(), false, now)?, Some(reason)))
    }

    /// A new certificate with a new key, whatever there was.
    pub(super) fn renew(&self, names: &Names, now: SystemTime) -> Result<Identity, TlsError> {
        let _lock = self.lock()?;
        let old = Identity::read(&self.certfile(), &self.keyfile()).ok();
        self.make(names, old.as_ref().map_or(&[], |old| old.names()), true, now)
    }

    /// Two programs with one data folder must not mix their files.
    fn lock(&self) -> Result<File, TlsError> {
        private_file::lock(&self.folder).map_err(|source| TlsError::Write { path: self.folder.clone(), source })
    }

    fn make(&self, names: &Names, kept: &[String], new_key: bool, now: SystemTime) -> Result<Identity, TlsError> {
        let (certfile, keyfile) = (self.certfile(), self.keyfile());
        let write = |path: &Path, text: &str, mode| {
            private_file::write(path, text.as_bytes(), mode)
                .map_err(|source| TlsError::Write { path: path.to_owned(), source })
        };
        let key = if new_key {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            write(&keyfile, &key.serialize_pem(), 0o600)?;
            key
        } else {
            let pem =
                fs::read_to_string(&keyfile).map_err(|source| TlsError::Read { path: keyfile.clone(), source })?;
            KeyPair::from_pem(&pem)?
        };
        let certificate = params(names, kept, now)?.self_signed(&key)?;
        write(&certfile, &certificate.pem(), 0o644)?;
        Identity::read(&certfile, &keyfile)
    }

    fn close_key_to_others(&self) -> Result<(), TlsError> {
        let path = self.keyfile();
        if private_file::close_to_others(&path).map_err(|source| TlsError::Write { path: path.clone(), source })? {
            tracing::warn!("{} was readable by others; closed it: consider `waldo certs renew`", path.display());
        }
        Ok(())
    }
}

fn params(names: &Names, kept: &[String], now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    let mut all = names.all();
    let old: Vec<_> = kept.iter().filter(|name| !all.contains(name)).cloned().collect();
    all.extend(old);
    all.truncate(super::names::MAX_NAMES);
    let mut params = CertificateParams::new(all)?;
    // A common name has at most 64 characters.
    let host: String = names.host().chars().take(50).collect();
    params.distinguished_name.push(DnType::CommonName, format!("waldo on {host}"));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + (VALIDITY - BACKDATED)).into();
    // Browsers refuse two certificates of one issuer with the same serial number, and the key may be an old one.
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|_| rcgen::Error::RingUnspecified)?;
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(addresses: &[&str]) -> Names {
        Names::new("robot", addresses.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn the_certificate_is_made_once_and_reused() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnCertificate::new(dir.path());
        let now = SystemTime::now();
        let (first, reason) = own.current(&names(&["192.168.1.5"]), now).unwrap();
        assert_eq!(reason, Some(Renewal::First));
        let (again, reason) = own.current(&names(&["192.168.1.5"]), now).unwrap();
        assert_eq!(reason, None);
        assert_eq!(first.fingerprint(), again.fingerprint());
        let remaining = first.remaining(now);
        assert!(remaining > DAY * 360 && remaining < DAY * 397, "{remaining:?}");
    }

    #[test]
    fn the_key_is_readable_by_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnCertificate::new(dir.path());
        let mode = || fs::metadata(own.keyfile()).unwrap().permissions().mode() & 0o777;
        own.current(&names(&[]), SystemTime::now()).unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(own.keyfile(), Permissions::from_mode(0o644)).unwrap();
        own.current(&names(&[]), SystemTime::now()).unwrap();
        assert_eq!(mode(), 0o600, "closed again");
    }

    #[test]
    fn a_new_address_is_added_and_old_names_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnCertificate::new(dir.path());
        let now = SystemTime::now();
        own.current(&names(&["192.168.1.5"]), now).unwrap();
        let (identity, reason) = own.current(&names(&["10.0.0.7"]), now).unwrap();
        assert_eq!(reason, Some(Renewal::Uncovered(vec!["10.0.0.7".to_owned()])));
        for name in ["localhost", "127.0.0.1", "::1", "robot", "robot.local", "10.0.0.7", "192.168.1.5"] {
            assert!(identity.names().contains(&name.to_owned()), "{name} in {:?}", identity.names());
        }
        let (_, reason) = own.current(&names(&["192.168.1.5"]), now).unwrap();
        assert_eq!(reason, None, "the old address is still covered");
    }

    #[test]
    fn it_is_made_anew_a_month_before_it_expires() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnCertificate::new(dir.path());
        let now = SystemTime::now();
        let (first, _) = own.current(&names(&[]), now).unwrap();
        let (_, reason) = own.current(&names(&[]), first.not_after() - DAY * 31).unwrap();
        assert_eq!(reason, None);
        let later = first.not_after() - DAY * 29;
        let (second, reason) = own.current(&names(&[]), later).unwrap();
        assert_eq!(reason, Some(Renewal::Expiry));
        assert!(second.remaining(later) > DAY * 360);
    }

    #[test]
    fn a_clock_that_fell_back_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnCertificate::new(dir.path());
        let now = SystemTime::now();
        own.current(&names(&[]), now).unwrap();
        let (_, reason) = own.current(&names(&[]), now - DAY * 3000).unwrap();
        assert_eq!(reason, None);
    }

    #[test]
    fn damaged_files_are_replaced_and_the_reason_told() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnCertificate::new(dir.path());
        own.current(&names(&[]), SystemTime::now()).unwrap();
        fs::write(own.keyfile(), "rubbish").unwrap();
        let (_, reason) = own.current(&names(&[]), SystemTime::now()).unwrap();
        assert!(matches!(reason, Some(Renewal::Damaged(why)) if why.contains("key.pem")));
        fs::remove_file(own.certfile()).unwrap();
        let (_, reason) = own.current(&names(&[]), SystemTime::now()).unwrap();
        assert!(matches!(reason, Some(Renewal::Damaged(why)) if why.contains("cert.pem")));
    }

    #[test]
    fn renewal_on_request_changes_the_key_and_keeps_the_names() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnCertificate::new(dir.path());
        let now = SystemTime::now();
        own.current(&names(&["192.168.1.5"]), now).unwrap();
        let key = fs::read(own.keyfile()).unwrap();
        let renewed = own.renew(&names(&[]), now).unwrap();
        assert_ne!(fs::read(own.keyfile()).unwrap(), key);
        assert!(renewed.names().contains(&"192.168.1.5".to_owned()));
    }

    #[test]
    fn two_certificates_of_one_key_have_different_serial_numbers() {
        let now = SystemTime::now();
        let [a, b] = [(); 2].map(|()| params(&names(&[]), &[], now).unwrap().serial_number);
        assert_ne!(a, b);
    }
}
