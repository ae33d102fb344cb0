//! One client on Zenoh: whose keys it has, and its session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::{Buf, Bytes};
use waldo_protocol::policy::shared_memory::{MemoryNotice, MemoryOffer, WORTH_SHARING, notice_key};
use waldo_protocol::policy::{ClientId, RobotId, ZenohKeys};
use zenoh::Wait;
use zenoh::pubsub::Publisher;

use super::everybody::{Repetition, Verdict, moves};
use super::memory::Memory;
use super::payload;
use crate::policy::session::Session;
use crate::websocket::Frame;

/// Bytes that surely fit into one batch of Zenoh.
const BATCH: usize = 32 << 10;

/// Whose messages they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// Of somebody on the keys of the original.
    Everybody,
    /// Of one client.
    Client(ClientId),
}

impl Whose {
    pub(super) fn keys(&self, robot: &RobotId) -> ZenohKeys {
        match self {
            Self::Everybody => ZenohKeys::legacy(),
            Self::Client(client) => ZenohKeys::prefixed(robot, client),
        }
    }

    /// Where it is told of frames in the memory that it shares; the clients of the original share none.
    pub(super) fn notices(&self, robot: &RobotId) -> Option<String> {
        match self {
            Self::Everybody => None,
            Self::Client(client) => Some(notice_key(robot, client)),
        }
    }

    pub(super) fn legacy(&self) -> bool {
        matches!(self, Self::Everybody)
    }
}

/// One session.
pub(super) struct Client {
    pub(super) whose: Whose,
    pub(super) session: Session,
    /// Frames of one client are taken in one after the other, though they may come over several connections.
    repetition: Mutex<Repetition>,
    /// That it shares with us, if it runs on this computer.
    memory: Arc<Mutex<Option<Memory>>>,
}

impl Client {
    pub(super) fn new(whose: Whose, session: Session) -> Self {
        Self { whose, session, repetition: Mutex::default(), memory: Arc::default() }
    }

    /// A frame of this client; `conflict` tells why nothing of it may move the robot, if so.
    ///
    /// # Errors
    /// It is dropped; the counter, and why.
    pub(super) fn take<'a>(&self, frame: Bytes, conflict: Option<&'a str>) -> Result<(), (&'static str, &'a str)> {
        let mut repetition = self.repetition();
        let read = self.session.read(&frame);
        let moves = read.as_ref().is_ok_and(moves);
        if let Some(why) = conflict.filter(|_| moves) {
            self.session.refuse(&frame, why);
            return Err(("conflict", why));
        }
        if !self.session.has_room() && !moves {
            return Err(("busy", "it does not read what it asked for"));
        }
        if self.whose.legacy() && repetition.came(read.as_ref().ok()) == Verdict::Repeated {
            return Err(("repeated", "the metadata are on their way already"));
        }
        self.session.on_message(frame, read);
        Ok(())
    }

    /// A frame goes out to it, or a notice of one.
    pub(super) fn goes(&self, frame: &Frame) {
        if self.whose.legacy() {
            self.repetition().goes(frame.chunk());
        } else if let Some(memory) = &mut *self.memory() {
            memory.goes();
        }
    }

    /// Lets short frames go out without the thread that sends to it, where that can keep nobody waiting: from request to
    /// reply, each thread on the way takes its time to wake up.
    pub(super) fn pass_on(&self, publisher: &Arc<Publisher<'static>>) {
        let (gate, publisher) = (Gate(Arc::downgrade(&self.memory)), Arc::downgrade(publisher));
        self.session.outbox().set_shortcut(Box::new(move |frame| {
            let Some(publisher) = publisher.upgrade() else { return Err(frame) };
            if !gate.opens_for(&frame) {
                return Err(frame);
            }
            // It fails when the session with the network is closed, and with it everything.
            if let Err(error) = publisher.put(payload(frame)).wait() {
                tracing::debug!(%error, "sending over Zenoh");
            }
            Ok(())
        }));
    }

    /// It offers memory; what it offered before does no longer count.
    pub(super) fn offers(&self, offer: MemoryOffer) {
        let reached = Memory::reach(offer);
        let client = self.session.peer();
        match &reached {
            Ok(_) => tracing::debug!(%client, "shares memory with us"),
            Err(error) => tracing::debug!(%client, %error, "memory out of reach, so it is on another computer"),
        }
        *self.memory() = reached.ok();
    }

    /// Writes a frame into the memory that it shares; `None` if it has to be sent.
    pub(super) fn share(&self, frame: &Frame) -> Option<MemoryNotice> {
        if frame.len() < WORTH_SHARING {
            return None;
        }
        let mut memory = self.memory();
        memory.as_mut()?.write(frame).unwrap_or_else(|error| {
            tracing::warn!(client = %self.session.peer(), %error, "cannot write to the memory it shares");
            *memory = None;
            None
        })
    }

    fn memory(&self) -> MutexGuard<'_, Option<Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn repetition(&self) -> MutexGuard<'_, Repetition> {
        self.repetition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells which frames surely do not have to wait in Zenoh: short ones need one of its batches, and none of them is in use
/// when all that was sent has come.
struct Gate(Weak<Mutex<Option<Memory>>>);

impl Gate {
    /// Whether this frame may go out now; then it counts as sent.
    fn opens_for(&self, frame: &Frame) -> bool {
        let Some(memory) = self.0.upgrade().filter(|_| frame.len() <= BATCH) else { return false };
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(memory) = memory.as_mut().filter(|memory| memory.all_came()) else { return false };
        memory.goes();
        true
    }
}
