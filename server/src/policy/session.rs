//! One client, whatever carries its frames: what it agreed on, what it waits for, what it is told.
//!
//! Replies to requests without an id come in the order of the requests; an observation is taken only after everything
//! asked for before it was answered, so that one after a reset shows what the reset led to. Actions, resets and steps
//! go to the robot in the order in which they came, past observations that wait.

mod extended;
mod order;
mod requests;
#[cfg(test)]
mod tests;
mod ticket;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use waldo_protocol::policy::{
    self, ActionGate, Capabilities, Capability, ClientMessage, ErrorCode, ErrorReply, Freshness, RequestId, WireError,
};
use waldo_protocol::time::MonoTime;

use super::encode;
use super::outbox::Outbox;
use super::robot::{Observation, Peer, PolicyError};
use super::service::Service;
use super::stream::Streams;
use super::view::Views;
use crate::clock;
use crate::sensors::SensorWatch;
use crate::websocket::{Close, Frame};

use order::{Order, Reaction};
pub(super) use requests::not_holder;
pub(super) use ticket::{Answer, Ticket};

/// Resets, steps and the like without an id that one client may have under way; then it is not listened to. An action
/// behind them has to wait for them in any case, as the robot takes them in order.
const MAX_WAITING: usize = 64;

/// Requests without an id for an observation that may wait their turn behind others.
///
/// An action must not wait for an observation, so the client is listened to while its requests wait, however slow the
/// robot is, or the client itself with reading. They cannot be refused instead: a client without ids takes whatever comes
/// next for the reply, and one that never comes shifts all later ones. As one that waits is no more than a number in a
/// list, there may be so many that a client has to ask for more than half a minute at 100 Hz without one answer to be
/// listened to no more.
const MAX_OBSERVATIONS: usize = 4096;

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

    /// What is to be sent to it; it may outlive the session, for the farewell.
    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
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

    /// The message in a frame of the client, by what was negotiated with it.
    #[cfg(feature = "zenoh")]
    pub(crate) fn read(&self, frame: &[u8]) -> Result<ClientMessage, WireError> {
        ClientMessage::decode(frame, self.0.caps())
    }

    /// A whole frame of the client arrived and was [read](Self::read). Never waits.
    #[cfg(feature = "zenoh")]
    pub(crate) fn on_message(&self, frame: Bytes, read: Result<ClientMessage, WireError>) {
        self.0.on_message(&frame, read, clock::now());
    }

    /// Tells a client that knows errors why a frame of it is not taken; an empty frame stands for what others send.
    #[cfg(feature = "zenoh")]
    pub(crate) fn refuse(&self, frame: &[u8], why: &str) {
        let id = policy::request_id(frame).filter(|_| self.0.caps().has(Capability::Id));
        self.0.refuse(id, ErrorCode::BadRequest, why, None);
    }

    /// Whether the client may be listened to. If it reads none of what it asked for, it shall ask for no more.
    pub(crate) fn has_room(&self) -> bool {
        let order = |state: &State| state.order.len() < MAX_WAITING && state.order.observations() < MAX_OBSERVATIONS;
        self.0.outbox.has_room() && order(&self.0.state())
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
        self.0.streams.clear();
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
    number: u64,
    service: Arc<Service>,
    link: Link,
    outbox: Arc<Outbox>,
    streams: Streams,
    /// Taken before the service's own lock, never while that is held.
    state: Mutex<State>,
}

/// What was agreed with a client, and what it wants of the cameras.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) caps: Capabilities,
    pub(super) views: Arc<Views>,
}

struct State {
    peer: Peer,
    caps: Capabilities,
    gate: ActionGate,
    /// What the client wants of the cameras.
    views: Arc<Views>,
    /// Keeps cameras awake that draw only while somebody watches, from the first observation on.
    watch: Option<SensorWatch>,
    /// Requests with an id under way.
    inflight: usize,
    /// Requests without an id that were not answered, and what waits behind them.
    order: Order,
    /// Observations asked for with an id, which wait until the client has read others; they are among those under way.
    later: VecDeque<(RequestId, Option<Freshness>, MonoTime)>,
    /// It is going to be hung up on: nothing it says counts any more.
    ending: bool,
}

impl Client {
    pub(super) fn new(service: Arc<Service>, peer: Peer, link: Link) -> Arc<Self> {
        let number = peer.number();
        let state = State {
            peer,
            caps: Capabilities::NONE,
            gate: ActionGate::default(),
            views: Arc::default(),
            watch: None,
            inflight: 0,
            order: Order::default(),
            later: VecDeque::new(),
            ending: false,
        };
        let (outbox, streams, state) = (Arc::<Outbox>::default(), Streams::default(), Mutex::new(state));
        Arc::new_cyclic(|client: &Weak<Self>| {
            let client = Weak::clone(client);
            outbox.on_refill(Box::new(move || {
                if let Some(client) = client.upgrade() {
                    client.refill();
                }
            }));
            Self { number, service, link, outbox, streams, state }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    pub(super) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    pub(super) fn peer(&self) -> Peer {
        self.state().peer.clone()
    }

    /// The number of the client, whatever it is called.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// What was agreed, and what it wants of the cameras.
    pub(super) fn terms(&self) -> Terms {
        self.state().terms()
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
            // Clients of the original that share their keys on Zenoh take whatever comes next for the reply that they wait
            // for, and the only replies that fit say that all went well. A `reset_response` whose info told of an error would
            // still begin an episode, and count as one, which never began; nobody looks into the info for that. Without a
            // reply such a client goes on to do nothing until it gives up, as it does if the original's robot fails; why is
            // in the log and in the counters. A later request has its own reply.
            Reaction::Nothing
        }
    }

    /// The hub's snapshot, if that is how the robot answers, no camera has to wake up first, and nothing about it takes time.
    fn snapshot(&self, state: &mut State, fresh: &Option<Freshness>) -> Option<Observation> {
        let woken = state.watch.is_some();
        self.wake(state);
        if fresh.is_some() || state.views.takes_time() {
            return None;
        }
        let snapshot = self.service.snapshot()?;
        (woken || !Service::rests(&snapshot.sensors)).then_some(snapshot)
    }

    /// From now on the client is somebody who watches.
    fn wake(&self, state: &mut State) {
        state.watch.get_or_insert_with(|| self.service.hub.watch(None));
    }

    fn on_frame(self: &Arc<Self>, frame: &Bytes, arrived: MonoTime) {
        self.on_message(frame, ClientMessage::decode(frame, self.caps()), arrived);
    }

    fn on_message(self: &Arc<Self>, frame: &Bytes, read: Result<ClientMessage, WireError>, arrived: MonoTime) {
        if self.state().ending || self.outbox.is_closed() {
            return;
        }
        let message = match read {
            Ok(message) => message,
            Err(error) => {
                let caps = self.caps();
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
            ClientMessage::ObsRequest(request) => self.on_obs_request(request, arrived),
            ClientMessage::ApplyAction(action) => self.on_action(frame, action, arrived),
            ClientMessage::Action(action) => self.on_step(frame, action, arrived),
            ClientMessage::Lease(request) => self.on_lease(&request, arrived),
            ClientMessage::Clock(request) => self.on_clock(request, arrived),
            ClientMessage::Chunk(chunk) => self.on_chunk(frame, &chunk, arrived),
            ClientMessage::Subscribe(request) => self.on_subscribe(request),
            ClientMessage::Credit(credit) => self.streams.credit(credit),
            ClientMessage::Unsubscribe(request) => self.on_unsubscribe(request),
            ClientMessage::Configure(request) => self.on_configure(&request),
            ClientMessage::Stats { id } => self.on_stats(id),
            ClientMessage::Unknown { kind, id } => self.on_unknown(kind.as_deref(), id),
            // A message that was added to the wire and is not known here.
            other => self.on_unknown(Some(other.kind()), other.id()),
        }
    }
}

impl State {
    fn terms(&self) -> Terms {
        Terms { caps: self.caps, views: Arc::clone(&self.views) }
    }
}

fn error_frame(id: Option<RequestId>, code: ErrorCode, message: &str, retry_ms: Option<f64>) -> Frame {
    let reply = ErrorReply { id, code, message: message.to_owned(), retry_ms };
    encode::frame(|out| reply.encode(out))
}
