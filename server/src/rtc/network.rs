//! What peer connections may use of the network.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use rtc::ice::url::{ProtoType, SchemeType, Url};
use rtc::peer_connection::configuration::RTCIceServer;
use waldo_protocol::vr::IceServer;

use super::ports::{Lease, MediaPorts};
use super::{RtcError, addresses};

/// Ports and relays of all peer connections of a server. Cheap to clone; clones share the ports.
#[derive(Clone, Debug, Default)]
pub struct Network {
    ports: Option<MediaPorts>,
    ice_servers: Vec<IceServer>,
}

/// What one connection listens on. Gives its port back when dropped.
pub(super) struct Sockets {
    /// For UDP and for TCP; with port 0 where any free one will do.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) lease: Option<Lease>,
}

impl Network {
    /// Media inside of these ports, or on any free one; STUN and TURN servers for both sides, or none at all.
    pub fn new(ports: Option<RangeInclusive<u16>>, ice_servers: Vec<IceServer>) -> Self {
        Self { ports: ports.map(MediaPorts::new), ice_servers }
    }

    /// Whether the STUN and TURN servers can be used.
    ///
    /// # Errors
    /// [`RtcError`] names the first URL that is none, or a relay that lacks a name or a password.
    pub fn check(&self) -> Result<(), RtcError> {
        for server in &self.ice_servers {
            for url in &server.urls {
                let parsed = Url::parse_url(url).map_err(|error| RtcError(format!("`{url}`: {error}")))?;
                let named = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
                let relay = matches!(parsed.scheme, SchemeType::Turn | SchemeType::Turns);
                if relay && !(named(&server.username) && named(&server.credential)) {
                    let wanted = "--ice-username and --ice-credential";
                    return Err(RtcError(format!("`{url}` is a relay, which needs {wanted}")));
                }
                // As far as the crate goes. One side with a relay is enough.
                if relay && (parsed.is_secure() || parsed.proto != ProtoType::Udp) {
                    tracing::info!("`{url}` is for clients alone: the robot itself uses relays over UDP only");
                }
            }
        }
        Ok(())
    }

    /// The servers, as clients are told.
    pub fn ice_servers(&self) -> &[IceServer] {
        &self.ice_servers
    }

    /// The servers, as our side is told. Explicitly none if there are none: the robot asks no foreign server.
    pub(super) fn our_ice_servers(&self) -> Vec<RTCIceServer> {
        let ours = |server: &IceServer| RTCIceServer {
            urls: server.urls.clone(),
            username: server.username.clone().unwrap_or_default(),
            credential: server.credential.clone().unwrap_or_default(),
        };
        self.ice_servers.iter().map(ours).collect()
    }

    /// Addresses for one connection, on every interface.
    pub(super) fn sockets(&self) -> Result<Sockets, RtcError> {
        let ips: Vec<IpAddr> = addresses::local();
        let lease = self.ports.as_ref().map(|ports| ports.lease(&ips)).transpose()?;
        let port = lease.as_ref().map_or(0, Lease::port);
        let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        Ok(Sockets { addresses, lease })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(url: &str, username: Option<&str>, credential: Option<&str>) -> Network {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let server = IceServer { urls: vec![url.to_owned()], username: text(username), credential: text(credential) };
        Network::new(None, vec![server])
    }

    #[test]
    fn stun_needs_nothing_and_a_relay_needs_name_and_password() {
        assert!(Network::default().check().is_ok());
        assert!(network("stun:192.0.2.1:3478", None, None).check().is_ok());
        for url in ["turn:192.0.2.1", "turn:relay.example:3478?transport=tcp", "turns:relay.example:443"] {
            assert!(network(url, Some("a"), Some("b")).check().is_ok(), "{url}");
            for (username, credential) in [(None, None), (Some("a"), None), (None, Some("b")), (Some("a"), Some(""))] {
                let error = network(url, username, credential).check().unwrap_err().to_string();
                assert!(error.contains(url) && error.contains("--ice-credential"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_no_url_of_such_a_server_is_named() {
        for url in ["http://192.0.2.1", "relay.example", "", "turn:", "turn:relay.example:99999"] {
            let error = network(url, Some("a"), Some("b")).check().unwrap_err().to_string();
            assert!(error.contains(&format!("`{url}`")), "{error}");
        }
    }

    #[test]
    fn a_connection_has_one_port_of_the_range_on_all_addresses() {
        let free = Network::default().sockets().unwrap();
        assert!(free.lease.is_none() && free.addresses.iter().all(|address| address.port() == 0));
        let ranged = Network::new(Some(40_000..=40_900), Vec::new()).sockets().unwrap();
        let port = ranged.addresses[0].port();
        assert!((40_000..=40_900).contains(&port));
        assert!(ranged.addresses.iter().all(|address| address.port() == port));
    }
}
