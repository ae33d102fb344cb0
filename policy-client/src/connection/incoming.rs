//! What comes in on a connection.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::MissedTickBehavior;
use waldo_protocol::policy::{CLOCK_EVERY, Capability, Credit, ErrorReply, ServerMessage, request_id};

use super::{Connection, Owner, Reply};
use crate::link::{Lane, Receiver};
use crate::requests::Match;
use crate::stats::count;
use crate::{Error, Event, Lost, Observation};

impl Connection {
    /// Hands what comes to whom it belongs, until the end. Exchanges clocks now and then.
    pub(crate) async fn run(&self, receiver: &mut Receiver) -> Lost {
        tokio::select! {
            biased;
            lost = self.ended() => lost,
            lost = self.receive(receiver) => lost,
            lost = self.keep_clock() => lost,
        }
    }

    async fn receive(&self, receiver: &mut Receiver) -> Lost {
        loop {
            let result = match receiver.next().await {
                Ok(frame) => self.on_frame(&frame),
                Err(lost) => Err(lost),
            };
            if let Err(lost) = result {
                return lost;
            }
        }
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
                let concerned = self.exchange().requests.on_unreadable(id);
                return match concerned {
                    None => Ok(()),
                    Some((call, owner, sure)) => {
                        let lost = Lost::Protocol(format!("{}: {error}", call.name()));
                        // Nobody may be waiting.
                        let _ = owner.reply.send(Err(Error::Malformed { call: call.name(), error }));
                        if sure { Ok(()) } else { Err(lost) }
                    }
                };
            }
        };
        self.generation.lock().unwrap_or_else(PoisonError::into_inner).on_message(&message);
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
        let matched = self.exchange().requests.on_reply(&message);
        match matched {
            Match::Reply(call, owner) => {
                let Owner { reply, sent, same, _permit } = owner;
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
                if let Some(observation) = &observation {
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
            Match::Probe => {
                if let Some(observation) = Observation::take(&mut message, frame, at, None) {
                    self.on_observation(observation, at);
                }
                Ok(())
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
        let mut credit = Vec::new();
        Credit { stream: mark.stream, add: 1 }.encode(&mut credit);
        self.write(credit, Lane::Other)
    }

    fn on_observation(&self, observation: Observation, at: Instant) {
        self.common.counters.on_observation(at);
        self.common.latest.put(observation);
    }
}
