//! Where a robot is.

use std::fmt;

use hyper::Uri;
use waldo_protocol::policy::RobotId;

/// What Zenoh is built to speak over.
const BUILT_IN: [&str; 4] = ["tcp", "tls", "udp", "unixsock-stream"];

/// What Zenoh could speak over besides.
const LEFT_OUT: [&str; 7] = ["quic", "quic_datagram", "ws", "wss", "serial", "unixpipe", "vsock"];

/// Where a robot is, as a URI says.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// `ws://host:port/path?query` or `wss://…`. Port 80 or 443 if none is given; any path and query.
    WebSocket {
        /// Whether with TLS.
        tls: bool,
        /// Name or address, IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
        /// Path and query as they were given, such as `/?token=…`.
        resource: String,
    },
    /// A locator of Zenoh such as `tcp/host:port` or `tls/host:port`, with `?robot=<id>` to name one of several robots.
    Zenoh {
        /// The locator without the query.
        locator: String,
        /// The robot; `None`: the only one there is.
        robot: Option<RobotId>,
    },
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{uri:?}: {problem}")]
pub struct AddressError {
    /// The text, without its query.
    pub uri: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Address {
    /// The address of a URI.
    ///
    /// # Errors
    /// It is neither `ws://…`, `wss://…` nor a Zenoh locator, or names a robot by what is no id.
    pub fn parse(uri: &str) -> Result<Self, AddressError> {
        let error = |problem| AddressError { uri: without_query(uri).to_owned(), problem };
        let (place, query) = uri.split_once('?').unwrap_or((uri, ""));
        if place.contains("://") {
            let parsed: Uri = uri.parse().map_err(|_| error("no URI"))?;
            let tls = match parsed.scheme_str() {
                Some("ws") => false,
                Some("wss") => true,
                _ => return Err(error("the scheme must be ws or wss; Zenoh is addressed as tcp/host:port")),
            };
            let host = parsed.host().filter(|host| !host.is_empty()).ok_or_else(|| error("a host is missing"))?;
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let port = parsed.port_u16().unwrap_or(if tls { 443 } else { 80 });
            let resource = parsed.path_and_query().map_or("/", |resource| resource.as_str()).to_owned();
            return Ok(Self::WebSocket { tls, host, port, resource });
        }
        match place.split_once('/') {
            Some((protocol, rest)) if BUILT_IN.contains(&protocol) && !rest.is_empty() => {
                let robot = query.split('&').find_map(|part| part.strip_prefix("robot="));
                let robot = robot.map(RobotId::parse).transpose();
                let robot = robot.map_err(|_| error("a robot id has 1 to 64 of letters, digits, '-', '_' and '.'"))?;
                Ok(Self::Zenoh { locator: place.to_owned(), robot })
            }
            Some((protocol, _)) if LEFT_OUT.contains(&protocol) => {
                Err(error("Zenoh is built with tcp/, tls/, udp/ and unixsock-stream/ only"))
            }
            _ => Err(error("an address is ws://host:port, wss://host:port, or tcp/host:port for Zenoh")),
        }
    }
}

fn without_query(uri: &str) -> &str {
    uri.split('?').next().unwrap_or_default()
}

/// Without the query, which may have a token.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WebSocket { tls, host, port, resource } => {
                let scheme = if *tls { "wss" } else { "ws" };
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                write!(f, "{scheme}://{open}{host}{close}:{port}{}", without_query(resource))
            }
            Self::Zenoh { locator, robot: None } => f.write_str(locator),
            Self::Zenoh { locator, robot: Some(robot) } => write!(f, "{locator}?robot={robot}"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn websocket(tls: bool, host: &str, port: u16, resource: &str) -> Result<Address, AddressError> {
        Ok(Address::WebSocket { tls, host: host.to_owned(), port, resource: resource.to_owned() })
    }

    #[test]
    fn websockets_may_have_any_path_and_query() {
        assert_eq!(Address::parse("ws://localhost:8765"), websocket(false, "localhost", 8765, "/"));
        assert_eq!(Address::parse("wss://arm.local/a/b?token=x"), websocket(true, "arm.local", 443, "/a/b?token=x"));
        assert_eq!(Address::parse("ws://[::1]:9/?q"), websocket(false, "::1", 9, "/?q"));
    }

    #[test]
    fn a_zenoh_locator_may_name_a_robot() {
        let zenoh = |robot: Option<&str>| Address::Zenoh {
            locator: "tcp/localhost:7447".to_owned(),
            robot: robot.map(|robot| RobotId::parse(robot).unwrap()),
        };
        assert_eq!(Address::parse("tcp/localhost:7447"), Ok(zenoh(None)));
        assert_eq!(Address::parse("tcp/localhost:7447?robot=arm-1"), Ok(zenoh(Some("arm-1"))));
        assert!(Address::parse("tcp/localhost:7447?robot=a/b").is_err());
    }

    #[test]
    fn other_texts_are_refused_with_what_would_do() {
        for (uri, told) in [
            ("http://localhost:8765", "the scheme must be ws or wss"),
            ("localhost:8765", "an address is ws://host:port"),
            ("zenoh", "an address is"),
            ("", "an address is"),
            ("websocket/x:1", "an address is"),
            ("ws://", "no URI"),
            ("ws/localhost:7447", "built with tcp/, tls/, udp/ and unixsock-stream/ only"),
            ("quic/localhost:7447?robot=arm-1", "built with tcp/"),
        ] {
            let error = Address::parse(uri).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let address = Address::parse("ws://h:1/x?token=secret").unwrap();
        assert_eq!(format!("{address} {address:?}"), "ws://h:1/x Address(ws://h:1/x)");
        assert!(!Address::parse("http://h:1/x?token=secret").unwrap_err().to_string().contains("secret"));
    }
}
