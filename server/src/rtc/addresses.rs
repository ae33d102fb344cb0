//! The addresses a peer connection listens on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Each address costs every connection a socket, and every pair of candidates a check.
const MOST: usize = 16;

/// Loopback and the addresses of every interface of this host.
///
/// IPv6 link-local addresses are left out: a candidate cannot say which interface they belong to. So is IPv6 loopback,
/// which no browser offers.
pub(super) fn local() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the interfaces of this host are unknown; video only on this host");
        Vec::new()
    });
    reachable(interfaces.iter().map(if_addrs::Interface::ip))
}

fn reachable(interfaces: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut ips = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    for ip in interfaces {
        let usable = match ip {
            IpAddr::V4(ip) => !ip.is_unspecified(),
            IpAddr::V6(ip) => !ip.is_unspecified() && ip != Ipv6Addr::LOCALHOST && !ip.is_unicast_link_local(),
        };
        if usable && !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    // IPv4 first: where the list is cut, the addresses most networks use stay.
    ips.sort_by_key(IpAddr::is_ipv6);
    ips.truncate(MOST);
    ips
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(ips: &[&str]) -> Vec<String> {
        reachable(ips.iter().map(|ip| ip.parse().unwrap())).iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn loopback_is_always_there_and_nothing_twice() {
        assert_eq!(listed(&[]), ["127.0.0.1"]);
        assert_eq!(listed(&["127.0.0.1", "192.168.0.7", "192.168.0.7"]), ["127.0.0.1", "192.168.0.7"]);
    }

    #[test]
    fn addresses_that_need_an_interface_are_left_out() {
        assert_eq!(listed(&["fe80::1", "::1", "fd00::5", "10.0.0.1"]), ["127.0.0.1", "10.0.0.1", "fd00::5"]);
    }

    #[test]
    fn a_host_with_many_addresses_keeps_its_sockets_bounded() {
        let many = (0..100).map(|n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)));
        assert_eq!(reachable(many).len(), MOST);
    }
}
