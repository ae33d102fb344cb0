//! Settings of `waldo serve`, as values. Where they come from is the command line's business ([`crate::cli`]).

pub(crate) mod private_file;

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use waldo_protocol::vr::{IceServer, Mode};

/// Everything a user can choose for `waldo serve`, except what belongs to the robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Operating mode announced to headsets; `None` lets each headset choose.
    pub mode: Option<Mode>,
    /// Address to listen on.
    pub bind: IpAddr,
    /// TCP port of page and sockets; 0 takes a free one.
    pub port: u16,
    /// Let everybody in, without token and from any origin.
    pub open: bool,
    /// Own certificate chain, PEM; `None` uses the one Waldo makes itself. Only together with `keyfile`.
    pub certfile: Option<PathBuf>,
    /// Private key of `certfile`, PEM.
    pub keyfile: Option<PathBuf>,
    /// Where certificate and token are kept.
    pub data_dir: PathBuf,
    /// Folder of the web app instead of the built-in one.
    pub static_dir: Option<PathBuf>,
    /// Announce the robot over mDNS.
    pub mdns: bool,
    /// UDP and TCP ports of video and pose channels, two per client; `None` takes any free ports.
    pub media_ports: Option<PortRange>,
    /// STUN and TURN servers, for the robot and for its clients. Empty means none, not a public one.
    pub ice_servers: Vec<IceServer>,
}

/// Ports from the first to the last, both included: `50000-50100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: NonZeroU16,
    last: NonZeroU16,
}

/// Why a text is no [`PortRange`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected FIRST-LAST, two ports from 1 to 65535 in rising order, such as 50000-50100")]
pub struct PortRangeError;

impl PortRange {
    /// The ports.
    pub fn ports(self) -> RangeInclusive<u16> {
        self.first.get()..=self.last.get()
    }
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse().map_err(|_| PortRangeError);
        let (first, last) = (port(first)?, port(last)?);
        if first <= last { Ok(Self { first, last }) } else { Err(PortRangeError) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: None,
            bind: Ipv4Addr::UNSPECIFIED.into(),
            port: 8000,
            open: false,
            certfile: None,
            keyfile: None,
            data_dir: default_data_dir(),
            static_dir: None,
            mdns: true,
            media_ports: None,
            ice_servers: Vec::new(),
        }
    }
}

/// `$XDG_DATA_HOME/waldo`, or `~/.local/share/waldo`; without a home, `waldo-data` in the working folder.
pub fn default_data_dir() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map_or_else(|| PathBuf::from("waldo-data"), |data| data.join("waldo"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_range_is_two_ports_in_rising_order_or_a_single_one() {
        let ports = |text: &str| text.parse().map(PortRange::ports);
        assert_eq!(ports("50000-50100"), Ok(50000..=50100));
        assert_eq!(ports("7000 - 65535"), Ok(7000..=65535));
        assert_eq!(ports("7000"), Ok(7000..=7000));
        for wrong in ["", "-", "0-5", "5-0", "9-8", "1-65536", "a-b", "1-2-3", "1..2"] {
            assert_eq!(ports(wrong), Err(PortRangeError), "{wrong}");
        }
    }
}
