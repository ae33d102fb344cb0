//! The policy service, as settings.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use waldo_protocol::policy::RobotId;

use crate::control::Resume;

/// How policies reach the robot.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySettings {
    /// TCP port of their WebSockets, at the address of the page; 0 takes a free one. `None` for no WebSockets.
    pub port: Option<u16>,
    /// Where to listen for Zenoh; `None` for no Zenoh.
    pub zenoh: Option<ZenohEndpoint>,
    /// What lets a policy go on after a person took over or stopped the robot.
    pub resume: Resume,
    /// Silence of a policy after which the arms hold; zero for never.
    pub timeout: Duration,
    /// Silence of the policy that controls after which another one may.
    pub lease: Duration,
    /// Largest message of a policy, bytes.
    pub max_message: usize,
    /// Whether their WebSockets are encrypted, with the certificate of the page.
    pub tls: bool,
    /// Name of the robot on the policy wire, unique in its network.
    pub robot: RobotId,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            port: Some(8765),
            zenoh: None,
            resume: Resume::default(),
            timeout: Duration::from_millis(500),
            lease: Duration::from_secs(10),
            max_message: 256 << 20,
            tls: false,
            robot: own_robot_id(),
        }
    }
}

impl PolicySettings {
    /// No policies at all.
    pub fn off() -> Self {
        Self { port: None, zenoh: None, ..Self::default() }
    }

    /// Whether there is any way for policies to reach the robot.
    pub fn on(&self) -> bool {
        self.port.is_some() || self.zenoh.is_some()
    }
}

/// The name of this machine, as far as it can be a robot's.
fn own_robot_id() -> RobotId {
    let host = hostname::get().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    RobotId::parse(&host).unwrap_or_else(|_| RobotId::parse("waldo").expect("five letters"))
}

/// Where Zenoh listens, such as `tcp/127.0.0.1:7447`, or `tls/…` if it is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZenohEndpoint {
    tls: bool,
    host: String,
    port: u16,
}

/// It is no such place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no endpoint such as tcp/127.0.0.1:7447")]
pub struct ZenohEndpointError(String);

impl ZenohEndpoint {
    /// The usual one: for this machine only, or for everybody.
    pub fn usual(everybody: bool) -> Self {
        let host = if everybody { "0.0.0.0" } else { "127.0.0.1" };
        Self { tls: false, host: host.into(), port: 7447 }
    }

    /// Whether it is encrypted, with the certificate of the page.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether only this machine reaches it.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.map_or(self.host == "localhost", |address| address.is_loopback())
    }
}

impl FromStr for ZenohEndpoint {
    type Err = ZenohEndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ZenohEndpointError(text.to_owned());
        let (protocol, at) = text.split_once('/').ok_or_else(wrong)?;
        let tls = match protocol {
            "tcp" => false,
            "tls" => true,
            _ => return Err(wrong()),
        };
        let (host, port) = at.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let sound = if bracketed {
            host[1..host.len() - 1].parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6())
        } else {
            !host.contains([':', '[', ']', '/', '?', '#'])
        };
        if host.is_empty() || !sound {
            return Err(wrong());
        }
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

impl std::fmt::Display for ZenohEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}:{}", if self.tls { "tls" } else { "tcp" }, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_zenoh_are_read_and_written() {
        for (text, loopback) in [
            ("tcp/127.0.0.1:7447", true),
            ("tcp/localhost:1", true),
            ("tcp/[::1]:7447", true),
            ("tcp/0.0.0.0:7447", false),
            ("tcp/[::]:7447", false),
            ("tcp/robot:7447", false),
            ("tls/127.0.0.1:7447", true),
            ("tls/0.0.0.0:7447", false),
        ] {
            let endpoint: ZenohEndpoint = text.parse().unwrap();
            assert_eq!(endpoint.tls(), text.starts_with("tls"));
            assert_eq!((endpoint.to_string().as_str(), endpoint.is_loopback()), (text, loopback));
        }
        for text in
            ["", "7447", "127.0.0.1:7447", "udp/127.0.0.1:7447", "tcp/:7447", "tcp/a", "tcp/a:b", "tcp/::1:7447"]
        {
            assert!(text.parse::<ZenohEndpoint>().is_err(), "{text}");
        }
        assert!(ZenohEndpoint::usual(false).is_loopback() && !ZenohEndpoint::usual(true).is_loopback());
    }
}
