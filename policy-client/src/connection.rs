//! One connection: requests out, replies to their owners.

mod incoming;
mod limits;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use waldo_protocol::policy::{
    Capabilities, Capability, ClientExt, ClockMap, ClockMapping, ClockRequest, Configure, Generation, GenerationProbe,
    Limits, MetadataRequest, MetadataResponse, ObsRequest, RequestId, ServerMessage,
};

use crate::common::{Common, Configured};
use crate::link::{Lane, Link, Receiver, Sender};
use crate::requests::{Call, Overdue, Requests};
use crate::stats::count;
use crate::{Error, Event, Lost, Observation};

/// Requests that may wait for replies at a server that does not say how many it takes. The original keeps 16 messages.
const INFLIGHT: usize = 8;

/// Most requests that wait at any server.
const MAX_INFLIGHT: usize = 1024;

/// A connection to a server that has answered.
pub(crate) struct Connection {
    common: Arc<Common>,
    sender: Sender,
    /// What this side asked for.
    pub(crate) wanted: Capabilities,
    /// What both sides have.
    pub(crate) caps: Capabilities,
    pub(crate) limits: Limits,
    /// Requests that may wait for their replies.
    pub(crate) inflight: usize,
    requests: Mutex<Exchange>,
    permits: Arc<Semaphore>,
    pub(crate) generation: watch::Sender<GenerationProbe>,
    clock: Mutex<ClockMap>,
    /// Frames received, to tell a slow server from one that is gone.
    heard: AtomicU64,
    /// Number of the stream that is subscribed to; 0: none.
    pub(crate) stream: AtomicU64,
    /// Whether replies may still come when the connection has ended, to the next one.
    outlived: bool,
    /// Why the connection is to end, or has ended.
    end: watch::Sender<Option<Lost>>,
}

struct Exchange {
    requests: Requests<Owner>,
    /// Serial number of the oldest request, and since when it is the oldest: before, the server had others to answer.
    oldest: Option<(u64, Instant)>,
    /// The request that tells the generation was sent.
    probed: bool,
    /// When the newest request for an observation was sent that was answered.
    newest: Option<Instant>,
    /// After the end no request is taken.
    ended: Option<Lost>,
}

/// Who waits for a reply.
struct Owner {
    reply: oneshot::Sender<Result<Reply, Error>>,
    sent: Instant,
    /// What the sender wants to know when the reply is there.
    place: u64,
    /// The observation whose pictures the server may leave out.
    same: Option<Observation>,
    /// How long the server may take once it has nothing older to answer.
    limit: Duration,
    /// Held until the reply is there, or nobody waits for it any more.
    permit: Option<OwnedSemaphorePermit>,
}

impl Exchange {
    fn refresh(&mut self) {
        let serial = self.requests.oldest().map(|(serial, ..)| serial);
        if serial != self.oldest.map(|(serial, _)| serial) {
            self.oldest = serial.map(|serial| (serial, Instant::now()));
        }
    }
}

type Waiting = oneshot::Receiver<Result<Reply, Error>>;

/// A reply, already taken from its frame.
pub(crate) struct Reply {
    pub(crate) message: ServerMessage,
    /// The observation that was in it.
    pub(crate) observation: Option<Observation>,
}

impl Connection {
    /// Asks for the metadata, and with them for extensions.
    pub(crate) async fn open(common: Arc<Common>, link: Link) -> Result<(Self, Receiver), Lost> {
        let Link { sender, mut receiver, hello_every, extensions, robot } = link;
        let wanted = if extensions { common.options.extensions } else { Capabilities::NONE };
        let mut hello = Vec::new();
        common.hello(wanted, None).encode(&mut hello);
        let greeting = greet(&sender, &mut receiver, &hello, hello_every, &common.overdue);
        let metadata = match tokio::time::timeout(common.options.request_timeout, greeting).await {
            Ok(result) => result?,
            Err(_) => return Err(Lost::Silent { call: Call::Metadata.name() }),
        };
        let surplus = if hello_every.is_some() { common.overdue().metadata } else { 0 };
        if let Some(robot) = metadata.ext.as_ref().and_then(|ext| ext.robot.clone()).or(robot) {
            common.meet(robot)?;
        }
        common.on_metadata(&metadata);
        let caps = metadata.agreed(wanted);
        let limits = metadata.ext.as_ref().map_or_else(Limits::default, |ext| ext.limits);
        let inflight = match caps.has(Capability::Id) {
            true => usize::try_from(limits.max_inflight).unwrap_or(MAX_INFLIGHT).clamp(1, MAX_INFLIGHT),
            false => INFLIGHT,
        };
        let mut generation = GenerationProbe::default();
        generation.on_message(&ServerMessage::Metadata(metadata));
        let connection = Self {
            sender,
            wanted,
            caps,
            limits,
            inflight,
            requests: Mutex::new(Exchange {
                requests: Requests::new(surplus),
                oldest: None,
                probed: false,
                newest: None,
                ended: None,
            }),
            permits: Arc::new(Semaphore::new(inflight)),
            generation: watch::Sender::new(generation),
            clock: Mutex::default(),
            heard: AtomicU64::new(0),
            stream: AtomicU64::new(0),
            outlived: hello_every.is_some(),
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
        let heard = self.heard();
        let timed_out = || Error::Timeout { call: call.name(), after: limit };
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Ok(permit),
            // They come back when replies come, or are waited for in vain.
            Err(_) => match tokio::time::timeout(limit, Arc::clone(&self.permits).acquire_owned()).await {
                Ok(permit) => permit.map_err(|_| Lost::Here.into()),
                Err(_) => Err(timed_out()),
            },
        };
        let sent = permit.and_then(|permit| self.send(call, Some(permit), limit, same, encode));
        let result = match sent {
            Err(error) => Err(error),
            Ok((serial, mut reply)) => loop {
                let wait = self.wait(call, serial, limit);
                match tokio::time::timeout(wait, &mut reply).await {
                    // An owner without a word cannot be; it would be a lost reply.
                    Ok(result) => break result.unwrap_or_else(|_| Err(timed_out())),
                    Err(_) if self.is_over(call, serial, heard) => break Err(timed_out()),
                    // The server had older requests to answer, or the connection ends just now.
                    Err(_) => {}
                }
            },
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

    /// As [`call`](Self::call), for what only servers with extensions know: such requests have an id.
    pub(crate) async fn ask(
        &self,
        call: Call,
        encode: impl FnOnce(RequestId, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<Reply, Error> {
        debug_assert!(call.is_extension());
        let limit = self.common.options.request_timeout;
        self.call(call, limit, None, |id, out| encode(id.unwrap_or(RequestId::FIRST), out)).await
    }

    fn send(
        &self,
        call: Call,
        permit: Option<OwnedSemaphorePermit>,
        limit: Duration,
        same: Option<Observation>,
        encode: impl FnOnce(Option<RequestId>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(u64, Waiting), Error> {
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
        let sent = Instant::now();
        let lane = if matches!(call, Call::Step | Call::Chunk) { Lane::Action } else { Lane::Request };
        let place = self.write(frame, lane).inspect_err(|lost| self.fail(lost.clone()))?;
        // No reply is looked at before the lock is free.
        let serial = exchange.requests.add(id, call, Owner { reply, sent, place, same, limit, permit });
        exchange.refresh();
        Ok((serial, receiver))
    }

    fn write(&self, frame: Vec<u8>, lane: Lane) -> Result<u64, Lost> {
        count(&self.common.counters.bytes_out, frame.len() as u64);
        self.sender.send(frame, lane)
    }

    /// Sends what has no reply. Encoded in the order in which it is written.
    pub(crate) fn post(&self, lane: Lane, encode: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>) -> Result<(), Error> {
        let exchange = self.exchange();
        if let Some(lost) = &exchange.ended {
            return Err(lost.clone().into());
        }
        let mut frame = Vec::with_capacity(256);
        encode(&mut frame)?;
        self.write(frame, lane).map(drop).map_err(|lost| {
            self.fail(lost.clone());
            lost.into()
        })
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
        if exchange.ended.is_none() {
            exchange.ended = Some(lost.clone());
            if self.outlived {
                *self.common.overdue() = exchange.requests.overdue();
            }
        }
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
        self.generation.borrow().known()
    }

    /// The server's generation. If it is not known yet, the server is asked for an observation, once; it may take a
    /// second, after everything that was asked before.
    pub(crate) async fn generation(&self) -> Result<Generation, Error> {
        if let Some(generation) = self.known_generation() {
            return Ok(generation);
        }
        if !std::mem::replace(&mut self.exchange().probed, true) {
            let encode = |id: Option<RequestId>, out: &mut Vec<u8>| {
                ObsRequest { fresh: None, id }.encode(out);
                Ok(())
            };
            // Its answer is looked at where it comes in; whether it comes at all, by `watch_probe`.
            self.send(Call::Probe, None, Duration::MAX, None, encode)?;
        }
        let mut watch = self.generation.subscribe();
        tokio::select! {
            known = watch.wait_for(|probe| probe.known().is_some()) => {
                known.ok().and_then(|probe| probe.known()).ok_or(Error::Lost(Lost::Here))
            }
            lost = self.ended() => Err(lost.into()),
        }
    }

    /// How the clocks relate, as far as it was measured.
    pub(crate) fn clock(&self) -> Option<ClockMapping> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).best()
    }

    /// Asks once more for settings of cameras, before anything else is asked; a refusal is told as an event.
    pub(crate) fn configure_again(&self, Configured { cameras, align }: Configured) -> Result<(), Error> {
        let encode = |id: Option<RequestId>, out: &mut Vec<u8>| {
            Configure { id: id.unwrap_or(RequestId::FIRST), cameras, align }.encode(out);
            Ok(())
        };
        let (_, reply) = self.send(Call::Configure, None, Duration::MAX, None, encode)?;
        let common = Arc::clone(&self.common);
        self.common.runtime.spawn(async move {
            if let Ok(Ok(Reply { message: ServerMessage::Error(reply), .. })) = reply.await {
                common.tell(Event::Configure(Error::Server { call: Call::Configure.name(), reply }));
            }
        });
        Ok(())
    }

    /// Exchanges clocks; the reply is added where it is received.
    pub(crate) async fn exchange_clocks(&self) -> Result<(), Error> {
        self.needs(Capability::Clock)?;
        let asked = self.ask(Call::Clock, |id, out| {
            ClockRequest { id, t0: self.common.seconds(Instant::now()) }.encode(out);
            Ok(())
        });
        asked.await.map(drop)
    }
}

impl Common {
    /// The request that asks for metadata and extensions.
    pub(crate) fn hello(&self, want: Capabilities, id: Option<RequestId>) -> MetadataRequest {
        let ext = (want != Capabilities::NONE).then(|| ClientExt {
            v: waldo_protocol::policy::EXT_VERSION,
            impl_name: concat!("waldo/", env!("CARGO_PKG_VERSION")).to_owned(),
            want,
            client: Some(self.client.clone()),
        });
        MetadataRequest { ext, id }
    }
}

/// The answer to the first request.
///
/// Where replies to earlier connections may come too it is repeated until one comes that cannot be any of theirs.
async fn greet(
    sender: &Sender,
    receiver: &mut Receiver,
    hello: &[u8],
    every: Option<Duration>,
    overdue: &Mutex<Overdue>,
) -> Result<MetadataResponse, Lost> {
    let overdue = || overdue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        sender.send(hello.to_vec(), Lane::Other)?;
        if every.is_some() {
            overdue().asked();
        }
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
        let Some(every) = every else { return answer.await };
        if let Ok(metadata) = tokio::time::timeout(every, answer).await {
            let metadata = metadata?;
            if overdue().answered() {
                return Ok(metadata);
            }
        }
    }
}
