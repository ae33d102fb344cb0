//! Names and addresses of this machine, as a certificate has to cover them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

/// A certificate lists at most so many names: present ones first, then those of addresses long gone.
pub(super) const MAX_NAMES: usize = 100;

/// What this machine is called and where it can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    host: String,
    addresses: BTreeSet<IpAddr>,
}

impl Names {
    /// The names of a machine called `host` with these addresses; those that no other machine can use are left out.
    pub fn new(host: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let host: String = host.chars().map(|c| if valid(c) { c.to_ascii_lowercase() } else { '-' }).collect();
        let host = host.trim_matches(['.', '-']);
        Self {
            host: if host.is_empty() { "localhost".to_owned() } else { host.to_owned() },
            addresses: addresses.into_iter().map(|ip| ip.to_canonical()).filter(reachable).collect(),
        }
    }

    /// The present names of this machine. What cannot be found out is left out with a warning.
    ///
    /// Temporary IPv6 addresses are left out too: they change daily, and with them the certificate would.
    pub fn of_this_machine() -> Self {
        let host = hostname::get().unwrap_or_else(|error| {
            tracing::warn!("the host name cannot be read: {error}");
            "localhost".into()
        });
        let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
            tracing::warn!("the addresses of this machine cannot be read: {error}");
            Vec::new()
        });
        let temporary = std::fs::read_to_string("/proc/net/if_inet6").map(|table| temporary(&table));
        let temporary = temporary.unwrap_or_default();
        let addresses = interfaces.iter().map(if_addrs::Interface::ip).filter(|ip| !temporary.contains(ip));
        Self::new(&host.to_string_lossy(), addresses)
    }

    /// The host name, possibly with its domain.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host name without its domain.
    pub fn short_host(&self) -> &str {
        self.host.split_once('.').map_or(&self.host, |(short, _)| short)
    }

    /// The name under which mDNS knows this machine, `<host>.local`; none if it has no name of its own.
    pub fn local_host(&self) -> Option<String> {
        let short = self.short_host();
        (short != "localhost").then(|| format!("{short}.local"))
    }

    /// Addresses at which other machines may reach this one.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied()
    }

    /// All of them as a certificate lists them, each once.
    pub fn all(&self) -> Vec<String> {
        let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        all.push(self.host.clone());
        all.push(self.short_host().to_owned());
        all.extend(self.local_host());
        all.extend(self.addresses().map(|ip| ip.to_string()));
        let mut seen = BTreeSet::new();
        all.retain(|name| seen.insert(name.clone()));
        all.truncate(MAX_NAMES);
        all
    }
}

/// Browsers cannot write the zone that IPv6 link-local addresses need.
fn reachable(ip: &IpAddr) -> bool {
    let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || link_local)
}

/// The temporary addresses (RFC 8981) in the kernel's table `if_inet6`.
fn temporary(table: &str) -> BTreeSet<IpAddr> {
    const IFA_F_TEMPORARY: u8 = 0x01;
    let address = |line: &str| {
        let mut columns = line.split_ascii_whitespace();
        let bits = u128::from_str_radix(columns.next()?, 16).ok()?;
        let flags = u8::from_str_radix(columns.nth(3)?, 16).ok()?;
        (flags & IFA_F_TEMPORARY != 0).then_some(IpAddr::V6(Ipv6Addr::from_bits(bits)))
    };
    table.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn names_cover_loopback_host_and_addresses_once() {
        let names = Names::new("Robot.lab.example", ips(&["192.168.1.5", "127.0.0.1", "fe80::1", "fd00::5"]));
        let expected =
            ["localhost", "127.0.0.1", "::1", "robot.lab.example", "robot", "robot.local", "192.168.1.5", "fd00::5"];
        assert_eq!(names.all(), expected);
    }

    #[test]
    fn a_machine_without_a_name_is_localhost_only() {
        for host in ["", "localhost", "..", "localhost.localdomain"] {
            let names = Names::new(host, []);
            assert_eq!(names.local_host(), None, "{host}");
        }
        assert_eq!(Names::new("", []).all(), ["localhost", "127.0.0.1", "::1"]);
    }

    #[test]
    fn odd_characters_in_a_host_name_do_not_reach_the_certificate() {
        assert_eq!(Names::new("Jürgens robot", []).host(), "j-rgens-robot");
    }

    #[test]
    fn temporary_addresses_are_told_by_the_kernels_flag() {
        let table = "fd000000000000000000000000000005 02 40 00 80     eth0\n\
                     fd00000000000000000000000000abcd 02 40 00 01     eth0\n\
                     nonsense\n";
        assert_eq!(temporary(table), ips(&["fd00::abcd"]).into_iter().collect());
    }
}
