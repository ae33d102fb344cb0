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
struct Acting {
    peer: Peer,
    /// When it last acted, if it acts at its own pace; otherwise it waits for each step, or for a reset.
    last: Option<MonoTime>,
    /// Resets that it waits for. Whatever it sends meanwhile, it may well be silent until the robot is done with them.
    resets: u32,
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
        self.of(peer).last = Some(now);
    }

    /// A step counts: the client waits for what it leads to.
    pub(super) fn steps(&mut self, peer: &Peer) {
        self.of(peer).last = None;
    }

    /// A reset was asked for: the client waits for it.
    pub(super) fn resets(&mut self, peer: &Peer) {
        let acting = self.of(peer);
        acting.last = None;
        acting.resets += 1;
    }

    /// The robot was reset, or failed to be: then it may move still, and must hold soon. What came meanwhile is executed
    /// now, so its silence begins now.
    pub(super) fn reset_done(&mut self, peer: &Peer, done: bool, now: MonoTime) {
        let Some(acting) = self.acting.as_mut().filter(|acting| acting.peer == *peer) else { return };
        acting.resets = acting.resets.saturating_sub(1);
        if acting.resets > 0 {
            return;
        }
        match acting.last {
            Some(last) => acting.last = Some(last.max(now)),
            None if done => self.acting = None,
            None => acting.last = Some(now),
        }
    }

    /// What is known of a client that acts, whoever acted before.
    fn of(&mut self, peer: &Peer) -> &mut Acting {
        let acting = self.acting.take().filter(|acting| acting.peer == *peer);
        self.acting.insert(acting.unwrap_or_else(|| Acting { peer: peer.clone(), last: None, resets: 0 }))
    }

    /// A person drives: what the policy does does not count, nor what it leaves.
    pub(super) fn relieve(&mut self) {
        self.acting = None;
    }

    /// The client is gone, or controls the robot no more. True if the robot must hold.
    pub(super) fn gone(&mut self, client: &Peer) -> bool {
        self.acting.take_if(|acting| acting.peer == *client).is_some()
    }

    /// Nobody controls the robot any more. True if it must hold.
    pub(super) fn end(&mut self) -> bool {
        self.acting.take().is_some()
    }

    /// Who fell silent; once. The robot must hold then.
    pub(super) fn tick(&mut self, now: MonoTime) -> Option<Peer> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        self.acting.take().map(|acting| acting.peer)
    }

    /// When [`Self::tick`] may have something to do.
    pub(super) fn deadline(&self) -> Option<MonoTime> {
        let acting = self.acting.as_ref().filter(|acting| acting.resets == 0 && !self.timeout.is_zero());
        acting?.last.map(|last| last + self.timeout)
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
        dog.steps(&a);
        assert!(dog.policy_drives());
        assert_eq!((dog.deadline(), dog.tick(at(60_000))), (None, None));
        assert!(dog.gone(&a), "but somebody who is gone waits no more");
        dog.acted(&a, at(60_000));
        dog.resets(&a);
        dog.reset_done(&a, true, at(60_100));
        assert!(!dog.gone(&a) && dog.tick(at(120_000)).is_none());
    }

    #[test]
    fn a_reset_that_failed_leaves_a_robot_that_must_hold() {
        let (mut dog, a, b) = (Watchdog::new(LIMIT), Peer::new("a"), Peer::new("b"));
        dog.resets(&a);
        dog.reset_done(&b, true, at(0));
        assert!(dog.policy_drives(), "it was another's");
        dog.reset_done(&a, false, at(1000));
        assert_eq!(dog.tick(at(1500)), Some(a.clone()));
        dog.acted(&a, at(2000));
        dog.reset_done(&a, true, at(2000));
        assert!(dog.end() && !dog.end(), "it acted after the reset was asked for");
    }

    #[test]
    fn nobody_is_silent_before_the_last_reset_is_done_whatever_came_meanwhile() {
        let (mut dog, a) = (Watchdog::new(LIMIT), Peer::new("a"));
        dog.resets(&a);
        dog.resets(&a);
        dog.acted(&a, at(100));
        assert_eq!((dog.deadline(), dog.tick(at(5000))), (None, None));
        dog.reset_done(&a, true, at(5000));
        assert_eq!((dog.deadline(), dog.tick(at(9000))), (None, None));
        dog.reset_done(&a, true, at(9000));
        assert_eq!(dog.deadline(), Some(at(9500)), "what came meanwhile is executed now");
        dog.acted(&a, at(9400));
        assert_eq!(dog.tick(at(9900)), Some(a));
    }

    #[test]
    fn who_acts_in_the_place_of_another_waits_for_no_reset_of_theirs() {
        let (mut dog, a, b) = (Watchdog::new(LIMIT), Peer::new("a"), Peer::new("b"));
        dog.resets(&a);
        dog.acted(&b, at(0));
        dog.reset_done(&a, true, at(100));
        assert_eq!(dog.tick(at(500)), Some(b));
    }

    #[test]
    fn silence_can_be_no_reason() {
        let (mut dog, a) = (Watchdog::new(Duration::ZERO), Peer::new("a"));
        dog.acted(&a, at(0));
        assert_eq!((dog.tick(at(60_000)), dog.deadline()), (None, None));
        assert!(dog.gone(&a));
    }

    #[test]
    fn nobody_is_silent_while_a_person_drives() {
        let (mut dog, a) = (Watchdog::new(LIMIT), Peer::new("a"));
        dog.acted(&a, at(0));
        dog.relieve();
        assert!(dog.tick(at(60_000)).is_none() && !dog.gone(&a));
    }
}
