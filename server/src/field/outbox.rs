//! What waits to be sent to one client: answers, of which none is lost, and frames of the scene, of which it may miss some.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::websocket::{Close, Frame};

/// Frames of the scene that a client has not taken yet, the one on its way included. With so many, it is left out.
const MAX_SCENES: usize = 2;

/// Answers that wait for one client. One that asks for more than it reads is disconnected.
const MAX_ANSWERS: usize = 256;

/// From so many on a client is not listened to until it has read some.
const ENOUGH_ANSWERS: usize = 32;

/// One message of the WebSocket.
#[derive(Clone, Debug)]
pub(super) enum Message {
    Text(Frame),
    Binary(Frame),
}

impl Message {
    /// A text in one piece.
    pub(super) fn text(text: impl Into<bytes::Bytes>) -> Self {
        Self::Text(Frame::new(text))
    }

    /// Bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(frame) | Self::Binary(frame) => frame.len(),
        }
    }
}

/// What is to be sent next.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// An answer.
    Answer(Message),
    /// One frame of the scene, in as many messages as it takes. To be followed by [`Outbox::taken`].
    Scene(Vec<Message>),
    /// The end: nothing follows.
    Close(Close),
}

/// Bounded: answers in order, and at most two frames of the scene.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    news: Notify,
    space: Notify,
    over: CancellationToken,
}

#[derive(Debug, Default)]
struct Waiting {
    answers: VecDeque<Message>,
    scenes: VecDeque<Vec<Message>>,
    /// Frames of the scene in `scenes` and on their way.
    untaken: usize,
    close: Option<Close>,
}

impl Outbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an answer. One too many ends the connection; after its end nothing more is taken.
    pub(super) fn answer(&self, message: Message) {
        let mut waiting = self.waiting();
        if waiting.close.is_some() {
            return;
        }
        if waiting.answers.len() == MAX_ANSWERS {
            waiting.answers.clear();
            waiting.scenes.clear();
            waiting.close = Some(Close::new(1008, "the client reads too slowly"));
            self.over.cancel();
        } else {
            waiting.answers.push_back(message);
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// Whether a frame of the scene would be taken now. Only who asks may queue one.
    pub(super) fn has_room(&self) -> bool {
        let waiting = self.waiting();
        waiting.close.is_none() && waiting.untaken < MAX_SCENES
    }

    /// Queues a frame of the scene, of so many bytes.
    pub(super) fn scene(&self, messages: Vec<Message>) -> usize {
        let bytes = messages.iter().map(Message::len).sum();
        let mut waiting = self.waiting();
        if waiting.close.is_some() || messages.is_empty() {
            return 0;
        }
        waiting.untaken += 1;
        waiting.scenes.push_back(messages);
        drop(waiting);
        self.news.notify_one();
        bytes
    }

    /// Leaves the frames of the scene out that wait.
    pub(super) fn forget_scenes(&self) {
        let mut waiting = self.waiting();
        waiting.untaken = waiting.untaken.saturating_sub(waiting.scenes.len());
        waiting.scenes.clear();
    }

    /// The frame of the scene is with the kernel.
    pub(super) fn taken(&self) {
        let mut waiting = self.waiting();
        waiting.untaken = waiting.untaken.saturating_sub(1);
    }

    /// Ends the connection after the answers that wait. The first reason counts.
    pub(super) fn close(&self, close: Close) {
        let mut waiting = self.waiting();
        waiting.scenes.clear();
        waiting.close.get_or_insert(close);
        drop(waiting);
        self.over.cancel();
        self.news.notify_one();
        self.space.notify_one();
    }

    /// Cancelled as soon as the connection is about to end: the client is not listened to any more.
    pub(super) fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// Resolves once the client has read most of what it asked for. For one waiter.
    pub(super) async fn room(&self) {
        loop {
            let has_room = {
                let waiting = self.waiting();
                waiting.close.is_some() || waiting.answers.len() < ENOUGH_ANSWERS
            };
            if has_room {
                return;
            }
            self.space.notified().await;
        }
    }

    /// What is to be sent next, as soon as there is something. For one reader; safe to cancel.
    pub(super) async fn next(&self) -> Outgoing {
        loop {
            if let Some(next) = self.pop() {
                return next;
            }
            self.news.notified().await;
        }
    }

    fn pop(&self) -> Option<Outgoing> {
        let mut waiting = self.waiting();
        if let Some(answer) = waiting.answers.pop_front() {
            let room = waiting.answers.len() < ENOUGH_ANSWERS;
            drop(waiting);
            if room {
                self.space.notify_one();
            }
            return Some(Outgoing::Answer(answer));
        }
        if let Some(scene) = waiting.scenes.pop_front() {
            return Some(Outgoing::Scene(scene));
        }
        waiting.close.clone().map(Outgoing::Close)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::*;

    fn read(message: Message) -> String {
        let (Message::Text(mut frame) | Message::Binary(mut frame)) = message;
        String::from_utf8(frame.copy_to_bytes(frame.len()).to_vec()).unwrap()
    }

    fn offer(outbox: &Outbox, text: &'static str) -> bool {
        let room = outbox.has_room();
        if room {
            assert_eq!(outbox.scene(vec![Message::text(text)]), text.len());
        }
        room
    }

    #[tokio::test]
    async fn a_client_has_two_frames_of_the_scene_at_most_and_misses_the_others() {
        let outbox = Outbox::default();
        assert!(offer(&outbox, "1") && offer(&outbox, "2") && !offer(&outbox, "3"));
        let Outgoing::Scene(first) = outbox.next().await else { panic!() };
        assert_eq!(first.into_iter().map(read).collect::<String>(), "1");
        assert!(!offer(&outbox, "4"), "the first one is still on its way");
        outbox.taken();
        assert!(offer(&outbox, "5"));
    }

    #[tokio::test]
    async fn frames_that_wait_are_forgotten_but_not_the_one_on_its_way() {
        let outbox = Outbox::default();
        assert!(offer(&outbox, "1"));
        assert!(matches!(outbox.next().await, Outgoing::Scene(_)));
        assert!(offer(&outbox, "2"));
        outbox.forget_scenes();
        assert!(offer(&outbox, "3") && !offer(&outbox, "4"));
        let Outgoing::Scene(next) = outbox.next().await else { panic!() };
        assert_eq!(next.into_iter().map(read).collect::<String>(), "3");
    }

    #[tokio::test]
    async fn answers_come_before_the_scene_and_the_end_after_them() {
        let outbox = Outbox::default();
        outbox.scene(vec![Message::text("scene")]);
        outbox.answer(Message::text("a"));
        outbox.answer(Message::text("b"));
        outbox.close(Close::new(4001, "first"));
        outbox.close(Close::new(1001, "second"));
        outbox.answer(Message::text("too late"));
        for expected in ["a", "b"] {
            let Outgoing::Answer(answer) = outbox.next().await else { panic!() };
            assert_eq!(read(answer), expected);
        }
        let Outgoing::Close(close) = outbox.next().await else { panic!() };
        assert_eq!(close, Close::new(4001, "first"));
    }

    #[tokio::test]
    async fn who_asks_without_reading_is_first_not_heard_and_then_given_up() {
        let outbox = Outbox::default();
        (0..MAX_ANSWERS).for_each(|_| outbox.answer(Message::text("x")));
        tokio::select! {
            biased;
            () = outbox.room() => panic!("there is none"),
            () = std::future::ready(()) => {}
        }
        outbox.answer(Message::text("one too many"));
        assert!(matches!(outbox.next().await, Outgoing::Close(Close { code: 1008, .. })));
    }
}
