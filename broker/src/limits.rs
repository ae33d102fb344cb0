//! How often a caller may do what is expensive: token buckets; and who counts as one caller.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most callers remembered; a bucket that is full again is forgotten first.
const MAX_BUCKETS: usize = 20_000;

/// What of an address stands for who has it: of IPv6 the network, as everybody has many addresses there.
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

/// Classes of routes that share a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// Making and revoking keys.
    KeysWrite,
    /// Registering and joining.
    SessionJoin,
    /// Credentials for relays.
    TurnCredentials,
    /// Passwords.
    Auth,
}

impl Class {
    /// The word in `/metrics`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::KeysWrite => "keys_write",
            Self::SessionJoin => "session_join",
            Self::TurnCredentials => "turn_credentials",
            Self::Auth => "auth",
        }
    }

    /// How many at once, and as many again each minute.
    fn burst(self) -> u32 {
        match self {
            Self::KeysWrite => 10,
            Self::SessionJoin => 12,
            Self::TurnCredentials => 6,
            Self::Auth => 20,
        }
    }

    /// The class of a request, by the template of its route.
    pub(crate) fn of(method: &str, route: &str) -> Option<Self> {
        match (method, route) {
            ("POST", "/api/v1/keys") | ("DELETE", "/api/v1/keys/{id}") => Some(Self::KeysWrite),
            ("POST", "/api/v1/sessions" | "/api/v1/sessions/{id}/join" | "/api/v1/sessions/{id}/takeover") => {
                Some(Self::SessionJoin)
            }
            ("GET" | "HEAD", "/api/v1/sessions/turn-credentials") => Some(Self::TurnCredentials),
            ("POST", "/api/v1/auth/login" | "/api/v1/auth/refresh" | "/api/v1/auth/register") => Some(Self::Auth),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn refilled(self, class: Class, now: Instant) -> f64 {
        let burst = f64::from(class.burst());
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens + since * burst / 60.0).min(burst)
    }
}

/// The buckets of all callers.
#[derive(Debug, Default)]
pub(crate) struct Limits(Mutex<HashMap<(Class, String), Bucket>>);

impl Limits {
    /// Takes a token of a caller's; without one, how long until there is.
    ///
    /// # Errors
    /// The time to wait, at least a second.
    pub(crate) fn take(&self, class: Class, caller: &str, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_BUCKETS {
            buckets.retain(|(class, _), bucket| bucket.refilled(*class, now) < f64::from(class.burst()));
            // So many at once can only be one who changes names. Those names have hardly been used: the others stay.
            if buckets.len() >= MAX_BUCKETS {
                let mut kept: Vec<_> = buckets.drain().collect();
                let left = |class: Class, bucket: &Bucket| bucket.refilled(class, now) / f64::from(class.burst());
                kept.sort_by(|((a, _), one), ((b, _), other)| left(*a, one).total_cmp(&left(*b, other)));
                kept.truncate(MAX_BUCKETS / 2);
                buckets.extend(kept);
            }
        }
        let full = Bucket { tokens: f64::from(class.burst()), at: now };
        let bucket = buckets.entry((class, caller.to_owned())).or_insert(full);
        let tokens = bucket.refilled(class, now);
        *bucket = Bucket { tokens, at: now };
        if tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let seconds = (1.0 - tokens) * 60.0 / f64::from(class.burst());
        Err(Duration::from_secs_f64(seconds.ceil().max(1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_of_ipv6_counts_as_one_address() {
        let [a, b, c] = ["2001:db8::1", "2001:db8::2:3", "2001:db8:0:1::1"].map(|ip| network(ip.parse().unwrap()));
        assert!(a == b && b != c);
        let [a, b] = ["192.0.2.1", "192.0.2.2"].map(|ip| network(ip.parse().unwrap()));
        assert_ne!(a, b);
    }

    #[test]
    fn a_burst_passes_and_then_as_many_a_minute() {
        let (limits, start) = (Limits::default(), Instant::now());
        for _ in 0..6 {
            limits.take(Class::TurnCredentials, "a", start).unwrap();
        }
        assert_eq!(limits.take(Class::TurnCredentials, "a", start), Err(Duration::from_secs(10)));
        limits.take(Class::TurnCredentials, "b", start).unwrap();
        limits.take(Class::SessionJoin, "a", start).unwrap();
        let later = start + Duration::from_secs(10);
        limits.take(Class::TurnCredentials, "a", later).unwrap();
        assert!(limits.take(Class::TurnCredentials, "a", later).is_err());
    }

    #[test]
    fn the_table_of_callers_is_bounded() {
        let (limits, now) = (Limits::default(), Instant::now());
        for name in 0..MAX_BUCKETS + 10 {
            limits.take(Class::Auth, &name.to_string(), now).unwrap();
        }
        assert!(limits.0.lock().unwrap().len() <= MAX_BUCKETS);
    }

    #[test]
    fn only_expensive_routes_are_limited() {
        assert_eq!(Class::of("POST", "/api/v1/sessions"), Some(Class::SessionJoin));
        assert_eq!(Class::of("GET", "/api/v1/sessions"), None);
        let credentials = "/api/v1/sessions/turn-credentials";
        assert_eq!(Class::of("HEAD", credentials), Class::of("GET", credentials));
        assert_eq!(Class::of("POST", "/api/v1/sessions/{id}/heartbeat"), None);
        assert_eq!(Class::of("DELETE", "/api/v1/keys/{id}"), Some(Class::KeysWrite));
    }
}
