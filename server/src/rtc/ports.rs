//! Which ports media may use, and which of them are taken.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::RtcError;

/// The ports a firewall lets through for media. Each connection takes one number, on every address of this host, for UDP
/// and for TCP. Clones share what is taken.
#[derive(Clone, Debug)]
pub(super) struct MediaPorts {
    range: RangeInclusive<u16>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    taken: BTreeSet<u16>,
    /// Where the next search starts, so that a port rests before it is used again: packets of the connection that had
    /// it before may still be under way.
    next: u16,
}

/// A port that one connection has; free again when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl MediaPorts {
    pub(super) fn new(range: RangeInclusive<u16>) -> Self {
        let state = State { taken: BTreeSet::new(), next: *range.start() };
        Self { range, state: Arc::new(Mutex::new(state)) }
    }

    /// Takes a port that is free on all of these addresses.
    pub(super) fn lease(&self, ips: &[IpAddr]) -> Result<Lease, RtcError> {
        self.lease_where(|port| ips.iter().all(|&ip| is_free(SocketAddr::new(ip, port))))
    }

    fn lease_where(&self, free: impl Fn(u16) -> bool) -> Result<Lease, RtcError> {
        let mut state = lock(&self.state);
        let (first, last) = (*self.range.start(), *self.range.end());
        let mut candidates = (state.next..=last).chain(first..state.next);
        let Some(port) = candidates.find(|port| !state.taken.contains(port) && free(*port)) else {
            return Err(RtcError(format!(
                "all media ports from {first} to {last} are in use; give a wider range with --media-ports"
            )));
        };
        state.taken.insert(port);
        state.next = if port == last { first } else { port + 1 };
        drop(state);
        Ok(Lease { port, state: Arc::clone(&self.state) })
    }
}

impl Lease {
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.state).taken.remove(&self.port);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether no other program has this port. An address that has gone away meanwhile is not in the way.
fn is_free(address: SocketAddr) -> bool {
    let taken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse;
    !UdpSocket::bind(address).is_err_and(|error| taken(&error))
        && !TcpListener::bind(address).is_err_and(|error| taken(&error))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn every_connection_has_a_port_of_its_own_and_a_returned_one_rests() {
        let ports = MediaPorts::new(10..=12);
        let lease = || ports.lease_where(|_| true).unwrap();
        let (a, b) = (lease(), lease());
        assert_eq!((a.port(), b.port()), (10, 11));
        drop(a);
        let c = lease();
        assert_eq!(c.port(), 12, "10 was used just now");
        assert_eq!(lease().port(), 10);
        assert_eq!(lease().port(), 10, "the only free one");
    }

    #[test]
    fn an_exhausted_range_is_an_error_that_names_the_range_and_passes() {
        let ports = MediaPorts::new(10..=11);
        let both = [ports.lease_where(|_| true).unwrap(), ports.lease_where(|_| true).unwrap()];
        let error = ports.lease_where(|_| true).unwrap_err().to_string();
        assert!(error.contains("from 10 to 11") && error.contains("--media-ports"), "{error}");
        drop(both);
        assert!(ports.lease_where(|_| true).is_ok());
    }

    #[test]
    fn the_last_port_of_all_can_be_in_the_range() {
        let ports = MediaPorts::new(65534..=65535);
        let taken: Vec<_> = (0..2).map(|_| ports.lease_where(|_| true).unwrap()).collect();
        assert_eq!(taken.iter().map(Lease::port).collect::<Vec<_>>(), [65534, 65535]);
    }

    #[test]
    fn ports_of_other_programs_are_skipped() {
        let udp = UdpSocket::bind((LOOPBACK, 0)).unwrap();
        let tcp = TcpListener::bind((LOOPBACK, 0)).unwrap();
        for port in [udp.local_addr().unwrap().port(), tcp.local_addr().unwrap().port()] {
            assert!(MediaPorts::new(port..=port).lease(&[LOOPBACK]).is_err());
        }
    }
}
