//! What an operator far away asks for: arms as in a field, each for as long as it is led, and the base.
//!
//! They have the lease like anybody, and rank above programs; from another person they take nothing unasked, nor do others
//! from them. What comes over a broker's network is judged before it comes here: here count the lease, the stop latch, the
//! watchdogs and that nothing begins to move which was not seen at rest.

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::CartCommand;

use super::{Arbiter, Event, FieldHands, SourceId};

impl Arbiter {
    /// What an operator far away asks for now. To be called again and again for as long as they are there: who is not heard
    /// of is let go. Events are appended in order.
    ///
    /// Hands count as those of a field user. `base` is parts of the fastest velocities, as on the VR wire; that it shall stand
    /// must have been said before anything else counts, at the beginning and after each stop, and is done at once. Either
    /// takes the lease if nobody needs to be asked for it.
    pub fn on_remote(
        &mut self,
        now: MonoTime,
        who: SourceId,
        (hands, base): (&FieldHands, CartCommand),
        events: &mut Vec<Event>,
    ) {
        // The watchdogs first, so that a silence counts even if no tick came while it lasted.
        self.on_tick(now, events);
        self.hear_field(now, who, hands, events);
        self.lead_base(now, who, base, events);
    }

    /// The operator far away is lost, without having let go: what followed them stands, and they drive no longer.
    pub fn on_remote_lost(&mut self, now: MonoTime, who: SourceId, events: &mut Vec<Event>) {
        self.on_tick(now, events);
        let drove = self.lease.holder() == Some(who) && self.cart_of == Some(who) && self.cart.moves();
        self.field_is_silent(now, who, events);
        if self.cart_of == Some(who) {
            self.stop_cart();
        }
        if drove {
            self.lost_while_engaged(now);
        }
        self.on_closed(now, who, events);
    }

    /// Whether what this source asks for is done, or would be: the robot is theirs for the asking, and nothing holds it.
    pub fn heeds(&self, who: SourceId) -> bool {
        self.lease.would_give(who) && self.may_engage()
    }

    fn lead_base(&mut self, now: MonoTime, who: SourceId, asked: CartCommand, events: &mut Vec<Event>) {
        if !self.leads_cart(now, who, asked != CartCommand::STOP) {
            return;
        }
        let counts = self.cart.ask(now, asked);
        if counts && self.may_engage() {
            self.take_over(now, who, events);
        }
    }
}
