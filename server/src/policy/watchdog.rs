//! Whether a policy drives, and whether it fell silent. Pure.

use std::time::Duration;

use waldo_protocol::time::MonoTime;

use super::robot::Peer;

/// Fires once when a policy acted and then is silent. Not for clients that step: their robot waits for them by design.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Zero: never.
    timeout: Duration,
    acting: Option<Acting>,
}

#[derive(Debug)]
enum Acting {
    /// It acts at its own pace.
    Streaming { peer: Peer, last: MonoTime },
    /// It waits for each step.
    Stepping { peer: Peer },
}

impl Watchdog {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, acting: None }
    }

    /// Whether a policy drives: it acted, and neither fell silent nor reset.
    pub(super) fn policy_drives(&self) -> bool {
        self.acting.is_some()
    }

    /// An action counts.
    pub(super) fn acted(&mut self, peer: &Peer, now: MonoTime) {
        self.acting = Some(Acting::Streaming { peer: peer.clone(), last: now });
    }

    /// A step counts.
    pub(super) fn stepped(&mut self, peer: &Peer) {
        self.acting = Some(Acting::Stepping { peer: peer.clone() });
    }

    /// A reset: nobody has acted in this episode.
    pub(super) fn reset(&mut self) {
        self.acting = None;
    }

    /// The client is gone. True if the robot must hold.
    pub(super) fn gone(&mut self, client: &Peer) -> bool {
        let own = |acting: &mut Acting| match acting {
            Acting::Streaming { peer, .. } | Acting::Stepping { peer } => peer == client,
        };
        match self.acting.take_if(own) {
            Some(Acting::Streaming { .. }) => !self.timeout.is_zero(),
            Some(Acting::Stepping { .. }) | None => false,
        }
    }

    /// Who fell silent; once. The robot must hold then.
    pub(super) fn tick(&mut self, now: MonoTime) -> Option<Peer> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        match self.acting.take()? {
            Acting::Streaming { peer, .. } | Acting::Stepping { peer } => Some(peer),
        }
    }

    /// When [`Self::tick`] may have something to do.
    pub(super) fn deadline(&self) -> Option<MonoTime> {
        match &self.acting {
            Some(Acting::Streaming { last, .. }) if !self.timeout.is_zero() => Some(*last + self.timeout),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    fn at(millis: u64) -> MonoTime {
        MonoTime::default() + Duration::from_millis(millis)
    }

    #[test]
    fn it_fires_once_when_a_policy_falls_silent() {
        let (mut dog, a) = (Watchdog::new(LIMIT), Peer::new("a"));
        assert_eq!(dog.tick(at(10_000)), None, "nobody has acted");
        dog.acted(&a, at(0));
        dog.acted(&a, at(100));
        assert_eq!((dog.deadline(), dog.tick(at(599))), (Some(at(600)), None));
        assert!(dog.policy_drives());
        assert_eq!(dog.tick(at(600)), Some(a.clone()));
        assert_eq!(dog.tick(at(10_000)), None);
        assert!(!dog.policy_drives());
        dog.acted(&a, at(20_000));
        assert_eq!(dog.tick(at(20_500)), Some(a));
    }

    #[test]
    fn a_policy_that_is_gone_is_silent_at_once() {
        let (mut dog, a, b) = (Watchdog::new(LIMIT), Peer::new("a"), Peer::new("b"));
        dog.acted(&a, at(0));
        assert!(!dog.gone(&b));
        assert!(dog.gone(&a) && !dog.gone(&a));
        assert_eq!(dog.tick(at(10_000)), None);
    }

    #[test]
    fn clients_that_step_and_robots_that_were_reset_may_wait() {
        let (mut dog, a) = (Watchdog::new(LIMIT), Peer::new("a"));
        dog.stepped(&a);
        assert!(dog.policy_drives());
        assert_eq!((dog.deadline(), dog.tick(at(60_000))), (None, None));
        assert!(!dog.gone(&a));
        dog.acted(&a, at(60_000));
        dog.reset();
        assert_eq!(dog.tick(at(120_000)), None);
    }

    #[test]
    fn it_can_be_switched_off() {
        let (mut dog, a) = (Watchdog::new(Duration::ZERO), Peer::new("a"));
        dog.acted(&a, at(0));
        assert_eq!((dog.tick(at(60_000)), dog.deadline()), (None, None));
        assert!(!dog.gone(&a));
    }
}
