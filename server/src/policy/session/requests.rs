//! What each message of a client leads to.

use std::sync::Arc;

use bytes::Bytes;
use waldo_protocol::policy::{
    Action, ActionDropped, Capabilities, Capability, ClockRequest, ClockResponse, EXT_VERSION, ErrorCode, LeaseRequest,
    Limits, MetadataRequest, MetadataResponse, ObsRequest, RequestId, ServerExt,
};
use waldo_protocol::time::MonoTime;

use super::Client;
use super::order::Reaction;
use super::ticket::Answer;
use crate::clock;
use crate::policy::chunks::MAX_CHUNK;
use crate::policy::encode;
use crate::policy::floor::Held;
use crate::policy::robot::{ActionData, Observation, PolicyError};
use crate::policy::service::Service;

impl Client {
    pub(super) fn on_unknown(&self, kind: Option<&str>, id: Option<RequestId>) {
        let why = format!("no message has the type {:?}", kind.unwrap_or("that is no text"));
        self.service.dropped("unknown_type", &self.peer(), &why);
        if id.is_some() {
            self.refuse(id, ErrorCode::UnknownType, &why, None);
        }
    }

    pub(super) fn on_metadata(&self, request: &MetadataRequest) {
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
                max_chunk: MAX_CHUNK as u64,
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

    pub(super) fn on_obs_request(self: &Arc<Self>, ObsRequest { fresh, id }: ObsRequest, arrived: MonoTime) {
        match id {
            Some(id) => {
                if self.place(Some(id)).is_some() {
                    self.take(id, fresh, arrived);
                }
            }
            None => self.defer(fresh, arrived),
        }
    }

    pub(super) fn on_reset(self: &Arc<Self>, id: Option<RequestId>, arrived: MonoTime) {
        let Some(place) = self.place(id) else { return };
        self.wake(&mut self.state());
        // Refused or dropped, the ticket frees the place.
        let ticket = self.ticket(place, arrived);
        if let Err((ticket, held)) = self.service.reset(&self.peer(), arrived, ticket) {
            ticket.held(&held);
        }
    }

    pub(super) fn on_action(self: &Arc<Self>, frame: &Bytes, action: Action, arrived: MonoTime) {
        let id = action.id;
        if let Err(error) = self.check(frame, &action, arrived) {
            return self.drop_action(id, &error);
        }
        let action = self.action(frame, action, arrived);
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
        self.state().gate.check(&action.marks, arrived.as_secs_f64()).map_err(|dropped| match dropped {
            ActionDropped::Stale { .. } => PolicyError::new(ErrorCode::Stale, dropped.to_string()),
            ActionDropped::NotNewer { .. } => PolicyError::new(ErrorCode::BadRequest, dropped.to_string()),
        })
    }

    fn drop_action(&self, id: Option<RequestId>, error: &PolicyError) {
        let counter = if error.code == ErrorCode::BadRequest { "seq" } else { error.code.name() };
        self.service.dropped(counter, &self.peer(), &error.message);
        self.refuse(id, error.code, &error.message, None);
    }

    pub(super) fn on_step(self: &Arc<Self>, frame: &Bytes, action: Action, arrived: MonoTime) {
        let Some(place) = self.place(action.id) else { return };
        self.wake(&mut self.state());
        let ticket = self.ticket(place, arrived);
        if let Err(error) = self.check(frame, &action, arrived) {
            if self.caps().has(Capability::Err) {
                return ticket.answer(Err(error));
            }
            // It waits for what the action led to: to nothing.
            self.service.dropped(error.code.name(), &self.peer(), &error.message);
            let observation = Observation::from(self.service.hub.snapshot());
            return ticket.answer(Ok(Answer::Step(observation.into())));
        }
        let action = self.action(frame, action, arrived);
        if let Err((ticket, held)) = self.service.step(action, ticket) {
            ticket.held_step(&held);
        }
    }

    /// What the robot is told of an action. The stamps that clients of the original send are those of the newest
    /// observation when the action leaves, whatever it was computed from: they tell nothing that its arrival does not.
    fn action(&self, frame: &Bytes, action: Action, arrived: MonoTime) -> ActionData {
        let mut action = ActionData::received(frame, action, self.peer(), arrived);
        action.observed = action.observed.filter(|_| self.caps() != Capabilities::NONE);
        action
    }

    pub(super) fn on_lease(&self, request: &LeaseRequest, arrived: MonoTime) {
        self.service.lease(self, request, arrived);
    }

    pub(super) fn on_clock(&self, ClockRequest { id, t0 }: ClockRequest, arrived: MonoTime) {
        let t1 = arrived.as_secs_f64();
        self.state().gate.on_clock(t0, t1);
        let response = ClockResponse { id, t0, t1, t2: clock::now().as_secs_f64() };
        self.send(encode::frame(|out| response.encode(out)));
    }
}

pub(in crate::policy) fn not_holder(held: &Held) -> PolicyError {
    PolicyError::new(ErrorCode::NotHolder, format!("{} controls the robot", held.by))
}
