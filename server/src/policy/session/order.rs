//! The order of replies: requests without an id are answered in the order in which they came.

use std::collections::VecDeque;
use std::sync::Arc;

use waldo_protocol::policy::{Capability, Episode, ErrorCode, Freshness, ObservationKind, RequestId};
use waldo_protocol::time::MonoTime;

use super::ticket::{Answer, Place, Ticket};
use super::{Client, MAX_WAITING, State, Terms};
use crate::clock;
use crate::policy::encode::{self, Parts};
use crate::policy::robot::{Observation, PolicyError, StepResult};
use crate::policy::view::Wanted;
use crate::websocket::{Close, Frame};

/// When to try again what found too many requests under way, milliseconds.
const RETRY_MS: f64 = 20.0;

/// A place in the order of replies.
pub(super) enum Slot {
    /// An observation that is not taken yet, which pictures the client has, and when it asked.
    Deferred(Option<Freshness>, MonoTime),
    /// Somebody works on it.
    Waiting,
    /// What is to be done when its turn comes.
    Ready(Reaction),
}

/// The replies to requests without an id, in order.
#[derive(Default)]
pub(super) struct Order {
    slots: VecDeque<Slot>,
    /// Number of the first of them.
    first: u64,
    /// Those among them that are observations not yet taken, of whatever is newest then.
    observations: usize,
}

impl Order {
    /// Those that wait, apart from [observations](Self::observations).
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.observations
    }

    /// Observations that are not taken yet and cost nothing until then.
    pub(super) fn observations(&self) -> usize {
        self.observations
    }

    /// Appends one, and says its number.
    fn push(&mut self, slot: Slot) -> u64 {
        self.observations += usize::from(slot.is_light());
        self.slots.push_back(slot);
        self.first + self.slots.len() as u64 - 1
    }

    /// Takes the first one out, to be done.
    fn pop(&mut self) -> Option<Slot> {
        let slot = self.slots.pop_front()?;
        self.observations -= usize::from(slot.is_light());
        self.first += 1;
        Some(slot)
    }

    /// Puts one back, or what became of it.
    fn unpop(&mut self, slot: Slot) {
        self.observations += usize::from(slot.is_light());
        self.slots.push_front(slot);
        self.first -= 1;
    }

    /// What somebody worked on is ready.
    fn ready(&mut self, number: u64, reaction: Reaction) {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) {
            *slot = Slot::Ready(reaction);
        }
    }
}

impl Slot {
    fn is_light(&self) -> bool {
        matches!(self, Self::Deferred(None, _))
    }
}

/// What a message leads to.
pub(super) enum Reaction {
    Send(Frame),
    Close(Close),
    Nothing,
}

/// A request that somebody has to begin to work on, where no lock is held.
pub(super) type Begin = (Ticket, Option<Freshness>);

impl Client {
    pub(super) fn react(&self, state: &mut State, reaction: Reaction) {
        state.ending |= matches!(reaction, Reaction::Close(_));
        if state.order.slots.is_empty() {
            self.enact(reaction);
        } else if !matches!(reaction, Reaction::Nothing) {
            state.order.push(Slot::Ready(reaction));
        }
    }

    pub(super) fn enact(&self, reaction: Reaction) {
        match reaction {
            Reaction::Send(frame) => self.send(frame),
            Reaction::Close(close) => {
                tracing::info!(code = close.code, reason = close.reason, "hanging up on a policy client");
                self.outbox.close(close);
            }
            Reaction::Nothing => {}
        }
    }

    /// Does what the first places of the order are ready for. What it returns has to [begin](Self::begin) once the lock is
    /// given back: where it ends at once, as at the server's end, it takes that lock.
    ///
    /// A picture is taken only when no other waits to be sent: a client that does not read keeps no memory from the cameras.
    #[must_use]
    pub(super) fn advance(self: &Arc<Self>, state: &mut State) -> Option<Begin> {
        let before = state.order.slots.len();
        let mut begin = None;
        while let Some(slot) = state.order.pop() {
            match slot {
                Slot::Ready(reaction) => self.enact(reaction),
                Slot::Deferred(..) if self.outbox.is_behind() => {
                    state.order.unpop(slot);
                    break;
                }
                Slot::Deferred(fresh, asked) => match self.snapshot(state, &fresh) {
                    Some(observation) => {
                        let answer = Answer::Observation(observation, Vec::new());
                        let reaction = self.encode(&state.terms(), answer, asked, None);
                        self.enact(reaction);
                    }
                    None => {
                        state.order.unpop(Slot::Waiting);
                        begin = Some((self.ticket(Place::Slot(state.order.first), asked), fresh));
                        break;
                    }
                },
                Slot::Waiting => {
                    state.order.unpop(Slot::Waiting);
                    break;
                }
            }
        }
        if state.order.slots.len() < before {
            self.outbox.free();
        }
        begin
    }

    /// Begins to work on what [`Self::advance`] found.
    pub(super) fn begin(self: &Arc<Self>, begin: Option<Begin>) {
        if let Some((ticket, fresh)) = begin {
            self.observe(ticket, fresh);
        }
    }

    /// The client has read what waited: takes the next observation that was asked for.
    pub(super) fn refill(self: &Arc<Self>) {
        let (begin, later) = {
            let mut state = self.state();
            (self.advance(&mut state), state.later.pop_front())
        };
        self.begin(begin);
        if let Some((id, fresh, asked)) = later {
            self.take(id, fresh, asked);
        }
    }

    /// Takes an observation for a request with an id, which has its place.
    pub(super) fn take(self: &Arc<Self>, id: RequestId, fresh: Option<Freshness>, asked: MonoTime) {
        if self.outbox.is_behind() {
            self.state().later.push_back((id, fresh, asked));
            // It may have been sent meanwhile.
            if self.outbox.is_behind() {
                return;
            }
            return self.refill();
        }
        let snapshot = self.snapshot(&mut self.state(), &fresh);
        let ticket = self.ticket(Place::Id(id), asked);
        match snapshot {
            Some(observation) => ticket.answer(Ok(Answer::Observation(observation, Vec::new()))),
            None => self.observe(ticket, fresh),
        }
    }

    pub(super) fn ticket(self: &Arc<Self>, place: Place, asked: MonoTime) -> Ticket {
        Ticket::new(Arc::clone(self), place, asked)
    }

    /// A place for the reply to a request. `None`, and the client was told, if it has too many under way.
    pub(super) fn place(&self, id: Option<RequestId>) -> Option<Place> {
        let mut state = self.state();
        let place = match id {
            Some(id) => (state.inflight < self.service.config.max_inflight).then(|| {
                state.inflight += 1;
                Place::Id(id)
            }),
            // Only a transport that cannot make its clients wait comes to that bound.
            None => (state.order.len() < 2 * MAX_WAITING).then(|| Place::Slot(state.order.push(Slot::Waiting))),
        };
        drop(state);
        if place.is_none() {
            self.service.dropped("busy", &self.peer(), "too many requests are under way");
            if id.is_some() {
                self.refuse(id, ErrorCode::Busy, "too many requests are under way", Some(RETRY_MS));
            }
        }
        place
    }

    /// An observation is asked for without an id: it is taken when its turn comes. The transport does not listen to whoever
    /// has [too many](super::MAX_OBSERVATIONS) of them.
    pub(super) fn defer(self: &Arc<Self>, fresh: Option<Freshness>, asked: MonoTime) {
        let begin = {
            let mut state = self.state();
            state.order.push(Slot::Deferred(fresh, asked));
            self.advance(&mut state)
        };
        self.begin(begin);
    }

    /// Answers a request in its turn.
    pub(super) fn finish(self: &Arc<Self>, place: Place, asked: MonoTime, answer: Result<Answer, PolicyError>) {
        let id = match place {
            Place::Id(id) => Some(id),
            Place::Slot(_) => None,
        };
        let terms = self.terms();
        let reaction = match answer {
            Ok(answer) => self.encode(&terms, answer, asked, id),
            Err(error) => {
                self.service.dropped(error.code.name(), &self.peer(), &error.message);
                self.failure(terms.caps, id, error.code, &error.message)
            }
        };
        let mut state = self.state();
        state.ending |= matches!(reaction, Reaction::Close(_));
        match place {
            Place::Id(_) => {
                state.inflight = state.inflight.saturating_sub(1);
                drop(state);
                self.enact(reaction);
                // What was no picture tells of no room for the next.
                if !self.outbox.is_behind() {
                    self.refill();
                }
            }
            Place::Slot(number) => {
                state.order.ready(number, reaction);
                let begin = self.advance(&mut state);
                drop(state);
                self.begin(begin);
            }
        }
    }

    /// What an answer becomes for a client that asked for it then.
    pub(super) fn encode(&self, terms: &Terms, answer: Answer, asked: MonoTime, id: Option<RequestId>) -> Reaction {
        let (kind, wanted) = (answer.kind(), Wanted::default());
        let frame = match answer {
            Answer::Observation(observation, newer_than) => {
                let wanted = Wanted { newer_than: &newer_than, align: true, ..wanted };
                self.compose(terms, observation, wanted, |parts, episode| {
                    encode::observation(parts, ObservationKind::Requested, episode, id)
                })
            }
            Answer::Reset(observation, info) => self.compose(terms, observation, wanted, |parts, episode| {
                encode::observation(parts, ObservationKind::Reset { info: &info }, episode, id)
            }),
            Answer::Step(StepResult { observation, outcome, info }) => {
                self.compose(terms, observation, wanted, |parts, episode| {
                    encode::observation(parts, ObservationKind::Step { outcome, info: &info }, episode, id)
                })
            }
        };
        self.service.stats.took(kind, clock::now().since(asked));
        match frame {
            Ok(frame) => Reaction::Send(frame),
            Err(error) => self.failure(terms.caps, id, error.code, &error.message),
        }
    }

    /// Makes of an observation what this client wants of it, and a frame of that.
    ///
    /// # Errors
    /// As `write`.
    pub(in crate::policy) fn compose(
        &self,
        terms: &Terms,
        mut observation: Observation,
        wanted: Wanted<'_>,
        write: impl FnOnce(&Parts<'_>, Option<Episode>) -> Result<Frame, PolicyError>,
    ) -> Result<Frame, PolicyError> {
        let Terms { caps, views } = terms;
        // Only frames of the hub, nobody else's pictures.
        let aligned = wanted.align && self.service.observes_hub();
        let align = if aligned { views.align(&mut observation.sensors) } else { None };
        let Observation { sensors, timestamp, extra } = observation;
        let cameras = views.apply(sensors.cameras, wanted, &self.service.made);
        let marked = (caps.has(Capability::Enc) || caps.has(Capability::Fresh)).then(clock::now);
        let align = align.filter(|_| caps.has(Capability::Enc));
        let parts = Parts { timestamp, extra: &extra, cameras: &cameras, proprios: &sensors.proprios, align, marked };
        write(&parts, caps.has(Capability::Episode).then(|| self.service.episode()))
    }
}
