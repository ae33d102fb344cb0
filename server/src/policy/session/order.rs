//! The order of replies: requests without an id are answered in the order in which they came.

use std::sync::Arc;

use waldo_protocol::policy::{AppMap, Capability, Episode, ErrorCode, Freshness, ObservationKind, RequestId};
use waldo_protocol::time::MonoTime;

use super::{Client, State, Terms};
use crate::clock;
use crate::policy::encode::{self, Parts};
use crate::policy::outbox::{Close, Frame};
use crate::policy::robot::{Observation, PolicyError, StepResult};
use crate::policy::view::Wanted;

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

/// What a message leads to.
pub(super) enum Reaction {
    Send(Frame),
    Close(Close),
    Nothing,
}

/// What the robot answered.
pub(in crate::policy) enum Answer {
    /// With the numbers of the pictures that the client has.
    Observation(Observation, Vec<(String, u64)>),
    Reset(Observation, AppMap),
    Step(StepResult),
}

/// A request that somebody works on. Dropped without an answer, it tells its client that the server stops.
pub(in crate::policy) struct Ticket {
    client: Arc<Client>,
    place: Place,
    /// Whether the client controls the robot by it.
    moves: bool,
    /// When the client asked.
    asked: MonoTime,
    open: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Place {
    Slot(u64),
    Id(RequestId),
}

impl Ticket {
    /// The client waits for the robot, so it is not silent.
    pub(in crate::policy) fn moves(mut self) -> Self {
        self.moves = true;
        self
    }

    /// Tells the client.
    pub(in crate::policy) fn answer(mut self, answer: Result<Answer, PolicyError>) {
        self.open = false;
        self.client.finish(self.place, self.moves, self.asked, answer);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            let error = PolicyError::new(ErrorCode::Shutdown, "the server stops");
            self.client.finish(self.place, self.moves, self.asked, Err(error));
        }
    }
}

impl Client {
    pub(super) fn react(&self, state: &mut State, reaction: Reaction) {
        if state.slots.is_empty() {
            self.enact(reaction);
        } else {
            state.slots.push_back(Slot::Ready(reaction));
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

    /// Does what the first places of the order are ready for.
    pub(super) fn advance(self: &Arc<Self>, state: &mut State) {
        let before = state.slots.len();
        while let Some(slot) = state.slots.pop_front() {
            match slot {
                Slot::Ready(reaction) => self.enact(reaction),
                Slot::Deferred(fresh, asked) => match self.snapshot(state, &fresh) {
                    Some(observation) => {
                        let answer = Answer::Observation(observation, Vec::new());
                        let reaction = self.encode(&state.terms(), answer, asked, None);
                        self.enact(reaction);
                    }
                    None => {
                        state.slots.push_front(Slot::Waiting);
                        self.observe(self.ticket(Place::Slot(state.first), asked), fresh);
                        break;
                    }
                },
                Slot::Waiting => {
                    state.slots.push_front(Slot::Waiting);
                    break;
                }
            }
            state.first += 1;
        }
        if state.slots.len() < before {
            self.outbox.free();
        }
    }

    pub(super) fn ticket(self: &Arc<Self>, place: Place, asked: MonoTime) -> Ticket {
        Ticket { client: Arc::clone(self), place, moves: false, asked, open: true }
    }

    /// A place for the reply to a request. `None`, and the client was told, if it has too many under way.
    pub(super) fn place(self: &Arc<Self>, id: Option<RequestId>) -> Option<Place> {
        let mut state = self.state();
        match id {
            Some(id) if state.inflight < self.service.config.max_inflight => {
                state.inflight += 1;
                Some(Place::Id(id))
            }
            Some(_) => {
                drop(state);
                self.service.dropped("busy", &self.peer(), "too many requests are under way");
                self.refuse(id, ErrorCode::Busy, "too many requests are under way", Some(RETRY_MS));
                None
            }
            None => {
                state.slots.push_back(Slot::Waiting);
                Some(Place::Slot(state.first + state.slots.len() as u64 - 1))
            }
        }
    }

    fn finish(self: &Arc<Self>, place: Place, moves: bool, asked: MonoTime, answer: Result<Answer, PolicyError>) {
        let peer = self.peer();
        if moves {
            self.service.done(&peer);
        }
        let id = match place {
            Place::Id(id) => Some(id),
            Place::Slot(_) => None,
        };
        let terms = self.terms();
        let reaction = match answer {
            Ok(answer) => self.encode(&terms, answer, asked, id),
            Err(error) => {
                self.service.dropped(error.code.name(), &peer, &error.message);
                self.failure(terms.caps, id, error.code, &error.message)
            }
        };
        let mut state = self.state();
        match place {
            Place::Id(_) => {
                state.inflight = state.inflight.saturating_sub(1);
                self.enact(reaction);
            }
            Place::Slot(number) => {
                let at = number.checked_sub(state.first).and_then(|at| usize::try_from(at).ok());
                if let Some(slot) = at.and_then(|at| state.slots.get_mut(at)) {
                    *slot = Slot::Ready(reaction);
                }
                self.advance(&mut state);
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
                self.compose(terms, observation, wanted, |parts, _| {
                    encode::observation(parts, ObservationKind::Step { outcome, info: &info }, None, id)
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

impl Answer {
    /// The type of what it answers.
    fn kind(&self) -> &'static str {
        match self {
            Self::Observation(..) => "obs_request",
            Self::Reset(..) => "reset",
            Self::Step(_) => "action",
        }
    }
}
