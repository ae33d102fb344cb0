//! Names and passwords at relays end after a while, and with them what goes over the relay. The robot dials anew before that,
//! with new names, at a moment when nobody operates it if there is one.

use std::time::Duration;

use waldo_protocol::hosted::IceServer;
use waldo_protocol::time::MonoTime;

/// How long a name is good that does not say it.
const USUAL_LIFE: Duration = Duration::from_secs(7200);

/// No name is thought to end sooner: the robot must not dial again and again because its clock is wrong.
const SHORTEST_LIFE: Duration = Duration::from_secs(20);

/// The part of a name's life after which there shall be a new one, and that after which there must be.
const SHALL: f64 = 0.75;
const MUST: f64 = 0.95;

/// When the names of a connection's relays are to be new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Renewal {
    shall: MonoTime,
    must: MonoTime,
}

impl Renewal {
    /// That of these servers, named at `now`, which is `unix` time; none if no name ends.
    pub(super) fn new(servers: &[IceServer], now: MonoTime, unix: Duration) -> Option<Self> {
        let lives = servers.iter().filter_map(|server| {
            let name = server.username.as_deref()?;
            // Relays that share a secret with the broker have it in the name. One that ended already does so by another clock.
            let end = name.split(':').next().and_then(|end| end.parse().ok()).map(Duration::from_secs);
            let life = end.and_then(|end| end.checked_sub(unix)).filter(|life| !life.is_zero());
            Some(life.unwrap_or(USUAL_LIFE).clamp(SHORTEST_LIFE, USUAL_LIFE * 12))
        });
        lives.min().map(|life| Self { shall: now + life.mul_f64(SHALL), must: now + life.mul_f64(MUST) })
    }

    /// Whether it is time for new names; `operated`: dialing anew would disturb somebody.
    pub(super) fn due(self, now: MonoTime, operated: bool) -> bool {
        now >= self.must || now >= self.shall && !operated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIX: Duration = Duration::from_secs(1_700_000_000);
    const NOW: MonoTime = MonoTime::from_nanos(5_000_000_000);

    fn turn(name: &str) -> IceServer {
        IceServer { username: Some(name.into()), credential: Some("x".into()), ..IceServer::stun("turn:192.0.2.1") }
    }

    #[test]
    fn new_names_are_due_after_three_quarters_of_the_life_of_the_old_ones_and_must_come_before_its_end() {
        for (names, life) in [
            (vec!["1700000100:dtk_dev"], 100.0),
            (vec!["1700000400:b", "1700000100:a"], 100.0),
            (vec!["opaque"], 7200.0),
            (vec!["1699999999:of another clock"], 7200.0),
            (vec!["1700000001:soon"], 20.0),
        ] {
            let servers: Vec<_> = names.iter().map(|name| turn(name)).collect();
            let renewal = Renewal::new(&servers, NOW, UNIX).unwrap();
            let due = |part: f64, operated| renewal.due(NOW + Duration::from_secs_f64(life * part), operated);
            assert!(!due(0.74, false) && due(0.76, false) && !due(0.94, true) && due(0.96, true), "{names:?}");
        }
        assert_eq!(Renewal::new(&[IceServer::stun("stun:192.0.2.1")], NOW, UNIX), None);
    }
}
