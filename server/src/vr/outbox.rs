//! What waits to be sent to one client.

use std::collections::VecDeque;
use std::mem::{Discriminant, discriminant};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::Notify;
use waldo_protocol::vr::ServerMessage;

/// Messages waiting for one client. One that falls this far behind is disconnected: it has stopped reading.
pub(super) const CAPACITY: usize = 64;

/// From so many waiting messages on, word of a state replaces the last one of its kind that waits. There are fewer
/// than a dozen kinds, so that what others do never fills a client's queue.
const CROWDED: usize = 16;

/// A message as it goes out, encoded once however many get it.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    text: Utf8Bytes,
    /// Set if only the newest of its kind matters.
    state: Option<Discriminant<ServerMessage>>,
}

impl Outgoing {
    /// A text of the program's own.
    pub(super) fn text(text: Utf8Bytes) -> Self {
        Self { text, state: None }
    }
}

impl From<&ServerMessage> for Outgoing {
    fn from(message: &ServerMessage) -> Self {
        Self { text: message.encode().into(), state: is_state(message).then(|| discriminant(message)) }
    }
}

/// Whether a newer message of the kind makes this one worthless. Answers are each to a question of their own.
fn is_state(message: &ServerMessage) -> bool {
    match message {
        ServerMessage::Mode(_)
        | ServerMessage::Episode(_)
        | ServerMessage::Hud(_)
        | ServerMessage::State(_)
        | ServerMessage::Tracking(_)
        | ServerMessage::Snapshot(_)
        | ServerMessage::Hold(_)
        | ServerMessage::LeaseNotice(_)
        | ServerMessage::Haptic(_)
        | ServerMessage::Health(_)
        | ServerMessage::Motion(_) => true,
        ServerMessage::WebrtcOffer { .. }
        | ServerMessage::WebrtcPending
        | ServerMessage::WebrtcUnavailable
        | ServerMessage::ControlOffer { .. }
        | ServerMessage::Hello(_)
        | ServerMessage::LeaseReply(_)
        | ServerMessage::Pong(_) => false,
    }
}

/// A queue of at most [`CAPACITY`] messages in order; of states a crowded one keeps the newest only.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<VecDeque<Outgoing>>,
    news: Notify,
}

impl Outbox {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Outgoing>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message. False if the queue is full: the message is lost, and the client must be given up.
    #[must_use]
    pub(super) fn push(&self, message: Outgoing) -> bool {
        let mut waiting = self.waiting();
        if waiting.len() >= CROWDED
            && let Some(kind) = message.state
            && let Some(older) = waiting.iter().rposition(|m| m.state == Some(kind))
        {
            // The newer one goes to the end: it must not overtake what happened before it.
            waiting.remove(older);
        }
        let fits = waiting.len() < CAPACITY;
        if fits {
            waiting.push_back(message);
        }
        drop(waiting);
        self.news.notify_one();
        fits
    }

    /// The next message, as soon as there is one. For one reader; safe to cancel.
    pub(super) async fn next(&self) -> Utf8Bytes {
        loop {
            if let Some(message) = self.pop() {
                return message;
            }
            self.news.notified().await;
        }
    }

    /// The next message, if one waits.
    pub(super) fn pop(&self) -> Option<Utf8Bytes> {
        self.waiting().pop_front().map(|message| message.text)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use waldo_protocol::vr::{LeaseReply, LeaseState, MotionScale};

    use super::*;

    fn motion(pos: f64) -> ServerMessage {
        ServerMessage::Motion(MotionScale { pos, rot: 1.0 })
    }

    fn reply(n: i64) -> ServerMessage {
        ServerMessage::LeaseReply(LeaseReply { n, ok: true, state: LeaseState::Held, reason: None, driver: None })
    }

    fn texts(outbox: &Outbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.pop()).map(|text| text.to_string()).collect()
    }

    #[test]
    fn whoever_reads_gets_every_word() {
        let outbox = Outbox::default();
        let sent: Vec<_> = (1..=CROWDED).map(|n| motion(n as f64)).collect();
        assert!(sent.iter().all(|message| outbox.push(message.into())));
        assert_eq!(texts(&outbox), sent.iter().map(ServerMessage::encode).collect::<Vec<_>>());
    }

    #[test]
    fn a_flood_of_states_leaves_the_newest_and_fills_no_queue() {
        let outbox = Outbox::default();
        for n in 0..10_000 {
            assert!(outbox.push((&motion(f64::from(n))).into()));
            assert!(outbox.push((&ServerMessage::Tracking(n % 2 == 0)).into()));
        }
        let texts = texts(&outbox);
        assert!(texts.len() <= CROWDED + 2, "{}", texts.len());
        assert_eq!(texts[texts.len() - 2..], [motion(9_999.0).encode(), ServerMessage::Tracking(false).encode()]);
    }

    #[test]
    fn answers_are_never_replaced_and_too_many_of_them_are_refused() {
        let outbox = Outbox::default();
        let fit = (0..100).filter(|n| outbox.push((&reply(*n)).into())).count();
        assert_eq!(fit, CAPACITY);
        assert_eq!(texts(&outbox)[CAPACITY - 1], reply(63).encode());
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let outbox = std::sync::Arc::new(Outbox::default());
        let reader = tokio::spawn({
            let outbox = std::sync::Arc::clone(&outbox);
            async move { [outbox.next().await, outbox.next().await] }
        });
        tokio::task::yield_now().await;
        assert!(outbox.push((&reply(1)).into()) && outbox.push((&reply(2)).into()));
        assert_eq!(reader.await.unwrap().map(|text| text.to_string()), [reply(1).encode(), reply(2).encode()]);
    }
}
