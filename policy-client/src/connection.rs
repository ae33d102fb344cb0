//! One connection: requests out, replies to their owners.

mod incoming;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use waldo_protocol::policy::{
    Capabilities, Capability, ClientExt, ClockMap, ClockMapping, ClockRequest, Generation, GenerationProbe, Limits,
    MetadataRequest, MetadataResponse, ObsRequest, PROBE_TIMEOUT, RequestId, ServerMessage,
};

use crate::common::Common;
use crate::link::{Lane, Link, Receiver, Sender};
use crate::requests::{Call, Requests};
use crate::stats::count;
use crate::{Error, Lost, Observation};

/// Requests that may wait for replies at a server that does not say how many it takes. The original keeps 16 messages.
const INFLIGHT: usize = 8;

/// Most requests that wait at any server.
const MAX_INFLIGHT: usize = 1024;

/// A connection to a server that has answered.
pub(crate) struct Connection {
    common: Arc<Common>,
    sender: Sender,
    /// What both sides have.
    pub(crate) caps: Capabilities,
    pub(crate) limits: Limits,
    /// Requests that may wait for their replies.
    pub(crate) inflight: usize,
    requests: Mutex<Exchange>,
    permits: Arc<Semaphore>,
    generation: Mutex<GenerationProbe>,
    /// One probe at a time.
    probing: tokio::sync::Mutex<()>,
    clock: Mutex<ClockMap>,
    /// Frames received, to tell a slow server from one that is gone.
    heard: AtomicU64,
    /// Number of the stream that is subscribed to; 0: none.
    pub(crate) stream: AtomicU64,
    /// Why the connection is to end, or has ended.
    end: watch::Sender<Option<Lost>>,
}

struct Exchange {
    requests: Requests<Owner>,
    /// After the end no request is taken.
    ended: Option<Lost>,
}

/// Who waits for a reply.
struct Owner {
    reply: oneshot::Sender<Result<Reply, Error>>,
    sent: Instant,
    /// The observation whose pictures the server may leave out.
    same: Option<Observation>,
    /// Held until the reply is there.
    _permit: OwnedSemaphorePermit,
}

/// A reply, already taken from its frame.
pub(crate) struct Reply {
    pub(crate) message: ServerMessage,
    /// The observation that was in it.
    pub(crate) observation: Option<Observation>,
}

impl Connection {
    /// Asks for the metadata, and with them for extensions.
    pub(crate) async fn open(common: Arc<Common>, link: Link) -> Result<(Self, Receiver), Lost> {
        let Link { sender, mut receiver, hello_every } = link;
        let mut hello = Vec::new();
        common.hello(None).encode(&mut hello);
        let (metadata, hellos) = match tokio::time::timeout(
            common.options.request_timeout,
            greet(&sender, &mut receiver, &hello, hello_every),
        )
        .await
        {
            Ok(result) => result?,
            Err(_) => return Err(Lost::Silent { call: Call::Metadata.name() }),
        };
        common.on_metadata(&metadata);
        let caps = metadata.agreed(common.options.extensions);
        let limits = metadata.ext.as_ref().map_or_else(Limits::default, |ext| ext.limits);
        let inflight = match caps.has(Capability::Id) {
            true => usize::try_from(limits.max_inflight).unwrap_or(MAX_INFLIGHT).clamp(1, MAX_INFLIGHT),
            false => INFLIGHT,
        };
        let mut generation = GenerationProbe::default();
        generation.on_message(&ServerMessage::Metadata(metadata));
        let connection = Self {
            sender,
            caps,
            limits,
            inflight,
            requests: Mutex::new(Exchange { requests: Requests::new(hellos - 1), ended: None }),
            permits: Arc::new(Semaphore::new(inflight)),
            generation: Mutex::new(generation),
            probing: tokio::sync::Mutex::default(),
            clock: Mutex::default(),
            heard: AtomicU64::new(0),
            stream: AtomicU64::new(0),
            end: watch::Sender::new(None),
            common,
        };
        Ok((connection, receiver))
    }

    fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request from the caller's own thread and waits for its reply.
    ///
    /// If the future is dropped, the reply finds nobody, and nobody else gets it.
    pub(crate) async fn call(
        &self,
        call: Call,
        limit: Duration,
        same: Option<Observation>,
        encode: impl FnOnce(Option<RequestId>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<Reply, Error> {
        let heard = self.heard.load(Ordering::Relaxed);
        let exchange = async {
            let permit = match Arc::clone(&self.permits).try_acquire_owned() {
                Ok(permit) => permit,
                // It is never closed, but then the connection would be lost.
                Err(_) => Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Error::NotConnected)?,
            };
            let reply = self.send(call, permit, same, encode)?;
            // An owner that is dropped without a word is a probe that was given up.
            reply.await.unwrap_or(Err(Error::Timeout { call: call.name(), after: limit }))
        };
        let result = match tokio::time::timeout(limit, exchange).await {
            Ok(result) => result,
            Err(_) => {
                self.on_timeout(call, heard);
                Err(Error::Timeout { call: call.name(), after: limit })
            }
        };
        match result {
            Ok(Reply { message: ServerMessage::Error(reply), .. }) => Err(Error::Server { call: call.name(), reply }),
            Err(error) => {
                self.common.counters.on_call(call, None);
                Err(error)
            }
            reply => reply,
        }
    }

    fn send(
        &self,
        call: Call,
        permit: OwnedSemaphorePermit,
        same: Option<Observation>,
        encode: impl FnOnce(Option<RequestId>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<oneshot::Receiver<Result<Reply, Error>>, Error> {
        // Under the lock, so that requests are written in the order in which replies are expected.
        let mut exchange = self.exchange();
        if let Some(lost) = &exchange.ended {
            return Err(lost.clone().into());
        }
        let has_id = call.is_extension() || self.caps.has(Capability::Id);
        let id = has_id.then(|| self.common.next_id());
        let mut frame = Vec::with_capacity(128);
        encode(id, &mut frame)?;
        let (reply, receiver) = oneshot::channel();
        exchange.requests.add(id, call, Owner { reply, sent: Instant::now(), same, _permit: permit });
        let lane = if matches!(call, Call::Step | Call::Chunk) { Lane::Action } else { Lane::Other };
        self.write(frame, lane).inspect_err(|lost| self.fail(lost.clone()))?;
        Ok(receiver)
    }

    fn write(&self, frame: Vec<u8>, lane: Lane) -> Result<(), Lost> {
        count(&self.common.counters.bytes_out, frame.len() as u64);
        self.sender.send(frame, lane)
    }

    /// Sends what has no reply.
    pub(crate) fn post(&self, frame: Vec<u8>, lane: Lane) -> Result<(), Error> {
        self.write(frame, lane).map_err(|lost| {
            self.fail(lost.clone());
            lost.into()
        })
    }

    /// Without ids the order of replies is lost with the reply; with ids the connection is given up only if nothing at
    /// all comes from the server.
    fn on_timeout(&self, call: Call, heard: u64) {
        if call == Call::Probe {
            return;
        }
        let ordered = !(call.is_extension() || self.caps.has(Capability::Id));
        let silent = self.heard.load(Ordering::Relaxed) == heard;
        if ordered || silent || self.permits.available_permits() == 0 {
            self.fail(Lost::Silent { call: call.name() });
        }
    }

    /// Ends the connection.
    pub(crate) fn fail(&self, lost: Lost) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            end.get_or_insert(lost);
            first
        });
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) -> Lost {
        match self.end.subscribe().wait_for(Option::is_some).await.as_deref() {
            Ok(Some(lost)) => lost.clone(),
            _ => Lost::Here,
        }
    }

    /// Fails everything that waits, and says goodbye.
    pub(crate) fn close(&self, lost: &Lost) {
        self.fail(lost.clone());
        let mut exchange = self.exchange();
        exchange.ended.get_or_insert_with(|| lost.clone());
        let owners: Vec<Owner> = exchange.requests.drain().map(|(_, owner)| owner).collect();
        drop(exchange);
        for owner in owners {
            // Nobody may be waiting.
            let _ = owner.reply.send(Err(lost.clone().into()));
        }
        self.sender.close();
    }

    /// An error unless both sides have the extension.
    pub(crate) fn needs(&self, capability: Capability) -> Result<(), Error> {
        if self.caps.has(capability) { Ok(()) } else { Err(Error::NotNegotiated(capability)) }
    }

    /// What is known of the server's generation.
    pub(crate) fn known_generation(&self) -> Option<Generation> {
        self.generation.lock().unwrap_or_else(PoisonError::into_inner).known()
    }

    /// The server's generation; asks the server for an observation if it is not known yet, which takes up to a second.
    pub(crate) async fn generation(&self) -> Result<Generation, Error> {
        loop {
            if let Some(generation) = self.known_generation() {
                return Ok(generation);
            }
            let one_at_a_time = self.probing.lock().await;
            if self.known_generation().is_some() {
                continue;
            }
            let limit = Duration::from_secs_f64(PROBE_TIMEOUT);
            let result = self.call(Call::Probe, limit, None, |id, out| {
                ObsRequest { fresh: None, id }.encode(out);
                Ok(())
            });
            match result.await {
                Ok(_) => {}
                Err(Error::Timeout { .. }) => {
                    self.exchange().requests.give_up_probe();
                    self.generation.lock().unwrap_or_else(PoisonError::into_inner).on_silence();
                }
                Err(error) => return Err(error),
            }
            drop(one_at_a_time);
        }
    }

    /// How the clocks relate, as far as it was measured.
    pub(crate) fn clock(&self) -> Option<ClockMapping> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).best()
    }

    /// Exchanges clocks; the reply is added where it is received.
    pub(crate) async fn exchange_clocks(&self) -> Result<(), Error> {
        self.needs(Capability::Clock)?;
        let encode = |id: Option<RequestId>, out: &mut Vec<u8>| {
            let id = id.unwrap_or(RequestId::FIRST);
            ClockRequest { id, t0: self.common.seconds(Instant::now()) }.encode(out);
            Ok(())
        };
        self.call(Call::Clock, self.common.options.request_timeout, None, encode).await.map(drop)
    }
}

impl Common {
    /// The request that asks for metadata and extensions.
    pub(crate) fn hello(&self, id: Option<RequestId>) -> MetadataRequest {
        let ext = (self.options.extensions != Capabilities::NONE).then(|| ClientExt {
            v: waldo_protocol::policy::EXT_VERSION,
            impl_name: concat!("waldo/", env!("CARGO_PKG_VERSION")).to_owned(),
            want: self.options.extensions,
            client: Some(self.client.clone()),
        });
        MetadataRequest { ext, id }
    }
}

/// The answer to the first request, and how often it was sent.
async fn greet(
    sender: &Sender,
    receiver: &mut Receiver,
    hello: &[u8],
    every: Option<Duration>,
) -> Result<(MetadataResponse, u32), Lost> {
    let mut hellos = 0;
    loop {
        sender.send(hello.to_vec(), Lane::Other)?;
        hellos += 1;
        let answer = async {
            loop {
                let frame = receiver.next().await?;
                match ServerMessage::decode(&frame, Capabilities::NONE) {
                    Ok(ServerMessage::Metadata(metadata)) => return Ok(metadata),
                    // From before this connection, where that is possible.
                    _ if every.is_some() => {}
                    Ok(other) => {
                        let problem = format!("the server answered metadata with {}", other.kind());
                        return Err(Lost::Protocol(problem));
                    }
                    Err(error) => return Err(Lost::Protocol(format!("metadata: {error}"))),
                }
            }
        };
        match every {
            None => return answer.await.map(|metadata| (metadata, hellos)),
            Some(every) => {
                if let Ok(metadata) = tokio::time::timeout(every, answer).await {
                    return Ok((metadata?, hellos));
                }
            }
        }
    }
}
