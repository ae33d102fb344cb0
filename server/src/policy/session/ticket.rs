//! A request under way, in the hands of whoever works on it.

use std::sync::Arc;

use waldo_protocol::policy::{AppMap, Capability, ErrorCode, RequestId};
use waldo_protocol::time::MonoTime;

use super::Client;
use super::requests::not_holder;
use crate::policy::floor::Held;
use crate::policy::robot::{Observation, PolicyError, StepResult};

/// What the robot answered.
pub(in crate::policy) enum Answer {
    /// With the numbers of the pictures that the client has.
    Observation(Observation, Vec<(String, u64)>),
    Reset(Observation, AppMap),
    Step(StepResult),
}

impl Answer {
    /// The type of what it answers.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Observation(..) => "obs_request",
            Self::Reset(..) => "reset",
            Self::Step(_) => "action",
        }
    }
}

/// A request that somebody works on. Dropped without an answer, it tells its client that the server stops.
pub(in crate::policy) struct Ticket {
    client: Arc<Client>,
    place: Place,
    /// What it does with the robot.
    deed: Deed,
    /// When the client asked.
    asked: MonoTime,
    open: bool,
}

/// What a request does with the robot, if its client controls it.
#[derive(Clone, Copy, PartialEq)]
enum Deed {
    Nothing,
    Steps,
    Resets,
}

/// Where the reply goes.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// To that place in the order of those without an id.
    Slot(u64),
    /// Out at once, with that id.
    Id(RequestId),
}

impl Ticket {
    pub(super) fn new(client: Arc<Client>, place: Place, asked: MonoTime) -> Self {
        Self { client, place, deed: Deed::Nothing, asked, open: true }
    }

    /// The client waits for a step, so it is not silent.
    pub(in crate::policy) fn steps(mut self) -> Self {
        self.deed = Deed::Steps;
        self
    }

    /// The client waits for a reset, so it is not silent.
    pub(in crate::policy) fn resets(mut self) -> Self {
        self.deed = Deed::Resets;
        self
    }

    /// Whose it is.
    pub(in crate::policy) fn client(&self) -> &Client {
        &self.client
    }

    /// Refuses it because somebody else controls the robot.
    pub(in crate::policy) fn held(self, held: &Held) {
        let error = not_holder(held);
        if self.client.caps().has(Capability::Err) {
            self.answer(Err(error));
        } else {
            self.answer(Err(PolicyError { message: format!("control held: {}", error.message), ..error }));
        }
    }

    /// Refuses a step because somebody else controls the robot.
    pub(in crate::policy) fn held_step(self, held: &Held) {
        if !held.by_operator() || self.client.caps().has(Capability::Err) {
            return self.held(held);
        }
        // All that an old client sees it sees by stepping, so it must be able to go on when the person is done.
        let service = Arc::clone(&self.client.service);
        service.dropped(ErrorCode::NotHolder.name(), &self.client.peer(), &not_holder(held).message);
        service.answer_soon(self);
    }

    /// Tells the client. Pictures that have to be scaled or packed for it are so on a thread that holds up no other: neither
    /// the actions that the robot takes after a step, nor the network.
    pub(in crate::policy) fn answer(mut self, answer: Result<Answer, PolicyError>) {
        self.done(answer.is_ok());
        if answer.is_ok() && self.client.terms().views.takes_time() {
            let threads = self.client.service.threads.clone();
            threads.spawn_blocking(move || self.answer_here(answer));
        } else {
            self.answer_here(answer);
        }
    }

    /// The same on a thread that may take its time.
    pub(in crate::policy) fn answer_here(mut self, answer: Result<Answer, PolicyError>) {
        self.done(answer.is_ok());
        self.open = false;
        self.client.finish(self.place, self.asked, answer);
    }

    /// The robot is done with it, whenever the client is told.
    fn done(&mut self, well: bool) {
        let deed = std::mem::replace(&mut self.deed, Deed::Nothing);
        if deed != Deed::Nothing {
            self.client.service.done(&self.client.peer(), (deed == Deed::Resets).then_some(well));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            let error = PolicyError::new(ErrorCode::Shutdown, "the server stops");
            self.done(false);
            self.client.finish(self.place, self.asked, Err(error));
        }
    }
}
