//! How long replies are waited for.
//!
//! Without ids a server answers one request after the other, so the limit of a request counts from when it is the oldest;
//! with ids, from when it was sent.

use std::sync::atomic::Ordering;
use std::time::Duration;

use waldo_protocol::policy::Capability;

use super::Connection;
use crate::Lost;
use crate::requests::Call;

impl Connection {
    /// What was received so far, to tell a slow server from one that is gone.
    pub(super) fn heard(&self) -> u64 {
        self.sender.heard().unwrap_or_else(|| self.heard.load(Ordering::Relaxed))
    }

    fn is_ordered(&self, call: Call) -> bool {
        !(call.is_extension() || self.caps.has(Capability::Id))
    }

    /// How long to wait for a reply before [`is_over`](Self::is_over) is asked.
    pub(super) fn wait(&self, call: Call, serial: u64, limit: Duration) -> Duration {
        let mut exchange = self.exchange();
        match (exchange.requests.oldest(), exchange.oldest) {
            // In order, the limit of the oldest request counts, whoever sent it.
            (Some((_, _, owner)), Some((_, since))) if self.is_ordered(call) => {
                owner.limit.saturating_sub(since.elapsed()).max(Duration::from_millis(1))
            }
            // An id of its own: the time since it was sent.
            _ => {
                let sent = exchange.requests.owner(serial).map(|owner| owner.sent);
                limit.saturating_sub(sent.map_or(Duration::ZERO, |sent| sent.elapsed())).max(Duration::from_millis(1))
            }
        }
    }

    /// The time is over: for this request, if the answer is yes; otherwise for an older one, which ends the connection,
    /// or for none yet.
    pub(super) fn is_over(&self, call: Call, serial: u64, heard: u64) -> bool {
        let mut exchange = self.exchange();
        if !self.is_ordered(call) {
            let Some(owner) = exchange.requests.owner(serial) else { return false };
            // Others may use it; the reply still finds its own request.
            owner.permit = None;
            drop(exchange);
            // A server that is heard of is slow, not gone.
            if self.heard() == heard {
                self.fail(Lost::Silent { call: call.name() });
            }
            return true;
        }
        let (Some((oldest, asked, owner)), Some((_, since))) = (exchange.requests.oldest(), exchange.oldest) else {
            return false;
        };
        if since.elapsed() < owner.limit {
            return false;
        }
        drop(exchange);
        // Without ids the order of replies is lost with a reply.
        self.fail(Lost::Silent { call: asked.name() });
        oldest == serial
    }
}
