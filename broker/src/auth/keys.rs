//! The keys of robots: twenty random bytes behind a prefix. Only their SHA-256 is kept.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::store::{KeyRow, Store, StoreError, now_ms};

/// How keys begin in production.
const LIVE: &str = "dtk_live_";

/// How keys begin in development.
const DEV: &str = "dtk_dev_";

/// Hex digits of a key.
const DIGITS: usize = 40;

/// Characters of a key that are shown.
const SHOWN: usize = 14;

/// A key in plain, which exists only until it was shown once. Its `Debug` shows the first characters.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainKey(String);

impl fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainKey({}…)", prefix(&self.0))
    }
}

impl PlainKey {
    /// A new one.
    ///
    /// # Errors
    /// If the machine has no random numbers.
    pub fn new(development: bool) -> Result<Self, StoreError> {
        let mut bytes = [0; DIGITS / 2];
        getrandom::fill(&mut bytes).map_err(|error| StoreError::Nonsense(format!("no random numbers: {error}")))?;
        Ok(Self(format!("{}{}", if development { DEV } else { LIVE }, hex(&bytes))))
    }

    /// One that exists already, for instance of another broker; none if it does not look like a key.
    pub fn existing(key: &str) -> Option<Self> {
        is_key(key).then(|| Self(key.to_owned()))
    }

    /// The key itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Keeps the key's hash for an owner; none if the store knows the key already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep(
        &self,
        store: &Store,
        owner: &str,
        name: &str,
        robot_id: Option<&str>,
    ) -> Result<Option<KeyRow>, StoreError> {
        let row = KeyRow {
            id: uuid::Uuid::new_v4().to_string(),
            owner_id: owner.to_owned(),
            name: name.to_owned(),
            key_hash: hash(&self.0),
            key_prefix: prefix(&self.0).to_owned(),
            robot_id: robot_id.map(|robot| format!("{owner}:{robot}")),
            created_at: now_ms(),
            last_used_at: None,
        };
        Ok(store.add_key(&row).await?.then_some(row))
    }
}

/// Does it look like a key?
pub fn is_key(key: &str) -> bool {
    let digits = key.strip_prefix(LIVE).or_else(|| key.strip_prefix(DEV));
    digits.is_some_and(|digits| {
        digits.len() == DIGITS && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// What of a key is shown.
pub(super) fn prefix(key: &str) -> &str {
    key.get(..SHOWN).unwrap_or(key)
}

/// What of a key is kept.
pub(super) fn hash(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes()))
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_look_as_robots_expect() {
        let key = PlainKey::new(false).unwrap();
        assert_eq!((key.reveal().len(), is_key(key.reveal())), (49, true));
        assert!(PlainKey::new(true).unwrap().reveal().starts_with("dtk_dev_"));
        assert_ne!(key, PlainKey::new(false).unwrap());
        for wrong in ["", "dtk_live_", "dtk_live_ABABABABABABABABABABABABABABABABABABABAB", "dtk_dev_1", "x"] {
            assert!(!is_key(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_key_does_not_show_itself_in_logs() {
        let key = PlainKey::new(false).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains(prefix(key.reveal())) && !shown.contains(key.reveal()), "{shown}");
    }

    #[test]
    fn hashes_are_sha_256_in_hex() {
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn what_is_kept_and_shown_of_keys_is_what_the_vectors_say() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/hosted.json")).unwrap();
        let ours =
            vectors.as_array().unwrap().iter().filter(|one| one["name"].as_str().unwrap().starts_with("api_key_"));
        let mut read = 0;
        for vector in ours {
            let key = vector["message"]["api_key"].as_str().unwrap();
            assert!(is_key(key), "{key}");
            assert_eq!((hash(key), prefix(key)), (text(vector, "sha256"), text(vector, "key_prefix").as_str()));
            if let Some(length) = vector["expect"].get("length") {
                assert_eq!(length.as_u64(), Some(key.len() as u64));
            }
            read += 1;
        }
        assert_eq!(read, 2);
    }

    fn text(vector: &serde_json::Value, member: &str) -> String {
        vector["expect"][member].as_str().unwrap().to_owned()
    }
}
