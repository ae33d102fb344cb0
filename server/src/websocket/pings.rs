//! Pings of a client.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// The newest ping that was not answered yet. Older ones need no answer once it is.
#[derive(Default)]
pub(crate) struct Pings {
    payload: Mutex<Option<Bytes>>,
    news: Notify,
}

impl Pings {
    /// A ping came.
    pub(crate) fn add(&self, payload: Bytes) {
        *self.payload.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
        self.news.notify_one();
    }

    /// The next one that is to be answered; safe to cancel.
    pub(crate) async fn next(&self) -> Bytes {
        loop {
            if let Some(payload) = self.payload.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return payload;
            }
            self.news.notified().await;
        }
    }
}
