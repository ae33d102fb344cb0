//! Who may pass.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Uri};
use subtle::ConstantTimeEq;

use crate::config::private_file;
use crate::tls::Names;

/// Characters of a token that need no escape in a URL.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Characters of a new token: 144 bits.
const LENGTH: usize = 24;

/// A token a user wrote may be shorter, but not guessable.
const MIN_LENGTH: usize = 16;

/// The token cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The token's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("{} cannot be written: {source}; --data-dir chooses another folder", path.display())]
    Write {
        /// The token's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no token.
    #[error(
        "{} holds no token of at least {MIN_LENGTH} letters, digits, - or _; remove the file to get a new one",
        path.display()
    )]
    Malformed {
        /// The token's file.
        path: PathBuf,
    },
    /// The system gives no random numbers.
    #[error("no random numbers for a token: {0}")]
    Random(getrandom::Error),
}

/// Why a request may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The token is missing or wrong: 401.
    Token,
    /// A page of another origin asks without the token: 403.
    Origin,
}

/// The one rule: a peer that is not on loopback needs the token; so does a web page of another origin, wherever its
/// browser runs, and a page whose origin is not this machine, whatever address its name leads to. `--open` lets everybody in.
///
/// A proxy on this machine makes every peer look like loopback; it has to check who passes itself.
pub struct Access {
    token: String,
    open: bool,
    /// What this machine is called.
    names: Names,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Access {
    /// The token stored in `data_dir`, or a new one, stored so that only its owner may read it.
    ///
    /// # Errors
    /// [`AccessError`] names the file.
    pub fn load(data_dir: &Path, open: bool) -> Result<Self, AccessError> {
        let path = data_dir.join("token");
        let write = |source| AccessError::Write { path: path.clone(), source };
        let _lock = private_file::lock(data_dir).map_err(write)?;
        let token = match fs::read_to_string(&path) {
            Ok(text) => {
                let token = text.trim();
                if !is_token_text(token) {
                    return Err(AccessError::Malformed { path });
                }
                if private_file::close_to_others(&path).map_err(write)? {
                    tracing::warn!("{} was readable by others; closed it: remove it to get a new one", path.display());
                }
                token.to_owned()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let token = random_token().map_err(AccessError::Random)?;
                private_file::write(&path, format!("{token}\n").as_bytes(), 0o600).map_err(write)?;
                token
            }
            Err(source) => return Err(AccessError::Read { path, source }),
        };
        Ok(Self { token, open, names: Names::of_this_machine() })
    }

    /// The token that links for other machines must carry, as the fragment `#token=…`; none if everybody may pass.
    /// Not for logs.
    pub fn token(&self) -> Option<&str> {
        (!self.open).then_some(&self.token)
    }

    /// May this request pass? The token is looked for in `?token=` and in `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`Denied`] says why not.
    pub fn check(&self, peer: IpAddr, uri: &Uri, headers: &HeaderMap) -> Result<(), Denied> {
        if self.open || presented(uri, headers).any(|token| self.is_token(token)) {
            Ok(())
        } else if !peer.to_canonical().is_loopback() {
            Err(Denied::Token)
        } else if self.is_own_page(headers) {
            Ok(())
        } else {
            Err(Denied::Origin)
        }
    }

    /// Is this the token?
    pub(crate) fn is_token(&self, token: &str) -> bool {
        self.token.as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// Does the request come from a page of this very server, or from no page at all?
    pub(crate) fn is_own_page(&self, headers: &HeaderMap) -> bool {
        if !headers.contains_key(ORIGIN) {
            return true;
        }
        let authority = |text: &str| text.strip_suffix(":443").unwrap_or(text).to_ascii_lowercase();
        let origin = text(headers, &ORIGIN).and_then(|origin| origin.strip_prefix("https://")).map(authority);
        let host = text(headers, &HOST).map(authority);
        // A stranger's name can be led to this machine, so that origin and host agree; an address cannot.
        origin == host && origin.is_some_and(|origin| self.is_called(&origin))
    }

    /// Is this authority an address, or a name of this machine?
    fn is_called(&self, authority: &str) -> bool {
        let without_port =
            authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let host = without_port.map_or(authority, |(host, _)| host);
        let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        host.parse::<Ipv4Addr>().is_ok()
            || v6.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
            || self.names.all().iter().any(|name| name == host)
    }
}

/// Whether a text is long enough for a token, and needs no escape in a URL.
pub(crate) fn is_token_text(text: &str) -> bool {
    text.len() >= MIN_LENGTH && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// A text that nobody guesses.
pub(crate) fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)?;
    // 64 divides 256: every character is as likely as any other.
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect())
}

/// The tokens a request carries.
pub(crate) fn presented<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
    let query = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("token="));
    let bearer = text(headers, &AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    query.chain(bearer)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const LAN: &str = "192.168.1.9";
    const TOKEN: &str = "abcdefghijklmnopqrstuvwx";

    fn check(access: &Access, peer: &str, uri: &str, headers: &[(HeaderName, &str)]) -> Result<(), Denied> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        access.check(peer.parse().unwrap(), &uri.parse().unwrap(), &headers)
    }

    fn closed() -> Access {
        Access { token: TOKEN.to_owned(), open: false, names: Names::new("robot.lab.example", []) }
    }

    #[test]
    fn loopback_needs_no_token_in_any_notation() {
        for peer in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(check(&closed(), peer, "/ws", &[]), Ok(()), "{peer}");
        }
    }

    #[test]
    fn others_need_the_exact_token() {
        let access = closed();
        for peer in [LAN, "fd00::9", "::ffff:192.168.1.9", "8.8.8.8"] {
            assert_eq!(check(&access, peer, "/ws", &[]), Err(Denied::Token), "{peer}");
            assert_eq!(check(&access, peer, &format!("/ws?token={TOKEN}"), &[]), Ok(()), "{peer}");
        }
        for query in ["token=", "token=a", "token=abcdefghijklmnopqrstuvw", "token=abcdefghijklmnopqrstuvwxy", "t=x"] {
            assert_eq!(check(&access, LAN, &format!("/ws?{query}"), &[]), Err(Denied::Token), "{query}");
        }
        assert_eq!(check(&access, LAN, &format!("/ws?a=1&token={TOKEN}&b"), &[]), Ok(()));
    }

    #[test]
    fn scripts_may_send_the_token_as_a_header() {
        let access = closed();
        let bearer = |value: &str| check(&access, LAN, "/metrics", &[(AUTHORIZATION, value)]);
        assert_eq!(bearer(&format!("Bearer {TOKEN}")), Ok(()));
        assert_eq!(bearer(&format!("bearer {TOKEN}")), Ok(()));
        assert_eq!(bearer(TOKEN), Err(Denied::Token));
        assert_eq!(bearer(&format!("Basic {TOKEN}")), Err(Denied::Token));
    }

    #[test]
    fn a_page_of_another_origin_needs_the_token_even_on_loopback() {
        let access = closed();
        let from = |origin: &str, uri: &str| check(&access, "::1", uri, &[(ORIGIN, origin), (HOST, "localhost:8000")]);
        assert_eq!(from("https://localhost:8000", "/ws"), Ok(()));
        assert_eq!(from("https://LOCALHOST:8000", "/ws"), Ok(()));
        for origin in ["https://evil.example", "http://localhost:8000", "https://localhost:8001", "null", ""] {
            assert_eq!(from(origin, "/ws"), Err(Denied::Origin), "{origin}");
        }
        assert_eq!(from("https://evil.example", &format!("/ws?token={TOKEN}")), Ok(()));
        let default_port = [(ORIGIN, "https://robot"), (HOST, "robot:443")];
        assert_eq!(check(&access, "::1", "/ws", &default_port), Ok(()));
        assert_eq!(check(&access, "::1", "/ws", &[(ORIGIN, "https://robot")]), Err(Denied::Origin), "no host");
    }

    #[test]
    fn the_page_of_the_network_needs_the_token_at_the_end_of_the_usb_cable() {
        let headers = [(ORIGIN, "https://192.168.1.2:8000"), (HOST, "localhost:8000")];
        let cable = |uri: &str| check(&closed(), "127.0.0.1", uri, &headers);
        assert_eq!(cable("/ws"), Err(Denied::Origin));
        assert_eq!(cable("/ws?token=abcdefghijklmnopqrstuvwy"), Err(Denied::Origin));
        assert_eq!(cable(&format!("/ws?token={TOKEN}")), Ok(()));
    }

    #[test]
    fn only_names_that_no_stranger_can_lead_here_are_this_machines() {
        let at = |authority: &str| {
            let headers = [(ORIGIN, format!("https://{authority}")), (HOST, authority.to_owned())];
            check(
                &closed(),
                "127.0.0.1",
                "/ws",
                &headers.each_ref().map(|(name, value)| (name.clone(), value.as_str())),
            )
        };
        for own in ["127.0.0.2:8000", "192.168.1.2:8000", "[::1]:8000", "[fd00::9]", "localhost:8000", "ROBOT:8000"] {
            assert_eq!(at(own), Ok(()), "{own}");
        }
        for own in ["robot", "robot.local:8000", "robot.lab.example:8000"] {
            assert_eq!(at(own), Ok(()), "{own}");
        }
        for other in
            ["evil.example:8000", "evil.example", "robot.evil.example", "127.0.0.1.evil.example", "[evil]", ":8000"]
        {
            assert_eq!(at(other), Err(Denied::Origin), "{other}");
        }
    }

    #[test]
    fn open_lets_everybody_in_and_needs_no_token_in_links() {
        let access = Access { open: true, ..closed() };
        assert_eq!(check(&access, LAN, "/ws", &[(ORIGIN, "https://evil.example")]), Ok(()));
        assert_eq!(access.token(), None);
        assert_eq!(closed().token(), Some(TOKEN));
    }

    #[test]
    fn the_token_survives_restarts_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("new");
        let first = Access::load(&data_dir, false).unwrap();
        assert_eq!(first.token.len(), LENGTH);
        assert_eq!(Access::load(&data_dir, true).unwrap().token, first.token);
        let mode = fs::metadata(data_dir.join("token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Access::load(other.path(), false).unwrap().token, first.token);
    }

    #[test]
    fn a_token_that_could_be_guessed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "secret", "with spaces and so on it goes"] {
            fs::write(dir.path().join("token"), text).unwrap();
            assert!(matches!(Access::load(dir.path(), false), Err(AccessError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn the_token_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", closed()).contains(TOKEN));
    }
}
