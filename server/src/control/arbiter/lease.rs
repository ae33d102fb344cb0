//! The control lease: at most one source drives a robot, and nobody takes it from a person silently.

use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{LeaseReason, LeaseState};

use super::SourceId;

/// A driver who does not answer a request for this long has agreed to it.
pub const TAKEOVER_AFTER: Duration = Duration::from_secs(10);

/// Somebody who asked for the lease while a person had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pending {
    by: SourceId,
    /// The asker's number of the request.
    n: i64,
    deadline: MonoTime,
}

/// Answer to a request, for the source that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseAnswer {
    /// Who asked.
    pub to: SourceId,
    /// Its number of the request.
    pub n: i64,
    /// Whether it has what it asked for.
    pub ok: bool,
    /// How the lease stands now.
    pub state: LeaseState,
    /// Why.
    pub reason: Option<LeaseReason>,
}

/// How the lease stands, for everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseView {
    /// Who drives.
    pub driver: Option<SourceId>,
    /// Who asks to drive instead, and when that is granted unless the driver denies it.
    pub request: Option<(SourceId, MonoTime)>,
}

/// Who holds one robot, and who asks for it. Pure; whoever changes the holder disengages first.
#[derive(Debug, Default)]
pub(super) struct Lease {
    holder: Option<SourceId>,
    pending: Option<Pending>,
}

impl Lease {
    pub(super) fn holder(&self) -> Option<SourceId> {
        self.holder
    }

    pub(super) fn view(&self) -> LeaseView {
        LeaseView { driver: self.holder, request: self.pending.map(|p| (p.by, p.deadline)) }
    }

    /// Whether this source has the lease or would have it for the asking: nobody has it, or its holder gives way.
    pub(super) fn would_give(&self, who: SourceId) -> bool {
        self.holder.is_none_or(|holder| holder == who || gives_way(holder, who))
    }

    /// Takes the lease if nobody needs to be asked.
    pub(super) fn claim(&mut self, who: SourceId) -> bool {
        let given = self.would_give(who);
        if given && self.holder != Some(who) {
            self.hold(Some(who));
        }
        given
    }

    /// As [`Lease::claim`]; if that fails, a person asks the holder. Somebody who already asks is not displaced.
    pub(super) fn take(&mut self, now: MonoTime, who: SourceId, n: i64) -> LeaseAnswer {
        let answer = |ok, state, reason| LeaseAnswer { to: who, n, ok, state, reason };
        if self.claim(who) {
            return answer(true, LeaseState::Held, None);
        }
        if !who.kind.is_human() {
            return answer(false, LeaseState::Held, Some(LeaseReason::Held));
        }
        match &mut self.pending {
            Some(pending) if pending.by != who => return answer(false, LeaseState::Held, Some(LeaseReason::Held)),
            // Asking again does not gain time, nor lose any.
            Some(pending) => pending.n = n,
            None => self.pending = Some(Pending { by: who, n, deadline: now + TAKEOVER_AFTER }),
        }
        answer(false, LeaseState::Pending, None)
    }

    /// The holder agrees to the pending request. Nothing if this is not the holder, or nobody asks.
    pub(super) fn grant(&mut self, who: SourceId) -> Option<LeaseAnswer> {
        (self.holder == Some(who)).then(|| self.hand_over(None)).flatten()
    }

    /// The holder refuses the pending request. Nothing if this is not the holder, or nobody asks.
    pub(super) fn deny(&mut self, who: SourceId) -> Option<LeaseAnswer> {
        let pending = self.pending.take_if(|_| self.holder == Some(who))?;
        let reason = Some(LeaseReason::Denied);
        Some(LeaseAnswer { to: pending.by, n: pending.n, ok: false, state: LeaseState::Held, reason })
    }

    /// The holder wants it no longer, or its link was lost; whoever asked has it then.
    pub(super) fn release(&mut self, who: SourceId, reason: Option<LeaseReason>) -> Option<LeaseAnswer> {
        if self.holder != Some(who) {
            return None;
        }
        let answer = self.hand_over(reason);
        if answer.is_none() {
            self.hold(None);
        }
        answer
    }

    /// A source is gone for good.
    pub(super) fn leave(&mut self, who: SourceId) -> Option<LeaseAnswer> {
        self.pending.take_if(|pending| pending.by == who);
        self.release(who, Some(LeaseReason::Link))
    }

    /// Grants a request whose time has come.
    pub(super) fn on_tick(&mut self, now: MonoTime) -> Option<LeaseAnswer> {
        let due = self.pending.is_some_and(|pending| now >= pending.deadline);
        due.then(|| self.hand_over(Some(LeaseReason::Timeout))).flatten()
    }

    fn hand_over(&mut self, reason: Option<LeaseReason>) -> Option<LeaseAnswer> {
        let pending = self.pending.take()?;
        self.hold(Some(pending.by));
        Some(LeaseAnswer { to: pending.by, n: pending.n, ok: true, state: LeaseState::Held, reason })
    }

    fn hold(&mut self, holder: Option<SourceId>) {
        self.holder = holder;
        // A request is to one holder; whoever has it now was asked nothing.
        self.pending = None;
    }
}

/// Whether `holder` lets `who` take its place unasked: only a program does, for whoever ranks higher.
fn gives_way(holder: SourceId, who: SourceId) -> bool {
    !holder.kind.is_human() && who.kind > holder.kind
}

#[cfg(test)]
mod tests {
    use super::super::SourceKind;
    use super::*;

    const NOW: MonoTime = MonoTime::from_nanos(5_000_000_000);

    fn source(kind: SourceKind, number: u64) -> SourceId {
        SourceId { kind, number }
    }
    fn person(number: u64) -> SourceId {
        source(SourceKind::LocalHuman, number)
    }
    fn outcome(answer: Option<LeaseAnswer>) -> Option<(SourceId, i64, bool, Option<LeaseReason>)> {
        answer.map(|a| (a.to, a.n, a.ok, a.reason))
    }

    #[test]
    fn the_first_to_claim_drives_and_the_second_does_not() {
        let mut lease = Lease::default();
        assert!(lease.claim(person(1)));
        assert!(!lease.claim(person(2)));
        assert!(lease.claim(person(1)), "again");
        assert_eq!(lease.release(person(2), None), None);
        assert_eq!(lease.holder(), Some(person(1)));
        lease.release(person(1), None);
        assert!(lease.claim(person(2)));
    }

    #[test]
    fn taking_over_from_a_person_waits_for_the_persons_word() {
        let mut lease = Lease::default();
        lease.claim(person(1));
        let asked = lease.take(NOW, person(2), 7);
        assert_eq!((asked.ok, asked.state), (false, LeaseState::Pending));
        assert_eq!(lease.view().request, Some((person(2), NOW + TAKEOVER_AFTER)));
        assert_eq!(lease.grant(person(2)), None, "nobody grants to themselves");
        assert_eq!(outcome(lease.deny(person(1))), Some((person(2), 7, false, Some(LeaseReason::Denied))));
        assert_eq!(lease.deny(person(1)), None, "answered");
        lease.take(NOW, person(2), 8);
        assert_eq!(outcome(lease.grant(person(1))), Some((person(2), 8, true, None)));
        assert_eq!(lease.view(), LeaseView { driver: Some(person(2)), request: None });
    }

    #[test]
    fn a_driver_who_does_not_answer_has_agreed_after_ten_seconds() {
        let mut lease = Lease::default();
        lease.claim(person(1));
        lease.take(NOW, person(2), 1);
        lease.take(NOW + Duration::from_secs(9), person(2), 2);
        assert_eq!(lease.on_tick(NOW + Duration::from_millis(9_999)), None);
        let granted = lease.on_tick(NOW + TAKEOVER_AFTER);
        assert_eq!(
            outcome(granted),
            Some((person(2), 2, true, Some(LeaseReason::Timeout))),
            "asking again gains no time"
        );
        assert_eq!(lease.on_tick(NOW + TAKEOVER_AFTER * 2), None);
    }

    #[test]
    fn a_lost_driver_hands_over_to_whoever_asks() {
        let mut lease = Lease::default();
        lease.claim(person(1));
        lease.take(NOW, person(2), 1);
        assert_eq!(outcome(lease.leave(person(1))), Some((person(2), 1, true, Some(LeaseReason::Link))));
        assert_eq!(lease.leave(person(2)), None);
        assert_eq!(lease.view(), LeaseView::default());
    }

    #[test]
    fn a_request_ends_with_the_one_who_made_it_and_a_second_one_waits() {
        let mut lease = Lease::default();
        lease.claim(person(1));
        lease.take(NOW, person(2), 1);
        let refused = lease.take(NOW, person(3), 4);
        assert_eq!((refused.ok, refused.state, refused.reason), (false, LeaseState::Held, Some(LeaseReason::Held)));
        assert_eq!(lease.leave(person(2)), None);
        assert_eq!(lease.on_tick(NOW + TAKEOVER_AFTER), None);
        assert_eq!(lease.take(NOW, person(3), 5).state, LeaseState::Pending);
    }

    #[test]
    fn programs_give_way_to_people_at_once_and_people_to_nobody() {
        let (replay, policy) = (source(SourceKind::Replay, 1), source(SourceKind::Policy, 2));
        let remote = source(SourceKind::RemoteHuman, 3);
        let mut lease = Lease::default();
        for higher in [replay, policy, remote] {
            assert!(lease.claim(higher), "{higher:?}");
        }
        assert!(!lease.claim(policy));
        assert!(!lease.claim(person(4)), "a person far away is asked too");
        let refused = lease.take(NOW, policy, 1);
        assert_eq!((refused.ok, refused.state), (false, LeaseState::Held), "a program does not even ask");
        assert_eq!(lease.take(NOW, person(4), 1).state, LeaseState::Pending);
    }
}
