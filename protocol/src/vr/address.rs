//! What a person types as the robot's address, and the URLs that follow from it.

use std::net::Ipv6Addr;

/// A robot's `host:port`, taken from what a person typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RobotAddress {
    authority: String,
}

/// The typed text holds no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("type the robot's address, for example 192.168.1.20 or robot.local:8000")]
pub struct InvalidAddress;

impl RobotAddress {
    /// Reads the address as typed: scheme and path are cut; the port defaults to 8000, after `https` or `wss` to 443.
    /// A bare IPv6 address is put into brackets.
    ///
    /// # Errors
    /// [`InvalidAddress`] if no host remains, or if no URL could hold what remains.
    pub fn parse(typed: &str) -> Result<Self, InvalidAddress> {
        let (scheme, rest) = typed.trim().split_once("://").unwrap_or(("", typed.trim()));
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let secure = ["https", "wss"].iter().any(|s| scheme.eq_ignore_ascii_case(s));
        let default_port = if secure { 443 } else { 8000 };

        let (host, port) = if let Ok(address) = rest.parse::<Ipv6Addr>() {
            (format!("[{address}]"), default_port)
        } else {
            match rest.rsplit_once(':') {
                Some((host, "")) => (host.to_owned(), default_port),
                Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
                    (host.to_owned(), port.parse::<u16>().map_err(|_| InvalidAddress)?)
                }
                _ => (rest.to_owned(), default_port),
            }
        };
        if port == 0 || !is_host(&host) {
            return Err(InvalidAddress);
        }
        Ok(Self { authority: format!("{host}:{port}") })
    }

    /// `wss://<authority>/ws`
    pub fn socket_url(&self) -> String {
        format!("wss://{}/ws", self.authority)
    }

    /// `https://<authority>/__accept`, where a browser accepts the robot's certificate.
    pub fn accept_url(&self) -> String {
        format!("https://{}/__accept", self.authority)
    }
}

/// A name (non-ASCII letters are left to the browser), an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        // A zone such as `%eth0` has no form in a browser's URL.
        return inner.strip_suffix(']').is_some_and(|a| a.parse::<Ipv6Addr>().is_ok());
    }
    !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_becomes_an_authority() {
        for (typed, authority) in [
            ("robot.local", "robot.local:8000"),
            ("  192.168.1.20 ", "192.168.1.20:8000"),
            ("192.168.1.20:9000", "192.168.1.20:9000"),
            ("robot:", "robot:8000"),
            ("http://robot.local/vr", "robot.local:8000"),
            ("https://robot.local", "robot.local:443"),
            ("WSS://robot.local/ws?token=x", "robot.local:443"),
            ("wss://robot.local:8443/ws", "robot.local:8443"),
            ("robot.local/a:1", "robot.local:8000"),
            ("robot.local?x#y", "robot.local:8000"),
            ("::1", "[::1]:8000"),
            ("[fe80::1]", "[fe80::1]:8000"),
            ("https://[fe80::1]:8001/", "[fe80::1]:8001"),
            ("größe.local", "größe.local:8000"),
        ] {
            assert_eq!(RobotAddress::parse(typed).map(|a| a.authority), Ok(authority.to_owned()), "{typed}");
        }
    }

    #[test]
    fn what_no_url_can_hold_is_refused() {
        for typed in [
            "",
            " ",
            "https://",
            "/ws",
            ":8000",
            "two words",
            "user@robot",
            "robot:0",
            "robot:65536",
            "[::1",
            "a:b:1",
            "a\\b",
        ] {
            assert_eq!(RobotAddress::parse(typed), Err(InvalidAddress), "{typed}");
        }
    }

    #[test]
    fn both_urls_name_the_same_authority() {
        let address = RobotAddress::parse("robot.local").unwrap();
        assert_eq!(address.socket_url(), "wss://robot.local:8000/ws");
        assert_eq!(address.accept_url(), "https://robot.local:8000/__accept");
    }
}
