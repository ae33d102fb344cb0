//! Who controls the robot: the lease of the policy wire, asked for or taken by acting. Pure.

use std::time::Duration;

use waldo_protocol::policy::{LeaseEvent, LeaseOp, LeaseReason};
use waldo_protocol::time::MonoTime;

use super::robot::Peer;

/// Shortest and longest silence that a client may ask for.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3600);

/// How a person at the robot is called.
const OPERATOR: &str = "operator";

/// The lease: at most one client has it.
///
/// A client takes it with its first action or reset, or by asking, and keeps it until it is gone, gives it back or is
/// silent for too long. A person at the robot goes before everybody, for as long as they drive.
#[derive(Debug)]
pub(super) struct Floor {
    /// Silence that ends a lease for which no other was asked.
    patience: Duration,
    holder: Option<Holder>,
    operator: bool,
}

#[derive(Debug)]
struct Holder {
    peer: Peer,
    patience: Duration,
    /// When it last said something.
    heard: MonoTime,
    /// Its requests that the robot still works on; it waits for them, so it is not silent.
    busy: u32,
}

impl Holder {
    fn new(peer: &Peer, patience: Duration, now: MonoTime) -> Self {
        Self { peer: peer.clone(), patience, heard: now, busy: 0 }
    }

    fn is_silent(&self, now: MonoTime) -> bool {
        self.busy == 0 && now.since(self.heard) >= self.patience
    }
}

/// Somebody else controls the robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) by: String,
}

impl Held {
    /// Refuses somebody who is not there any more.
    pub(super) fn gone() -> Self {
        Self { by: "somebody who is still there".to_owned() }
    }

    /// Whether that is a person at the robot.
    pub(super) fn by_operator(&self) -> bool {
        self.by == OPERATOR
    }
}

/// What a client that asked about the lease is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) granted: bool,
    /// For how long the holder may be silent.
    pub(super) patience: Duration,
    pub(super) event: Option<LeaseEvent>,
}

impl Floor {
    /// A lease that nobody has; it ends after that silence.
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, holder: None, operator: false }
    }

    /// Who controls the robot now.
    pub(super) fn holder(&self) -> Option<&str> {
        if self.operator { Some(OPERATOR) } else { self.holder.as_ref().map(|holder| holder.peer.name()) }
    }

    /// Whether that client has the lease, be it that a person drives now.
    pub(super) fn is_held_by(&self, peer: &Peer) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.peer == *peer)
    }

    /// The client whose actions count now.
    pub(super) fn acting(&self) -> Option<Peer> {
        self.holder.as_ref().filter(|_| !self.operator).map(|holder| holder.peer.clone())
    }

    /// Whether a person at the robot drives.
    pub(super) fn operator_drives(&self) -> bool {
        self.operator
    }

    fn event(&self, reason: LeaseReason) -> LeaseEvent {
        LeaseEvent { holder: self.holder().map(str::to_owned), reason }
    }

    fn give(&mut self, peer: &Peer, patience: Duration, now: MonoTime, reason: LeaseReason) -> LeaseEvent {
        self.holder = Some(Holder::new(peer, patience, now));
        self.event(reason)
    }

    /// The client acts or resets: it takes the lease if nobody has it, or keeps it.
    pub(super) fn act(&mut self, peer: &Peer, now: MonoTime) -> Result<Option<LeaseEvent>, Held> {
        let event = match &mut self.holder {
            Some(holder) if holder.peer == *peer => {
                holder.heard = now;
                None
            }
            Some(holder) if !holder.is_silent(now) => return Err(Held { by: self.held_by() }),
            _ if self.operator => return Err(Held { by: self.held_by() }),
            _ => Some(self.give(peer, self.patience, now, LeaseReason::Acquired)),
        };
        if self.operator { Err(Held { by: self.held_by() }) } else { Ok(event) }
    }

    fn held_by(&self) -> String {
        self.holder().unwrap_or_default().to_owned()
    }

    /// The client asks about the lease; a `ttl` of zero means the usual one.
    pub(super) fn ask(&mut self, peer: &Peer, op: LeaseOp, ttl: Duration, now: MonoTime) -> Verdict {
        let patience = if ttl.is_zero() { self.patience } else { ttl.clamp(SHORTEST, LONGEST) };
        let (mine, free) = match &self.holder {
            Some(holder) => (holder.peer == *peer, holder.is_silent(now)),
            None => (false, true),
        };
        let (granted, event) = match op {
            LeaseOp::Release if mine => {
                self.holder = None;
                (true, (!self.operator).then(|| self.event(LeaseReason::Released)))
            }
            LeaseOp::Acquire | LeaseOp::Renew | LeaseOp::Take if mine => {
                if let Some(holder) = &mut self.holder {
                    (holder.patience, holder.heard) = (patience, now);
                }
                (!self.operator, None)
            }
            LeaseOp::Acquire | LeaseOp::Take if free && !self.operator => {
                let taken = op == LeaseOp::Take && self.holder.is_some();
                let reason = if taken { LeaseReason::Taken } else { LeaseReason::Acquired };
                (true, Some(self.give(peer, patience, now, reason)))
            }
            _ => (false, None),
        };
        let patience = self.holder.as_ref().map_or(self.patience, |holder| holder.patience);
        Verdict { granted, patience, event }
    }

    /// The robot works on a request of the client, which waits for it.
    pub(super) fn begin(&mut self, peer: &Peer) {
        if let Some(holder) = self.holder.as_mut().filter(|holder| holder.peer == *peer) {
            holder.busy += 1;
        }
    }

    /// The robot is done with it.
    pub(super) fn end(&mut self, peer: &Peer, now: MonoTime) {
        if let Some(holder) = self.holder.as_mut().filter(|holder| holder.peer == *peer) {
            holder.busy = holder.busy.saturating_sub(1);
            holder.heard = now;
        }
    }

    /// The client is gone.
    pub(super) fn leave(&mut self, peer: &Peer) -> Option<LeaseEvent> {
        if !self.is_held_by(peer) {
            return None;
        }
        self.holder = None;
        (!self.operator).then(|| self.event(LeaseReason::Released))
    }

    /// A person at the robot begins to drive, or is done; then whoever had the lease has it again.
    pub(super) fn set_operator(&mut self, drives: bool, now: MonoTime) -> Option<LeaseEvent> {
        if self.operator == drives {
            return None;
        }
        self.operator = drives;
        if let Some(holder) = &mut self.holder {
            holder.heard = now;
        }
        Some(self.event(if drives { LeaseReason::Operator } else { LeaseReason::Released }))
    }

    /// Ends the lease of a silent client.
    pub(super) fn tick(&mut self, now: MonoTime) -> Option<LeaseEvent> {
        self.holder.take_if(|holder| holder.is_silent(now))?;
        (!self.operator).then(|| self.event(LeaseReason::Expired))
    }

    /// When [`Self::tick`] may have something to do.
    pub(super) fn deadline(&self) -> Option<MonoTime> {
        self.holder.as_ref().filter(|holder| holder.busy == 0).map(|holder| holder.heard + holder.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn at(seconds: f64) -> MonoTime {
        MonoTime::default() + Duration::from_secs_f64(seconds)
    }

    fn event(holder: Option<&str>, reason: LeaseReason) -> Option<LeaseEvent> {
        Some(LeaseEvent { holder: holder.map(str::to_owned), reason })
    }

    fn three() -> (Floor, Peer, Peer) {
        (Floor::new(10 * S), Peer::new("a"), Peer::new("b"))
    }

    #[test]
    fn the_first_that_acts_controls_until_it_is_silent_for_ten_seconds() {
        let (mut floor, a, b) = three();
        assert_eq!(floor.act(&a, at(0.0)), Ok(event(Some("a"), LeaseReason::Acquired)));
        assert_eq!(floor.act(&a, at(5.0)), Ok(None));
        assert_eq!(floor.act(&b, at(14.9)), Err(Held { by: "a".to_owned() }));
        assert_eq!(floor.tick(at(14.9)), None);
        assert_eq!(floor.deadline(), Some(at(15.0)));
        assert_eq!(floor.tick(at(15.0)), event(None, LeaseReason::Expired));
        assert_eq!(floor.act(&b, at(15.0)), Ok(event(Some("b"), LeaseReason::Acquired)));
        assert_eq!(floor.act(&a, at(15.1)), Err(Held { by: "b".to_owned() }));
    }

    #[test]
    fn a_lease_ends_with_its_connection_or_is_given_back() {
        let (mut floor, a, b) = three();
        floor.act(&a, at(0.0)).unwrap();
        assert_eq!(floor.leave(&b), None);
        assert_eq!(floor.leave(&a), event(None, LeaseReason::Released));
        floor.act(&b, at(0.1)).unwrap();
        assert!(!floor.ask(&a, LeaseOp::Release, S, at(0.2)).granted, "it is not its own");
        let verdict = floor.ask(&b, LeaseOp::Release, S, at(0.2));
        assert_eq!((verdict.granted, verdict.event), (true, event(None, LeaseReason::Released)));
        assert_eq!(floor.holder(), None);
    }

    #[test]
    fn a_lease_that_was_asked_for_lasts_as_long_as_it_was_asked_for() {
        let (mut floor, a, b) = three();
        assert!(!floor.ask(&a, LeaseOp::Renew, S, at(0.0)).granted, "there is nothing to renew");
        let verdict = floor.ask(&a, LeaseOp::Acquire, S, at(0.0));
        assert_eq!((verdict.granted, verdict.patience), (true, S));
        assert!(!floor.ask(&b, LeaseOp::Acquire, S, at(0.9)).granted);
        assert!(floor.ask(&a, LeaseOp::Renew, 2 * S, at(0.9)).granted);
        assert!(!floor.ask(&b, LeaseOp::Take, S, at(2.8)).granted, "the holder is not silent");
        let taken = floor.ask(&b, LeaseOp::Take, Duration::ZERO, at(2.9));
        assert_eq!((taken.granted, taken.event), (true, event(Some("b"), LeaseReason::Taken)));
        assert_eq!(taken.patience, 10 * S, "the usual time, as it asked for none");
        assert_eq!(floor.ask(&b, LeaseOp::Renew, 9 * LONGEST, at(3.0)).patience, LONGEST);
    }

    #[test]
    fn whoever_waits_for_a_slow_reset_is_not_silent() {
        let (mut floor, a, b) = three();
        floor.act(&a, at(0.0)).unwrap();
        floor.begin(&a);
        assert_eq!((floor.tick(at(60.0)), floor.deadline()), (None, None));
        assert!(floor.act(&b, at(60.0)).is_err());
        floor.end(&a, at(60.0));
        assert_eq!(floor.deadline(), Some(at(70.0)));
    }

    #[test]
    fn a_person_goes_before_everybody_and_gives_the_lease_back() {
        let (mut floor, a, b) = three();
        floor.act(&a, at(0.0)).unwrap();
        assert_eq!(floor.set_operator(true, at(1.0)), event(Some("operator"), LeaseReason::Operator));
        assert_eq!(floor.set_operator(true, at(1.0)), None);
        assert_eq!(floor.act(&a, at(9.0)), Err(Held { by: "operator".to_owned() }));
        assert!(!floor.ask(&b, LeaseOp::Take, S, at(9.0)).granted);
        assert!(!floor.ask(&a, LeaseOp::Renew, Duration::ZERO, at(9.0)).granted);
        // Its actions do not count, but it goes on to send them.
        assert_eq!(floor.tick(at(18.0)), None);
        assert_eq!(floor.set_operator(false, at(18.0)), event(Some("a"), LeaseReason::Released));
        assert_eq!(floor.act(&a, at(18.1)), Ok(None));
        floor.set_operator(true, at(19.0));
        assert_eq!(floor.tick(at(40.0)), None, "nobody is told of a change that changes nothing");
        assert_eq!(floor.set_operator(false, at(41.0)), event(None, LeaseReason::Released));
        assert!(floor.act(&b, at(41.0)).is_ok());
    }

    #[test]
    fn nobody_takes_the_lease_while_a_person_drives() {
        let (mut floor, a, _) = three();
        floor.set_operator(true, at(0.0));
        assert_eq!(floor.act(&a, at(0.1)), Err(Held { by: "operator".to_owned() }));
        floor.set_operator(false, at(0.2));
        assert_eq!(floor.holder(), None);
    }
}
