//! Names and passwords for TURN servers that end by themselves: what coturn calls `use-auth-secret`, after
//! draft-uberti-behave-turn-rest-00. The relay and the robot share a secret; clients never see it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// How long a name can be used. Longer than a day's work; a page that reconnects gets a new one.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// What the robot shares with its TURN servers.
#[derive(Clone)]
pub(super) struct RelaySecret(Arc<str>);

impl RelaySecret {
    pub(super) fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    /// A user name, good from this Unix time on for [`LIFETIME`], and its password.
    pub(super) fn credentials(&self, user: &str, now: Duration) -> (String, String) {
        let username = format!("{}:{user}", (now + LIFETIME).as_secs());
        let password = self.password(&username);
        (username, password)
    }

    fn password(&self, username: &str) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.0.as_bytes()).expect("a key may have any length");
        mac.update(username.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for RelaySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelaySecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_keyed_hash_of_its_name() {
        // RFC 2202, test case 2 of HMAC-SHA-1.
        let password = RelaySecret::new("Jefe").password("what do ya want for nothing?");
        assert_eq!(password, "7/zfauXrL6LSdBbV8YTfnCWafHk=");
    }

    #[test]
    fn a_name_says_until_when_it_is_good_and_for_whom() {
        let (username, password) = RelaySecret::new("s").credentials("3", Duration::from_millis(1_000_999));
        assert_eq!(username, "44200:3");
        assert_eq!(password, RelaySecret::new("s").password("44200:3"));
    }
}
