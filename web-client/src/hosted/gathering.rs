//! How long to wait for this browser's own addresses before asking to join. Sans-I/O; times are milliseconds of any
//! monotonic clock.

/// After the first address that others can reach, the rest gets this long.
pub const AFTER_ROUTABLE_MS: f64 = 400.0;
/// Nothing is waited for longer.
pub const LIMIT_MS: f64 = 10_000.0;
/// Nor, where no relay was offered: the SFU finds a browser that can reach it by the packets it gets.
pub const WITHOUT_RELAY_MS: f64 = 1500.0;

/// One wait.
#[derive(Clone, Copy, Debug)]
pub struct Gathering {
    since: f64,
    routable_at: Option<f64>,
    limit: f64,
}

impl Gathering {
    /// Begins now. `relays`: a relay is among the servers.
    pub fn begin(relays: bool, now: f64) -> Self {
        Self { since: now, routable_at: None, limit: if relays { LIMIT_MS } else { WITHOUT_RELAY_MS } }
    }

    /// The browser found an address, as a line of the candidate grammar.
    pub fn found(&mut self, candidate: &str, now: f64) {
        if candidate.contains(" typ srflx") || candidate.contains(" typ relay") {
            self.routable_at.get_or_insert(now);
        }
    }

    /// Whether the wait is over.
    pub fn is_over(&self, complete: bool, now: f64) -> bool {
        complete || self.routable_at.is_some_and(|at| now - at >= AFTER_ROUTABLE_MS) || now - self.since >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "candidate:1 1 udp 2113937151 192.168.1.7 50000 typ host generation 0";
    const SEEN: &str = "candidate:2 1 udp 1677729535 203.0.113.9 50000 typ srflx raddr 192.168.1.7 rport 50000";

    #[test]
    fn the_first_address_that_others_can_reach_ends_the_wait_soon() {
        let mut gathering = Gathering::begin(true, 0.0);
        gathering.found(HOST, 1.0);
        assert!(!gathering.is_over(false, 9000.0), "an address of the own network is none");
        gathering.found(SEEN, 100.0);
        gathering.found(SEEN, 400.0);
        assert!(!gathering.is_over(false, 499.0));
        assert!(gathering.is_over(false, 500.0));
    }

    #[test]
    fn all_addresses_or_the_limit_end_it_too() {
        assert!(Gathering::begin(true, 0.0).is_over(true, 0.0));
        assert!(Gathering::begin(true, 0.0).is_over(false, LIMIT_MS));
        assert!(Gathering::begin(false, 0.0).is_over(false, WITHOUT_RELAY_MS));
    }
}
