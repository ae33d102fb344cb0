//! Passwords: argon2id, a few at a time.

use std::sync::Arc;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::store::StoreError;

/// Fewest characters of a password.
const SHORTEST: usize = 8;

/// Most bytes of a password: what is hashed is bounded.
const LONGEST: usize = 1024;

/// Most characters of a name.
const LONGEST_NAME: usize = 254;

/// Passwords hashed at a time; each takes 19 MiB.
const AT_A_TIME: usize = 2;

/// What may go wrong with a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// It has too few characters.
    #[error("the password needs at least {SHORTEST} characters")]
    TooShort,
    /// It has too many bytes.
    #[error("the password must not be longer than {LONGEST} bytes")]
    TooLong,
    /// That is no address.
    #[error("the e-mail address is not valid")]
    Name,
    /// Hashing failed.
    #[error("passwords cannot be hashed: {0}")]
    Hash(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How much work a hash is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strength {
    /// What OWASP recommends for argon2id: 19 MiB, two passes.
    #[default]
    Recommended,
    /// As little as possible: for tests.
    Least,
}

/// Hashes and verifies.
#[derive(Clone, Debug)]
pub struct Passwords {
    params: Params,
    turns: Arc<Semaphore>,
}

impl Passwords {
    /// With the given amount of work for new hashes.
    pub fn new(strength: Strength) -> Self {
        let params = match strength {
            Strength::Recommended => Params::default(),
            Strength::Least => Params::new(Params::MIN_M_COST, 1, 1, None).unwrap_or_default(),
        };
        Self { params, turns: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// The PHC string of a password.
    pub(super) async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let (params, password) = (self.params.clone(), password.to_owned());
        self.work(move || {
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let hash = argon.hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|error| PasswordError::Hash(error.to_string()))
        })
        .await
    }

    /// Whether a password is the one of a hash; false without one, after the same time.
    pub(super) async fn verify(&self, password: &str, hash: Option<String>) -> Result<bool, PasswordError> {
        if password.len() > LONGEST {
            return Ok(false);
        }
        let (params, password) = (self.params.clone(), password.to_owned());
        self.work(move || {
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let Some(hash) = hash else {
                let _ = argon.hash_password(password.as_bytes());
                return Ok(false);
            };
            let hash = PasswordHash::new(&hash).map_err(|error| PasswordError::Hash(error.to_string()))?;
            Ok(argon.verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let failed = |error: &dyn std::error::Error| PasswordError::Hash(error.to_string());
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|error| failed(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|error| failed(&error))?
    }
}

/// Whether a password may be one.
pub(super) fn check(password: &str) -> Result<(), PasswordError> {
    match password {
        _ if password.chars().count() < SHORTEST => Err(PasswordError::TooShort),
        _ if password.len() > LONGEST => Err(PasswordError::TooLong),
        _ => Ok(()),
    }
}

/// Whether a name looks like an address.
pub(super) fn check_name(email: &str) -> Result<(), PasswordError> {
    let (name, host) = email.split_once('@').ok_or(PasswordError::Name)?;
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if name.is_empty() || host.is_empty() || email.chars().count() > LONGEST_NAME || email.contains(odd) {
        return Err(PasswordError::Name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_its_own_and_no_other() {
        let passwords = Passwords::new(Strength::Least);
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(passwords.verify("correct horse", Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct house", Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horse", None).await.unwrap());
        assert!(!passwords.verify(&"x".repeat(LONGEST + 1), Some(hash)).await.unwrap());
    }

    #[test]
    fn names_are_addresses_and_passwords_long_enough() {
        assert!(check_name("alice@example.org").is_ok());
        for wrong in ["", "alice", "@b", "a@", "a b@c", "a\0@b"] {
            assert!(check_name(wrong).is_err(), "{wrong:?}");
        }
        assert!(check("1234567").is_err() && check("12345678").is_ok() && check(&"x".repeat(1025)).is_err());
    }
}
