//! Who moves the base: one at a time, and only who was seen at rest before.

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{CartCommand, VrFrame};

use super::{Arbiter, CART_KEPT, SourceId};

impl Arbiter {
    pub(super) fn move_cart(&mut self, now: MonoTime, id: SourceId, frame: &VrFrame) {
        let moves = CartCommand::asked(&VrFrame { reset: false, ..*frame }) != CartCommand::STOP;
        if self.leads_cart(now, id, moves) {
            self.cart.on_frame(now, frame);
        }
    }

    /// Whether what somebody asks of the base counts. The first to ask for motion leads it, until they rest or are silent; who
    /// only rests takes it from nobody. Motion that does not count must end before any of theirs does.
    pub(super) fn leads_cart(&mut self, now: MonoTime, who: SourceId, moves: bool) -> bool {
        let other = self.cart_of.filter(|of| *of != who);
        let busy = other.and_then(|of| self.silence(now, of)).is_some_and(|silence| silence < CART_KEPT);
        let free = self.lease.would_give(who) && !(busy && self.cart.moves());
        let Some(rested) = self.rested(who) else { return false };
        let counts = free && (*rested || other.is_none());
        if !moves || !counts {
            *rested = !moves;
        }
        match other {
            Some(_) if moves && counts => self.cart.begin(),
            None if counts => {}
            _ => return false,
        }
        self.cart_of = Some(who);
        counts
    }

    /// The base stands, and everybody must be seen at rest before they move it.
    pub(super) fn stop_cart(&mut self) {
        self.cart.stop();
        for stream in &mut self.streams {
            stream.rested = false;
        }
        self.field.all_moved();
    }

    /// Whether this source was seen at rest since all that demands it; none for one that is not known.
    fn rested(&mut self, who: SourceId) -> Option<&mut bool> {
        let stream = self.streams.iter_mut().find(|stream| stream.id == who).map(|stream| &mut stream.rested);
        stream.or_else(|| self.field.rested(who))
    }
}
