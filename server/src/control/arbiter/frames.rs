//! What a frame of a headset causes.

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{HoldReason, VrFrame};

use super::hands::FollowedHand;
use super::{Admission, Arbiter, Event, SourceId};

impl Arbiter {
    pub(super) fn ingest(
        &mut self,
        now: MonoTime,
        id: SourceId,
        frame: &VrFrame,
        events: &mut Vec<Event>,
    ) -> Admission {
        let admitted = self.lease.would_give(id);
        let may_engage = admitted && self.may_engage();
        let Some(stream) = self.stream_or_new(now, id) else { return Admission::Watching };
        let seen = stream.observe(now, frame, admitted, may_engage);
        self.move_cart(now, id, frame);
        if !admitted {
            return Admission::Watching;
        }
        if seen.leapt && self.disengage(events) {
            self.lapse = Some((HoldReason::Velocity, now));
        }
        self.note_episode(id, &seen.edges, events);
        if matches!(self.lapse, Some((HoldReason::LinkStale, _))) {
            self.lapse = None;
        }
        if seen.clock_jumped && self.disengage(events) {
            self.lapse = Some((HoldReason::Clock, now));
        }
        if seen.edges.reset {
            self.press_reset(now, id, events);
        }
        match seen.toggled {
            Some(true) => {
                // Where the hands are shown to be, not where they are: from there they will be seen to move.
                let shown = self.render(now, id).map_or(*frame, |rendered| rendered.frame);
                self.engage(now, id, &shown, events);
            }
            Some(false) => {
                self.disengage(events);
            }
            None => {}
        }
        Admission::Admitted
    }

    fn engage(&mut self, now: MonoTime, id: SourceId, frame: &VrFrame, events: &mut Vec<Event>) {
        self.take_over(now, id, events);
        self.engagements += 1;
        self.hands = Some([&frame.left, &frame.right].map(|c| FollowedHand::engage(now, c, self.engagements)));
        self.engaged = now;
        self.lapse = None;
        events.push(Event::Tracking(true));
    }
}
