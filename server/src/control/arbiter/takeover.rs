//! What comes of a word about the lease, and of a driver who is gone: whoever drives next engages deliberately.

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{LeaseOp, LeaseReason, LeaseRequest, LeaseState};

use super::lease::Lease;
use super::{Arbiter, Event, LeaseAnswer, LeaseView, SourceId};

impl Arbiter {
    /// A source's word about the lease; the answers come as events.
    pub fn on_lease(&mut self, now: MonoTime, who: SourceId, request: LeaseRequest, events: &mut Vec<Event>) {
        self.on_tick(now, events);
        let LeaseRequest { op, n } = request;
        let answer = |ok, state, reason| Event::Answer(LeaseAnswer { to: who, n, ok, state, reason });
        let refused = answer(false, LeaseState::Held, Some(LeaseReason::Held));
        let drives = |arbiter: &Self| arbiter.lease.holder() == Some(who);
        if matches!(op, LeaseOp::Claim | LeaseOp::Take) && drives(self) {
            // Who says so keeps it, even if it was taken from a program by driving.
            self.lent_by = None;
        }
        match op {
            LeaseOp::Claim => {
                let claimed = self.claim(now, who, events);
                events.push(if claimed { answer(true, LeaseState::Held, None) } else { refused });
            }
            LeaseOp::Take => self.change_lease(now, events, |lease| Some(lease.take(now, who, n))),
            // These three are the driver's alone to say.
            LeaseOp::Release | LeaseOp::Grant | LeaseOp::Deny if !drives(self) => events.push(refused),
            LeaseOp::Release | LeaseOp::Grant | LeaseOp::Deny => {
                self.change_lease(now, events, |lease| match op {
                    LeaseOp::Release => lease.release(who, None),
                    LeaseOp::Grant => lease.grant(who),
                    _ => lease.deny(who),
                });
                let state = if self.lease.holder().is_some() { LeaseState::Held } else { LeaseState::Free };
                events.push(answer(true, state, None));
            }
        }
    }

    /// Takes the lease without asking anybody, if that is possible. Whoever gives way so was not engaged.
    pub(super) fn claim(&mut self, now: MonoTime, who: SourceId, events: &mut Vec<Event>) -> bool {
        let before = self.lease.view();
        let claimed = self.lease.claim(who);
        self.note_lease(now, before, events);
        claimed
    }

    /// Does something to the lease that may end the driver's role; the next driver must engage deliberately.
    pub(super) fn change_lease(
        &mut self,
        now: MonoTime,
        events: &mut Vec<Event>,
        change: impl FnOnce(&mut Lease) -> Option<LeaseAnswer>,
    ) {
        let before = self.lease.view();
        let answer = change(&mut self.lease);
        if before.driver != self.lease.holder() {
            self.disengage(events);
        }
        self.note_lease(now, before, events);
        events.extend(answer.map(Event::Answer));
    }

    fn note_lease(&mut self, now: MonoTime, before: LeaseView, events: &mut Vec<Event>) {
        let after = self.lease.view();
        if before.driver != after.driver {
            self.leased = now;
            self.note_driver(now, before.driver, after.driver);
            if after.driver.is_none() || after.driver != self.cart_of {
                self.stop_cart();
            }
            // Programs have no hands and decide about no episode: the operator's stay as they are.
            let person = after.driver.filter(|driver| driver.kind.is_human());
            let scaled = person.is_some() && person != self.scaled_by;
            if scaled && self.scale != self.usual_scale {
                self.scale = self.usual_scale;
                events.push(Event::Scale);
            }
            if let Some(driver) = person {
                self.end_episodes_but_of(driver, events);
            }
        }
        if before != after {
            events.push(Event::Lease);
        }
    }
}
