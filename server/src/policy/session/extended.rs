//! What a client with extensions asks for beyond what the wire had: streams, other pictures, chunks, statistics.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use waldo_protocol::policy::{
    ActionChunk, ChunkRefused, ChunkResponse, Configure, ErrorCode, Freshness, RequestId, StatsResponse, StreamRef,
    Subscribe,
};
use waldo_protocol::time::MonoTime;

use super::Client;
use super::ticket::{Answer, Ticket};
use crate::policy::chunks::{MAX_CHUNK, rows};
use crate::policy::encode;
use crate::policy::robot::PolicyError;
use crate::sensors::Snapshot;

/// The longest wait for a newer picture.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Client {
    pub(super) fn on_subscribe(self: &Arc<Self>, request: Subscribe) {
        let reference = StreamRef { id: request.id, stream: request.stream };
        // First the reply, then the first observation.
        let reply = encode::frame(|out| reference.encode_subscribed(out));
        let checked = self.streams.check(self, &request);
        match checked {
            Ok(()) => {
                self.send(reply);
                self.streams.start(self, request);
            }
            Err(error) => self.refused(request.id, &error),
        }
    }

    pub(super) fn on_unsubscribe(&self, request: StreamRef) {
        self.streams.unsubscribe(request);
        self.send(encode::frame(|out| request.encode_unsubscribed(out)));
    }

    pub(super) fn on_configure(&self, request: &Configure) {
        let hub = &self.service.hub;
        let configured = {
            let mut state = self.state();
            state.views.configured(request, hub).map(|views| {
                let views = Arc::new(views);
                state.views = Arc::clone(&views);
                views
            })
        };
        match configured {
            Ok(views) => {
                let response = views.in_force(request, hub);
                self.send(encode::frame(|out| response.encode_response(out)));
            }
            Err(error) => self.refused(request.id, &error),
        }
    }

    pub(super) fn on_chunk(self: &Arc<Self>, frame: &Bytes, chunk: &ActionChunk, arrived: MonoTime) {
        match self.chunk(frame, chunk, arrived) {
            Ok(response) => self.send(encode::frame(|out| response.encode(out))),
            Err(error) => {
                self.service.dropped(error.code.name(), &self.peer(), &error.message);
                self.refused(chunk.id, &error);
            }
        }
    }

    fn chunk(
        self: &Arc<Self>,
        frame: &Bytes,
        chunk: &ActionChunk,
        arrived: MonoTime,
    ) -> Result<ChunkResponse, PolicyError> {
        let error = |code, text: String| PolicyError::new(code, text);
        if chunk.rows().0 > MAX_CHUNK {
            return Err(error(ErrorCode::TooLarge, format!("a chunk has at most {MAX_CHUNK} rows")));
        }
        let (service, peer) = (&self.service, self.peer());
        let rows = rows(frame, chunk, self, &peer, arrived, service.config.apply_non_finite);
        let rows =
            rows.ok_or_else(|| error(ErrorCode::NonFinite, "the chunk has values that are not finite".into()))?;
        let queued = service.queue(&peer, chunk, rows, arrived)?;
        let queued = queued.map_err(|refused| {
            let code = if refused == ChunkRefused::Order { ErrorCode::BadRequest } else { ErrorCode::Busy };
            error(code, refused.to_string())
        })?;
        let (dropped_late, queued) = (queued.dropped_late as u64, queued.queued as u64);
        service.stats.late(dropped_late);
        Ok(ChunkResponse { id: chunk.id, chunk: chunk.chunk, dropped_late, queued })
    }

    pub(super) fn on_stats(&self, id: RequestId) {
        let data = self.service.statistics(self.outbox.len(), self.streams.len());
        let response = StatsResponse { id, data };
        self.send(encode::frame(|out| response.encode(out)));
    }

    fn refused(&self, id: RequestId, error: &PolicyError) {
        let reaction = self.failure(self.caps(), Some(id), error.code, &error.message);
        self.enact(reaction);
    }

    /// Somebody takes an observation for the client, where it may take its time.
    pub(super) fn observe(self: &Arc<Self>, ticket: Ticket, fresh: Option<Freshness>) {
        let Some(Freshness { newer_than, wait_ms }) = fresh else { return self.service.observe(ticket) };
        let service = Arc::clone(&self.service);
        let wait = Duration::try_from_secs_f64(wait_ms.unwrap_or(0.0) / 1e3).unwrap_or(LONGEST_WAIT);
        self.service.threads.spawn(async move {
            let mut watch = service.hub.watch(None);
            let newer = async {
                loop {
                    watch.seen();
                    if is_newer(&watch.snapshot(), &newer_than) {
                        return;
                    }
                    watch.changed().await;
                }
            };
            // If none came, the client is told of those it has.
            let _ = timeout(wait.min(LONGEST_WAIT), newer).await;
            let observation = service.newest().await;
            // Pictures are scaled and packed where that may take its time.
            service.threads.clone().spawn_blocking(move || {
                ticket.answer_here(observation.map(|observation| Answer::Observation(observation, newer_than)));
            });
        });
    }
}

/// Whether there is a picture that the client has not, of the cameras that it asks for.
fn is_newer(sensors: &Snapshot, newer_than: &[(String, u64)]) -> bool {
    let mut asked = newer_than.iter().filter_map(|(name, n)| Some(sensors.camera(name)?.n > *n)).peekable();
    // Of cameras that are not there, there is nothing to wait for.
    asked.peek().is_none() || asked.any(|newer| newer)
}
