//! A user of the scene, whatever socket speaks for them at the moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use waldo_protocol::field::{CharacterMode, ErrorMessage, Extension, Extensions, ServerMessage};
use waldo_protocol::time::MonoTime;

use super::backend::FieldHold;
use super::input::Input;
use super::outbox::{Message, Outbox};
use super::sequence::Ack;
use crate::vr::Bucket;

/// The code that those are told too who agreed on nothing but a dead-man.
const DEADMAN: &str = "deadman";

/// Words about holds to one client: so many per second, and so many at once.
const HOLD_WORDS: (f64, f64) = (10.0, 10.0);

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
    /// What it agreed on.
    pub(super) ext: Extensions,
    /// When the last message came, of whatever kind.
    pub(super) heard: MonoTime,
    /// The newest numbered sample.
    pub(super) ack: Option<Ack>,
    /// What this socket was told last of what holds the user's arms.
    pub(super) told: Option<FieldHold>,
    /// Of such words.
    pub(super) words: Bucket,
}

impl Link {
    /// A socket begins to speak for a user.
    pub(super) fn new(outbox: &Arc<Outbox>, ext: Extensions, now: MonoTime) -> Self {
        let outbox = Some(Arc::clone(outbox));
        Self { outbox, ext, heard: now, ack: None, told: None, words: Bucket::new(HOLD_WORDS.0, HOLD_WORDS.1) }
    }

    /// Whether a socket speaks for the user, and is not about to be closed.
    fn is_of(&self, outbox: &Arc<Outbox>) -> bool {
        !outbox.over().is_cancelled() && self.outbox.as_ref().is_some_and(|own| Arc::ptr_eq(own, outbox))
    }
}

impl Seat {
    pub(super) fn new(user: String, mode: CharacterMode, arms: Vec<String>, input: Input, link: Link) -> Self {
        Self { user, mode, arms, input: Mutex::new(input), link: Mutex::new(link) }
    }

    pub(super) fn input(&self) -> MutexGuard<'_, Input> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a socket act for the user, if it is the one that speaks for them; no other can begin to in the meantime.
    pub(super) fn speak<T>(&self, outbox: &Arc<Outbox>, act: impl FnOnce(&mut Link, &mut Input) -> T) -> Option<T> {
        let mut link = self.link();
        link.is_of(outbox).then(|| act(&mut link, &mut self.input()))
    }

    /// Tells those who agreed on that, once per change, what holds their arms, and that nothing does any more; of changes
    /// that come too fast the last one. Clients of the plain wire know neither of it.
    pub(super) fn note(&self, now: MonoTime, hold: Option<FieldHold>) {
        {
            let mut link = self.link();
            if link.told == hold || !link.ext.has(Extension::Acks) || !link.words.take(now) {
                return;
            }
            link.told.clone_from(&hold);
        }
        match hold {
            Some(hold) => self.tell(&hold.text, hold.code),
            // The empty reason is nothing that people need to be told.
            None => self.tell("", "released"),
        }
    }

    /// The hands were silent for too long, which ends what they said: told to those who agreed on a dead-man or on codes.
    pub(super) fn tell_silence(&self) {
        let ext = self.link().ext;
        if ext.has(Extension::Deadman) || ext.has(Extension::Acks) {
            self.tell("input timeout", DEADMAN);
        }
    }

    /// Tells the user why their hands move nothing. The code is for those who agreed on it.
    pub(super) fn tell(&self, reason: &str, code: &'static str) {
        let (outbox, ext) = {
            let link = self.link();
            (link.outbox.clone(), link.ext)
        };
        let Some(outbox) = outbox else { return };
        let coded = ext.has(Extension::Acks) || code == DEADMAN && ext.has(Extension::Deadman);
        let code = coded.then(|| code.to_owned());
        let error = ErrorMessage { reason: reason.to_owned(), code, request_type: None };
        outbox.answer(Message::text(ServerMessage::Error(error).encode().unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Buf;
    use waldo_protocol::field::{SessionArmControlMapper, XrInputSample};

    use super::*;
    use crate::field::outbox::Outgoing;
    use crate::websocket::Close;

    const NOW: MonoTime = MonoTime::from_nanos(1_000_000_000);

    fn link(ext: &[Extension]) -> (Arc<Outbox>, Link) {
        let outbox = Arc::<Outbox>::default();
        let link = Link::new(&outbox, ext.iter().copied().collect(), NOW);
        (outbox, link)
    }

    fn seat(link: Link) -> Seat {
        let input = Input::new(SessionArmControlMapper::for_arms("a", "b"), Duration::from_secs(1));
        Seat::new("amy".to_owned(), CharacterMode::TwoCr, vec!["a".to_owned(), "b".to_owned()], input, link)
    }

    /// What waits for a client that is hung up on.
    async fn told(outbox: &Outbox) -> Vec<String> {
        outbox.close(Close::new(1000, ""));
        let mut told = Vec::new();
        while let Outgoing::Answer(Message::Text(mut text)) = outbox.next().await {
            told.push(String::from_utf8(text.copy_to_bytes(text.len()).to_vec()).unwrap());
        }
        told
    }

    #[test]
    fn a_socket_that_was_superseded_or_is_closed_moves_nothing() {
        let (older, first) = link(&[]);
        let (newer, second) = link(&[]);
        let seat = seat(first);
        let sample = || XrInputSample {
            timestamp: 1.0,
            head_pose: waldo_protocol::field::Transform::at([0.0, 1.6, 0.0]),
            controllers: std::collections::BTreeMap::default(),
            actions: std::collections::BTreeMap::default(),
        };
        let says = |outbox| seat.speak(outbox, |_, input| input.on_sample(NOW, sample())).is_some();
        assert!(says(&older) && !says(&newer));
        *seat.link() = second;
        seat.input().begin(Duration::from_secs(1));
        assert!(!says(&older));
        assert_eq!(seat.input().step(NOW).command, None, "the gap");
        assert_eq!(seat.input().step(NOW).command, None, "nothing of the older one came after it");
        assert!(says(&newer));
        assert!(seat.input().step(NOW).command.is_some());
        newer.close(Close::new(1008, "too slow"));
        assert!(!says(&newer));
    }

    #[tokio::test]
    async fn a_hold_is_told_once_to_each_socket_that_agreed_on_it_and_never_to_others() {
        let (first_outbox, first) = link(&[Extension::Acks]);
        let seat = seat(first);
        let stopped = || Some(FieldHold { code: "stopped", text: "stopped: wait".into() });
        (0..3).for_each(|_| seat.note(NOW, stopped()));
        assert_eq!(told(&first_outbox).await.len(), 1);
        // Whoever comes back learns of the hold that is in force.
        let (second_outbox, second) = link(&[Extension::Acks]);
        *seat.link() = second;
        seat.note(NOW, stopped());
        seat.note(NOW, None);
        let told_second = told(&second_outbox).await;
        assert!(told_second[0].contains("\"stopped\"") && told_second[1].contains("\"released\""), "{told_second:?}");
        // Nothing of it is part of the plain wire.
        for (ext, words) in [(&[][..], 0), (&[Extension::People], 0), (&[Extension::Deadman], 1)] {
            let (outbox, plain) = link(ext);
            *seat.link() = plain;
            seat.note(NOW, stopped());
            seat.note(NOW, None);
            seat.tell_silence();
            let told = told(&outbox).await;
            assert_eq!(told.len(), words, "{told:?}");
            assert!(told.iter().all(|told| told.contains("\"deadman\"")), "{told:?}");
        }
    }

    #[tokio::test]
    async fn two_holds_of_one_code_are_two_and_a_flood_of_them_is_bounded() {
        let (outbox, first) = link(&[Extension::Acks]);
        let seat = seat(first);
        let held = |text: &'static str| Some(FieldHold { code: "held", text: text.into() });
        seat.note(NOW, held("one"));
        seat.note(NOW, held("another"));
        for n in 0..1000 {
            seat.note(NOW, held(if n % 2 == 0 { "one" } else { "another" }));
        }
        // The last one follows.
        seat.note(NOW + Duration::from_secs(1), None);
        let told = told(&outbox).await;
        assert!(told[0].contains("one") && told[1].contains("another"), "{told:?}");
        assert_eq!(told.len(), 11);
        assert!(told[10].contains("released"), "{told:?}");
    }
}
