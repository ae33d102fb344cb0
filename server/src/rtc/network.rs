//! What peer connections may use of the network.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use rtc::ice::url::{ProtoType, SchemeType, Url};
use rtc::peer_connection::configuration::RTCIceServer;
use waldo_protocol::vr::IceServer;

use super::ports::{Lease, MediaPorts};
use super::relay_secret::RelaySecret;
use super::{RtcError, addresses};
use crate::clock;

/// Ports and relays of all peer connections of a server. Cheap to clone; clones share the ports.
#[derive(Clone, Debug, Default)]
pub struct Network {
    ports: Option<MediaPorts>,
    ice_servers: Vec<IceServer>,
    secret: Option<RelaySecret>,
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
        Self { ports: ports.map(MediaPorts::new), ice_servers, secret: None }
    }

    /// The same with servers that somebody else named: those that the robot cannot use are left out.
    pub fn of_broker(&self, ice_servers: Vec<IceServer>) -> Self {
        let usable = |url: &String| match Url::parse_url(url) {
            Ok(url) => !is_relay(&url) || (url.proto == ProtoType::Udp && !url.is_secure()),
            Err(error) => {
                tracing::debug!(%error, "a STUN or TURN server of the broker cannot be used");
                false
            }
        };
        let kept = |server: IceServer| {
            let urls: Vec<_> = server.urls.iter().filter(|url| usable(url)).cloned().collect();
            (!urls.is_empty()).then_some(IceServer { urls, ..server })
        };
        Self {
            ports: self.ports.clone(),
            ice_servers: ice_servers.into_iter().filter_map(kept).collect(),
            secret: None,
        }
    }

    /// A secret that the TURN servers know as well: in place of the name and password in the list, each client gets
    /// some of its own, which end after 12 hours (`use-auth-secret` of coturn).
    #[must_use]
    pub fn with_ice_secret(self, secret: Option<&str>) -> Self {
        Self { secret: secret.map(RelaySecret::new), ..self }
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
                let relay = is_relay(&parsed);
                if relay && self.secret.is_none() && !(named(&server.username) && named(&server.credential)) {
                    let wanted = "--ice-secret, or --ice-username and --ice-credential";
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

    /// The servers, as a client is told. Clients with a secret in common get different names.
    pub fn ice_servers(&self, client: &str) -> Vec<IceServer> {
        let mut servers = self.ice_servers.clone();
        let Some(secret) = &self.secret else { return servers };
        let now = clock::unix_time(clock::now());
        for server in &mut servers {
            if server.urls.iter().any(|url| Url::parse_url(url).is_ok_and(|url| is_relay(&url))) {
                let (username, credential) = secret.credentials(client, now);
                (server.username, server.credential) = (Some(username), Some(credential));
            }
        }
        servers
    }

    /// The servers, as our side is told. Explicitly none if there are none: the robot asks no foreign server.
    pub(super) fn our_ice_servers(&self) -> Vec<RTCIceServer> {
        let ours = |server: IceServer| RTCIceServer {
            urls: server.urls,
            username: server.username.unwrap_or_default(),
            credential: server.credential.unwrap_or_default(),
        };
        self.ice_servers("robot").into_iter().map(ours).collect()
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

fn is_relay(url: &Url) -> bool {
    matches!(url.scheme, SchemeType::Turn | SchemeType::Turns)
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
    fn with_a_secret_each_client_has_a_name_of_its_own_for_relays_only() {
        let servers = ["stun:192.0.2.1", "turn:192.0.2.1"].map(|url| IceServer {
            urls: vec![url.to_owned()],
            username: None,
            credential: None,
        });
        let network = Network::new(None, servers.into()).with_ice_secret(Some("secret"));
        assert!(network.check().is_ok());
        let [one, other] = ["1", "2"].map(|client| network.ice_servers(client));
        assert_eq!((&one[0].username, &one[0].credential), (&None, &None));
        assert!(one[1].username.as_deref().is_some_and(|name| name.ends_with(":1")));
        assert!(one[1].credential.is_some() && one[1].credential != other[1].credential);
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
