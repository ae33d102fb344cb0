//! A user of the scene, whatever socket speaks for them at the moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use waldo_protocol::field::{CharacterMode, ErrorMessage, ServerMessage};
use waldo_protocol::time::MonoTime;

use super::input::Input;
use super::outbox::{Message, Outbox};
use super::sequence::Ack;

/// One user with their arms. Shared by the socket, which writes what the hands do, and the simulation, which reads it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) user: String,
    pub(super) mode: CharacterMode,
    pub(super) arms: Vec<String>,
    input: Mutex<Input>,
    link: Mutex<Link>,
}

/// The socket that speaks for a user, and what was heard of it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// None while a user who may come back has no socket.
    pub(super) outbox: Option<Arc<Outbox>>,
    /// Whether errors carry a code.
    pub(super) coded: bool,
    /// When the last message came, of whatever kind.
    pub(super) heard: MonoTime,
    /// The newest numbered sample.
    pub(super) ack: Option<Ack>,
}

impl Seat {
    pub(super) fn new(user: String, mode: CharacterMode, arms: Vec<String>, input: Input, link: Link) -> Self {
        Self { user, mode, arms, input: Mutex::new(input), link: Mutex::new(link) }
    }

    /// The arms of the left and the right hand: the first two, or the only one twice.
    pub(super) fn controlled(arms: &[String]) -> [String; 2] {
        let arm = |index: usize| arms.get(index).or(arms.first()).cloned().unwrap_or_default();
        [arm(0), arm(1)]
    }

    pub(super) fn input(&self) -> MutexGuard<'_, Input> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the user why their hands move nothing. The code is for those who agreed on it.
    pub(super) fn tell(&self, reason: &str, code: &'static str) {
        let link = self.link().clone();
        let Some(outbox) = link.outbox else { return };
        let code = link.coded.then(|| code.to_owned());
        let error = ErrorMessage { reason: reason.to_owned(), code, request_type: None };
        outbox.answer(Message::text(ServerMessage::Error(error).encode().unwrap_or_default()));
    }
}
