//! An offer of the SFU that comes with a heartbeat, such as one for a voice, and the answer to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::task::AbortOnDropHandle;
use waldo_protocol::hosted::repair_candidates;

use super::broker::Broker;
use crate::rtc::RobotPeer;

/// An offer that is being answered, or was. Dropped, the answer is not given.
pub(super) struct Answering {
    offer: String,
    task: AbortOnDropHandle<()>,
    /// The broker has the answer.
    done: Arc<AtomicBool>,
}

impl Answering {
    /// Begins to answer, for this session at the broker.
    pub(super) fn start(offer: &str, peer: &Arc<RobotPeer>, (broker, session): (&Broker, &str)) -> Self {
        let (peer, broker, session) = (Arc::clone(peer), broker.clone(), session.to_owned());
        let (repaired, done) = (repair_candidates(offer).into_owned(), Arc::<AtomicBool>::default());
        let answered = Arc::clone(&done);
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let told = match peer.take_offer(repaired).await {
                Ok(answer) => broker.renegotiate(&session, answer).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match told {
                Ok(()) => answered.store(true, Ordering::Relaxed),
                Err(error) => tracing::warn!("the operator is not heard: {error}"),
            }
        }));
        Self { offer: offer.to_owned(), task, done }
    }

    /// Whether this offer needs no other answer: one is under way, or the broker has it.
    pub(super) fn holds(&self, offer: &str) -> bool {
        self.offer == offer && (!self.task.is_finished() || self.done.load(Ordering::Relaxed))
    }
}
