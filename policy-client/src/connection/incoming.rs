//! What comes in on a connection.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::MissedTickBehavior;
use waldo_protocol::policy::{
    CLOCK_EVERY, Capability, Credit, ErrorReply, GenerationProbe, PROBE_TIMEOUT, ServerMessage, request_id,
};

use super::{Connection, Owner, Reply};
use crate::link::{Lane, Receiver};
use crate::requests::{Call, Match};
use crate::stats::count;
use crate::{Error, Event, Lost, Observation};

/// How often a server of which nothing was heard is asked to say something.
const PING: Duration = Duration::from_secs(2);

/// A server of which nothing was heard for so long is gone.
const SILENCE: Duration = Duration::from_secs(10);

impl Connection {
    /// Hands what comes to whom it belongs, until the end. Exchanges clocks now and then.
    pub(crate) async fn run(self: &Arc<Self>, receiver: &mut Receiver) -> Lost {
        tokio::select! {
            biased;
            lost = self.ended() => lost,
            lost = self.receive(receiver) => lost,
            lost = self.keep_clock() => lost,
            lost = self.listen() => lost,
            () = self.watch_probe() => self.ended().await,
        }
    }

    async fn receive(self: &Arc<Self>, receiver: &mut Receiver) -> Lost {
        // The link may outlive its connection by a moment.
        let connection = Arc::downgrade(self);
        let handler = move |frame: &Bytes| connection.upgrade().map_or(Ok(()), |connection| connection.on_frame(frame));
        receiver.run(Box::new(handler)).await
    }

    async fn keep_clock(&self) -> Lost {
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(CLOCK_EVERY));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.caps.has(Capability::Clock) {
            ticks.tick().await;
            // Nothing but the mapping depends on it; a server that says nothing at all ends the connection by itself.
            let _ = self.exchange_clocks().await;
        }
        std::future::pending().await
    }

    /// Notices a server that is gone without a word. While a call waits, its own limit counts: it may be one that keeps
    /// the server from answering pings.
    async fn listen(&self) -> Lost {
        let (mut heard, mut since) = (self.sender.heard(), Instant::now());
        while heard.is_some() {
            tokio::time::sleep(PING).await;
            let now = self.sender.heard();
            if now != heard || self.exchange().requests.is_waiting() {
                (heard, since) = (now, Instant::now());
                continue;
            }
            if since.elapsed() > SILENCE {
                return Lost::Silent { call: "ping" };
            }
            self.sender.ping();
        }
        std::future::pending().await
    }

    /// Waits for a server that does not answer the request that tells its generation.
    async fn watch_probe(&self) {
        let mut next = None;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if self.known_generation().is_some() {
                return std::future::pending().await;
            }
            let exchange = self.exchange();
            if exchange.requests.is_probe_next() {
                let since = *next.get_or_insert_with(Instant::now);
                if since.elapsed().as_secs_f64() > PROBE_TIMEOUT {
                    drop(exchange);
                    self.generation.send_modify(GenerationProbe::on_silence);
                }
            } else if exchange.probed && !exchange.requests.is_waiting_for_probe() {
                // It was overtaken by the reply to a later request.
                drop(exchange);
                self.generation.send_modify(GenerationProbe::on_silence);
            }
        }
    }

    /// # Errors
    /// The connection has to be given up.
    fn on_frame(&self, frame: &Bytes) -> Result<(), Lost> {
        let at = Instant::now();
        self.heard.fetch_add(1, Ordering::Relaxed);
        let counters = &self.common.counters;
        count(&counters.frames_in, 1);
        count(&counters.bytes_in, frame.len() as u64);
        let message = match ServerMessage::decode(frame, self.caps) {
            Ok(message) => message,
            Err(error) => {
                count(&counters.malformed, 1);
                tracing::debug!(%error, "the server sent a frame that cannot be read");
                let id = request_id(frame).filter(|_| self.caps.has(Capability::Id));
                let concerned = {
                    let mut exchange = self.exchange();
                    let concerned = exchange.requests.on_unreadable(id);
                    exchange.refresh();
                    concerned
                };
                return match concerned {
                    // It may have been one of a stream, which ends without credit.
                    None => match self.stream.load(Ordering::Relaxed) {
                        0 => Ok(()),
                        stream => self.give_credit(stream),
                    },
                    Some((call, owner, sure)) => {
                        let lost = Lost::Protocol(format!("{}: {error}", call.name()));
                        // Nobody may be waiting.
                        let _ = owner.reply.send(Err(Error::Malformed { call: call.name(), error }));
                        if sure { Ok(()) } else { Err(lost) }
                    }
                };
            }
        };
        self.generation.send_if_modified(|probe| probe.on_message(&message));
        match message {
            ServerMessage::Push(_) => self.on_push(message, frame, at),
            ServerMessage::LeaseEvent(event) => {
                self.common.tell(Event::Lease(event));
                Ok(())
            }
            ServerMessage::Error(reply @ ErrorReply { id: None, .. }) => {
                tracing::debug!(code = reply.code.name(), message = %reply.message, "the server reports an error");
                self.common.tell(Event::Server(reply));
                Ok(())
            }
            ServerMessage::Unknown { .. } => {
                count(&counters.stray, 1);
                Ok(())
            }
            message => self.on_reply(message, frame, at),
        }
    }

    fn on_reply(&self, mut message: ServerMessage, frame: &Bytes, at: Instant) -> Result<(), Lost> {
        let matched = {
            let mut exchange = self.exchange();
            let matched = exchange.requests.on_reply(&message);
            exchange.refresh();
            matched
        };
        match matched {
            Match::Reply(call, owner) => {
                let Owner { reply, sent, place, same, .. } = owner;
                self.sender.answered(place);
                match &message {
                    ServerMessage::Clock(clock) => {
                        let t3 = self.common.seconds(at);
                        self.clock.lock().unwrap_or_else(PoisonError::into_inner).add(clock, t3);
                    }
                    ServerMessage::Metadata(metadata) => self.common.on_metadata(metadata),
                    _ => {}
                }
                let error = matches!(message, ServerMessage::Error(_));
                self.common.counters.on_call(call, (!error).then(|| at.saturating_duration_since(sent)));
                let observation = Observation::take(&mut message, frame, at, same.as_ref());
                if call == Call::Reset && !error && self.common.options.reset_clears_actions {
                    count(&self.common.counters.actions_cleared, self.common.queue.clear() as u64);
                }
                if let Some(observation) = &observation
                    && self.is_newest(call, sent)
                {
                    self.on_observation(observation.clone(), at);
                }
                // Nobody may be waiting any more.
                let _ = reply.send(Ok(Reply { message, observation }));
                Ok(())
            }
            Match::Misfit(call, owner) => {
                let got = message.kind().to_owned();
                let lost = Lost::Protocol(format!("the server answered {} with {got}", call.name()));
                let _ = owner.reply.send(Err(Error::UnexpectedReply { call: call.name(), got }));
                Err(lost)
            }
            Match::Stray => {
                count(&self.common.counters.stray, 1);
                tracing::debug!(kind = message.kind(), "the server sent a reply that was not asked for");
                Ok(())
            }
        }
    }

    fn on_push(&self, mut message: ServerMessage, frame: &Bytes, at: Instant) -> Result<(), Lost> {
        let ServerMessage::Push(push) = &message else { return Ok(()) };
        let mark = push.mark;
        // The rest of a stream that was ended.
        if mark.stream != self.stream.load(Ordering::Relaxed) {
            return Ok(());
        }
        count(&self.common.counters.skipped, mark.skipped);
        if let Some(observation) = Observation::take(&mut message, frame, at, None) {
            self.on_observation(observation, at);
        }
        self.give_credit(mark.stream)
    }

    fn give_credit(&self, stream: u64) -> Result<(), Lost> {
        let mut credit = Vec::new();
        Credit { stream, add: 1 }.encode(&mut credit);
        self.write(credit, Lane::Other).map(drop)
    }

    /// Whether an observation is not older than one that is there already: answers with ids may overtake each other.
    fn is_newest(&self, call: Call, sent: Instant) -> bool {
        if call != Call::Observation {
            return true;
        }
        let mut exchange = self.exchange();
        let newest = exchange.newest.is_none_or(|newest| newest <= sent);
        if newest {
            exchange.newest = Some(sent);
        }
        newest
    }

    fn on_observation(&self, observation: Observation, at: Instant) {
        self.common.counters.on_observation(at);
        self.common.latest.put(observation);
    }
}
