//! The transports by one word each, as programs for the original name them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::PolicyConfig;

/// What carries the policy wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyTransport {
    /// `websocket`, port 8765.
    WebSocket,
    /// `zenoh`, port 7447.
    #[cfg(feature = "zenoh")]
    Zenoh,
}

/// A word that names no transport.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no transport of policies; there are {names}", names = PolicyTransport::NAMES)]
pub struct UnknownTransport(pub String);

impl PolicyTransport {
    #[cfg(feature = "zenoh")]
    const NAMES: &str = "websocket and zenoh";
    #[cfg(not(feature = "zenoh"))]
    const NAMES: &str = "websocket only in this build";

    /// The port if none is given.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::WebSocket => 8765,
            #[cfg(feature = "zenoh")]
            Self::Zenoh => 7447,
        }
    }
}

impl FromStr for PolicyTransport {
    type Err = UnknownTransport;

    fn from_str(word: &str) -> Result<Self, UnknownTransport> {
        match word {
            "websocket" => Ok(Self::WebSocket),
            #[cfg(feature = "zenoh")]
            "zenoh" => Ok(Self::Zenoh),
            _ => Err(UnknownTransport(word.to_owned())),
        }
    }
}

impl fmt::Display for PolicyTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WebSocket => "websocket",
            #[cfg(feature = "zenoh")]
            Self::Zenoh => "zenoh",
        })
    }
}

impl PolicyConfig {
    /// Settings for one transport alone, at the transport's own port if none is given.
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use waldo_server::policy::PolicyConfig;
    ///
    /// let config = PolicyConfig::over("websocket".parse()?, Ipv4Addr::UNSPECIFIED, None);
    /// assert_eq!(config.websocket.unwrap().to_string(), "0.0.0.0:8765");
    /// # Ok::<(), waldo_server::policy::UnknownTransport>(())
    /// ```
    pub fn over(transport: PolicyTransport, host: impl Into<IpAddr>, port: Option<u16>) -> Self {
        let addr = SocketAddr::new(host.into(), port.unwrap_or_else(|| transport.default_port()));
        match transport {
            PolicyTransport::WebSocket => Self {
                websocket: Some(addr),
                #[cfg(feature = "zenoh")]
                zenoh: None,
                ..Self::default()
            },
            #[cfg(feature = "zenoh")]
            PolicyTransport::Zenoh => Self {
                websocket: None,
                zenoh: Some(super::ZenohConfig {
                    listen: vec![format!("tcp/{addr}")],
                    ..super::ZenohConfig::default()
                }),
                ..Self::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn any_other_word_is_refused_and_told() {
        for word in ["ws", "WebSocket", "Zenoh", "", "tcp"] {
            let error = word.parse::<PolicyTransport>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("{word:?} is no transport")), "{error}");
        }
    }

    #[test]
    fn each_transport_is_alone_and_has_its_port() {
        let over = |word: &str, port| PolicyConfig::over(word.parse().unwrap(), Ipv4Addr::LOCALHOST, port);
        assert_eq!(over("websocket", None).websocket.unwrap().to_string(), "127.0.0.1:8765");
        assert_eq!(over("websocket", Some(9)).websocket.unwrap().to_string(), "127.0.0.1:9");
        #[cfg(feature = "zenoh")]
        {
            let zenoh = over("zenoh", None);
            assert!(zenoh.websocket.is_none() && over("websocket", None).zenoh.is_none());
            assert_eq!(zenoh.zenoh.unwrap().listen, ["tcp/127.0.0.1:7447"]);
            assert_eq!("zenoh".parse::<PolicyTransport>().unwrap().to_string(), "zenoh");
        }
    }
}
