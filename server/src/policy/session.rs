//! One client, whatever carries its frames: what it agreed on, what it waits for, what it is told.
//!
//! Replies to requests without an id come in the order of the requests; an observation is taken only after everything
//! asked for before it was answered, so that one after a reset shows what the reset led to. Actions, resets and steps
//! go to the robot in the order in which they came, past observations that wait.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use waldo_protocol::policy::{
    self, Action, ActionDropped, ActionGate, AppMap, Capabilities, Capability, ClientMessage, ClockRequest,
    ClockResponse, EXT_VERSION, ErrorCode, ErrorReply, LeaseRequest, Limits, MetadataRequest, MetadataResponse,
    ObsRequest, ObservationKind, RequestId, ServerExt,
};
use waldo_protocol::time::MonoTime;

use super::encode;
use super::floor::Held;
use super::outbox::{Close, Frame, Outbox};
use super::robot::{ActionData, Observation, Peer, PolicyError, StepResult};
use super::service::Service;
use crate::clock;
use crate::sensors::SensorWatch;

/// Requests without an id that one client may have under way; then it is not listened to.
const MAX_WAITING: usize = 64;

/// When to try again what found too many requests under way, milliseconds.
const RETRY_MS: f64 = 20.0;

/// What a transport can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Whether what is negotiated belongs to one client.
    pub(crate) extensions: bool,
    /// Whether a client can be hung up on. Otherwise what it does wrong is counted, and goes on without a reply.
    pub(crate) closes: bool,
}

/// A connected client; dropping it disconnects.
pub(crate) struct Session(Arc<Client>);

impl Session {
    pub(super) fn new(client: Arc<Client>) -> Self {
        Self(client)
    }

    /// What is to be sent to it.
    pub(crate) fn outbox(&self) -> &Outbox {
        self.0.outbox()
    }

    /// The client.
    pub(crate) fn peer(&self) -> Peer {
        self.0.peer()
    }

    /// A whole frame of the client arrived. Never waits.
    pub(crate) fn on_frame(&self, frame: Bytes) {
        self.0.on_frame(&frame, clock::now());
    }

    /// Whether the client may be listened to. If it reads none of what it asked for, it shall ask for no more.
    pub(crate) fn has_room(&self) -> bool {
        self.0.outbox.has_room() && self.0.state().slots.len() < MAX_WAITING
    }

    /// Waits until [`Self::has_room`]. For one waiter.
    pub(crate) async fn room(&self) {
        while !self.has_room() {
            self.0.outbox.freed().await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.service.disconnect(&self.0.peer());
        // Whatever still works for it finds nobody to answer.
        self.0.outbox.close(Close::new(1001, "the client is gone"));
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.peer()).finish()
    }
}

/// The state of a client, shared with whoever works for it.
pub(crate) struct Client {
    service: Arc<Service>,
    link: Link,
    outbox: Outbox,
    /// Taken before the service's own lock, never while that is held.
    state: Mutex<State>,
}

struct State {
    peer: Peer,
    caps: Capabilities,
    gate: ActionGate,
    /// Keeps cameras awake that draw only while somebody watches, from the first observation on.
    watch: Option<SensorWatch>,
    /// Requests with an id under way.
    inflight: usize,
    /// Requests without an id that were not answered, and what waits behind them.
    slots: VecDeque<Slot>,
    /// Number of the first of them.
    first: u64,
}

/// A place in the order of replies.
enum Slot {
    /// An observation that is not taken yet.
    Deferred,
    /// Somebody works on it.
    Waiting,
    /// What is to be done when its turn comes.
    Ready(Reaction),
}

/// What a message leads to.
enum Reaction {
    Send(Frame),
    Close(Close),
    Nothing,
}

/// What the robot answered.
pub(super) enum Answer {
    Observation(Observation),
    Reset(Observation, AppMap),
    Step(StepResult),
}

/// A request that somebody works on. Dropped without an answer, it tells its client that the server stops.
pub(super) struct Ticket {
    client: Arc<Client>,
    place: Place,
    /// Whether the client controls the robot by it.
    moves: bool,
    open: bool,
}

#[derive(Clone, Copy)]
enum Place {
    Slot(u64),
    Id(RequestId),
}

impl Ticket {
    /// The client waits for the robot, so it is not silent.
    pub(super) fn moves(mut self) -> Self {
        self.moves = true;
        self
    }

    /// Tells the client.
    pub(super) fn answer(mut self, answer: Result<Answer, PolicyError>) {
        self.open = false;
        self.client.finish(self.place, self.moves, answer);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            let error = PolicyError::new(ErrorCode::Shutdown, "the server stops");
            self.client.finish(self.place, self.moves, Err(error));
        }
    }
}

impl Client {
    pub(super) fn new(service: Arc<Service>, peer: Peer, link: Link) -> Self {
        let state = State {
            peer,
            caps: Capabilities::NONE,
            gate: ActionGate::default(),
            watch: None,
            inflight: 0,
            slots: VecDeque::new(),
            first: 0,
        };
        Self { service, link, outbox: Outbox::default(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(super) fn peer(&self) -> Peer {
        self.state().peer.clone()
    }

    /// What was negotiated.
    pub(super) fn caps(&self) -> Capabilities {
        self.state().caps
    }

    /// Queues a frame that answers nothing, or a request with an id.
    pub(super) fn send(&self, frame: Frame) {
        self.service.stats.sent(frame.len());
        self.outbox.push(frame);
    }

    /// Tells a client that knows errors; others are told nothing.
    pub(super) fn refuse(&self, id: Option<RequestId>, code: ErrorCode, message: &str, retry_ms: Option<f64>) {
        if self.caps().has(Capability::Err) {
            self.send(error_frame(id, code, message, retry_ms));
        }
    }

    /// The robot did not execute an action.
    pub(super) fn action_failed(&self, id: Option<RequestId>, error: PolicyError) {
        let left_out =
            matches!(error.code, ErrorCode::Stale | ErrorCode::NotHolder | ErrorCode::NonFinite | ErrorCode::Busy);
        self.service.dropped(error.code.name(), &self.peer(), &error.message);
        if left_out {
            self.refuse(id, error.code, &error.message, None);
        } else {
            let reaction = self.failure(self.caps(), id, error.code, &error.message);
            self.react(&mut self.state(), reaction);
        }
    }

    /// What an error leads to: an error reply, or the end of a connection that knows none.
    fn failure(&self, caps: Capabilities, id: Option<RequestId>, code: ErrorCode, message: &str) -> Reaction {
        if caps.has(Capability::Err) {
            Reaction::Send(error_frame(id, code, message, None))
        } else if self.link.closes {
            Reaction::Close(Close::new(1011, message))
        } else {
            Reaction::Nothing
        }
    }

    fn react(&self, state: &mut State, reaction: Reaction) {
        if state.slots.is_empty() {
            self.enact(reaction);
        } else {
            state.slots.push_back(Slot::Ready(reaction));
        }
    }

    fn enact(&self, reaction: Reaction) {
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
    fn advance(self: &Arc<Self>, state: &mut State) {
        let before = state.slots.len();
        while let Some(slot) = state.slots.pop_front() {
            match slot {
                Slot::Ready(reaction) => self.enact(reaction),
                Slot::Deferred => match self.snapshot(state) {
                    Some(observation) => {
                        let reaction = self.encode(state.caps, Answer::Observation(observation), None);
                        self.enact(reaction);
                    }
                    None => {
                        state.slots.push_front(Slot::Waiting);
                        self.service.observe(self.ticket(Place::Slot(state.first)));
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

    /// The hub's snapshot, if that is how the robot answers and no camera has to wake up first.
    fn snapshot(&self, state: &mut State) -> Option<Observation> {
        let woken = state.watch.is_some();
        self.wake(state);
        let snapshot = self.service.snapshot()?;
        (woken || !Service::rests(&snapshot.sensors)).then_some(snapshot)
    }

    /// From now on the client is somebody who watches.
    fn wake(&self, state: &mut State) {
        state.watch.get_or_insert_with(|| self.service.hub.watch(None));
    }

    fn ticket(self: &Arc<Self>, place: Place) -> Ticket {
        Ticket { client: Arc::clone(self), place, moves: false, open: true }
    }

    /// A place for the reply to a request. `None`, and the client was told, if it has too many under way.
    fn place(self: &Arc<Self>, id: Option<RequestId>) -> Option<Place> {
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

    fn finish(self: &Arc<Self>, place: Place, moves: bool, answer: Result<Answer, PolicyError>) {
        let peer = self.peer();
        if moves {
            self.service.done(&peer);
        }
        let id = match place {
            Place::Id(id) => Some(id),
            Place::Slot(_) => None,
        };
        let caps = self.caps();
        let reaction = match answer {
            Ok(answer) => self.encode(caps, answer, id),
            Err(error) => {
                self.service.dropped(error.code.name(), &peer, &error.message);
                self.failure(caps, id, error.code, &error.message)
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

    fn encode(&self, caps: Capabilities, answer: Answer, id: Option<RequestId>) -> Reaction {
        let episode = || caps.has(Capability::Episode).then(|| self.service.episode());
        let frame = match &answer {
            Answer::Observation(observation) => {
                encode::observation(observation, ObservationKind::Requested, episode(), id)
            }
            Answer::Reset(observation, info) => {
                encode::observation(observation, ObservationKind::Reset { info }, episode(), id)
            }
            Answer::Step(StepResult { observation, outcome, info }) => {
                let kind = ObservationKind::Step { outcome: *outcome, info };
                encode::observation(observation, kind, None, id)
            }
        };
        match frame {
            Ok(frame) => Reaction::Send(frame),
            Err(error) => self.failure(caps, id, error.code, &error.message),
        }
    }

    fn on_frame(self: &Arc<Self>, frame: &Bytes, arrived: MonoTime) {
        let caps = self.caps();
        let message = match ClientMessage::decode(frame, caps) {
            Ok(message) => message,
            Err(error) => {
                self.service.dropped("malformed", &self.peer(), &error.to_string());
                let id = policy::request_id(frame).filter(|_| caps.has(Capability::Id));
                let reaction = self.failure(caps, id, error.code(), &error.to_string());
                return self.react(&mut self.state(), reaction);
            }
        };
        self.service.stats.received(message.kind());
        match message {
            ClientMessage::Metadata(request) => self.on_metadata(&request),
            ClientMessage::Reset(request) => self.on_reset(request.id, arrived),
            ClientMessage::ObsRequest(request) => self.on_obs_request(&request),
            ClientMessage::ApplyAction(action) => self.on_action(frame, action, arrived),
            ClientMessage::Action(action) => self.on_step(frame, action, arrived),
            ClientMessage::Lease(request) => self.on_lease(&request, arrived),
            ClientMessage::Clock(request) => self.on_clock(request, arrived),
            ClientMessage::Unknown { kind, id } => self.on_unknown(kind.as_deref(), id),
            // Not offered, so not decoded.
            other => self.on_unknown(Some(other.kind()), other.id()),
        }
    }

    fn on_unknown(&self, kind: Option<&str>, id: Option<RequestId>) {
        let why = format!("no message has the type {:?}", kind.unwrap_or("that is no text"));
        self.service.dropped("unknown_type", &self.peer(), &why);
        if id.is_some() {
            self.refuse(id, ErrorCode::UnknownType, &why, None);
        }
    }

    fn on_metadata(&self, request: &MetadataRequest) {
        let service = &self.service;
        let asked = request.ext.as_ref().filter(|_| self.link.extensions);
        let timeout = service.config.action_timeout;
        let ext = asked.map(|ext| ServerExt {
            v: ext.v.min(EXT_VERSION),
            impl_name: concat!("waldo/", env!("CARGO_PKG_VERSION")).to_owned(),
            caps: Service::offered(),
            robot: Some(service.config.robot.clone()),
            limits: Limits {
                max_inflight: service.config.max_inflight as u64,
                max_chunk: 0,
                action_timeout_ms: Some(timeout.as_secs_f64() * 1000.0),
            },
            cameras: None,
        });
        let response = MetadataResponse { data: service.metadata.clone(), ext, id: request.id };
        let frame = encode::frame(|out| response.encode(out));
        let mut state = self.state();
        if let Some(ext) = asked {
            state.caps = request.agreed(Service::offered());
            if let Some(client) = &ext.client {
                state.peer = state.peer.renamed(client.as_str());
            }
        }
        if request.id.is_some() {
            self.send(frame);
        } else {
            self.react(&mut state, Reaction::Send(frame));
        }
    }

    fn on_obs_request(self: &Arc<Self>, request: &ObsRequest) {
        match request.id {
            Some(id) => {
                let snapshot = self.snapshot(&mut self.state());
                if let Some(observation) = snapshot {
                    let reaction = self.encode(self.caps(), Answer::Observation(observation), Some(id));
                    self.enact(reaction);
                } else if let Some(place) = self.place(Some(id)) {
                    self.service.observe(self.ticket(place));
                }
            }
            None => {
                let mut state = self.state();
                state.slots.push_back(Slot::Deferred);
                self.advance(&mut state);
            }
        }
    }

    fn on_reset(self: &Arc<Self>, id: Option<RequestId>, arrived: MonoTime) {
        let Some(place) = self.place(id) else { return };
        self.wake(&mut self.state());
        // Refused or dropped, the ticket frees the place.
        let ticket = self.ticket(place);
        if let Err((ticket, held)) = self.service.reset(&self.peer(), arrived, ticket) {
            self.held(ticket, &held);
        }
    }

    fn on_action(self: &Arc<Self>, frame: &Bytes, action: Action, arrived: MonoTime) {
        let id = action.id;
        if let Err(error) = self.check(frame, &action, arrived) {
            return self.drop_action(id, &error);
        }
        let action = ActionData::received(frame, action, self.peer(), arrived);
        if let Err(held) = self.service.apply(self, id, action) {
            self.drop_action(id, &not_holder(&held));
        }
    }

    /// Whether an action counts, be it whose it will.
    fn check(&self, frame: &Bytes, action: &Action, arrived: MonoTime) -> Result<(), PolicyError> {
        let finite = action.array.view(frame).is_some_and(|view| view.is_finite());
        if !finite && !self.service.config.apply_non_finite {
            return Err(PolicyError::new(ErrorCode::NonFinite, "the action has values that are NaN or infinite"));
        }
        self.state().gate.check(&action.marks, seconds(arrived)).map_err(|dropped| match dropped {
            ActionDropped::Stale { .. } => PolicyError::new(ErrorCode::Stale, dropped.to_string()),
            ActionDropped::NotNewer { .. } => PolicyError::new(ErrorCode::BadRequest, dropped.to_string()),
        })
    }

    fn drop_action(&self, id: Option<RequestId>, error: &PolicyError) {
        let counter = if error.code == ErrorCode::BadRequest { "seq" } else { error.code.name() };
        self.service.dropped(counter, &self.peer(), &error.message);
        self.refuse(id, error.code, &error.message, None);
    }

    fn on_step(self: &Arc<Self>, frame: &Bytes, action: Action, arrived: MonoTime) {
        let Some(place) = self.place(action.id) else { return };
        let ticket = self.ticket(place);
        if let Err(error) = self.check(frame, &action, arrived) {
            if self.caps().has(Capability::Err) {
                return ticket.answer(Err(error));
            }
            // It waits for what the action led to: to nothing.
            self.service.dropped(error.code.name(), &self.peer(), &error.message);
            let observation = Observation::from(self.service.hub.snapshot());
            return ticket.answer(Ok(Answer::Step(observation.into())));
        }
        let action = ActionData::received(frame, action, self.peer(), arrived);
        if let Err((ticket, held)) = self.service.step(action, ticket) {
            self.held(ticket, &held);
        }
    }

    /// Refuses a request because somebody else controls the robot.
    fn held(&self, ticket: Ticket, held: &Held) {
        let error = not_holder(held);
        if self.caps().has(Capability::Err) {
            ticket.answer(Err(error));
        } else {
            ticket.answer(Err(PolicyError { message: format!("control held: {}", error.message), ..error }));
        }
    }

    fn on_lease(&self, request: &LeaseRequest, arrived: MonoTime) {
        let response = self.service.lease(&self.peer(), request, arrived);
        self.send(encode::frame(|out| response.encode(out)));
    }

    fn on_clock(&self, ClockRequest { id, t0 }: ClockRequest, arrived: MonoTime) {
        let t1 = seconds(arrived);
        self.state().gate.on_clock(t0, t1);
        let response = ClockResponse { id, t0, t1, t2: seconds(clock::now()) };
        self.send(encode::frame(|out| response.encode(out)));
    }
}

fn not_holder(held: &Held) -> PolicyError {
    PolicyError::new(ErrorCode::NotHolder, format!("{} controls the robot", held.by))
}

/// A time as the wire tells it.
fn seconds(time: MonoTime) -> f64 {
    time.as_nanos() as f64 / 1e9
}

fn error_frame(id: Option<RequestId>, code: ErrorCode, message: &str, retry_ms: Option<f64>) -> Frame {
    let reply = ErrorReply { id, code, message: message.to_owned(), retry_ms };
    encode::frame(|out| reply.encode(out))
}
