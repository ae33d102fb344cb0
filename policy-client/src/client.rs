//! The handle of a policy.

mod acting;
mod extensions;
mod observing;

pub use acting::{ChunkQueued, Step};
pub use observing::StreamOptions;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use waldo_protocol::policy::{AppMap, Capabilities, ClientId, Generation, ServerMessage, SimpleRequest};

use crate::common::{Common, Metadata};
use crate::connection::Reply;
use crate::keeper::keep;
use crate::requests::Call;
use crate::stats::Stats;
use crate::{Address, Error, Event, Latest, Lost, Observation, Options, State};

/// A policy's connection to a robot, kept for as long as this handle or a clone of it lives.
///
/// Calls can be made from any number of tasks at once; each gets its own reply. When the connection is lost, waiting
/// calls fail, [`latest_obs`](Self::latest_obs) says that it is stale, and the client looks for the server by itself.
/// Streams and dispatch go on once it is back.
#[derive(Clone)]
pub struct PolicyClient {
    shared: Arc<Shared>,
    _alive: Arc<DropGuard>,
}

pub(crate) struct Shared {
    pub(crate) common: Arc<Common>,
    pub(crate) current: crate::state::Current,
    closed: CancellationToken,
    stream: Mutex<Option<CancellationToken>>,
    dispatch: Mutex<Option<CancellationToken>>,
    player: Mutex<bool>,
}

impl PolicyClient {
    /// Connects to the robot at a URI: `ws://host:port`, `wss://host:port`, or `tcp/host:port` and `tls/host:port`
    /// for Zenoh.
    ///
    /// Waits until the server is there, for ever unless [`Options::connect_timeout`] says otherwise; one line is logged
    /// while it waits. Must be called within a tokio runtime that has time and I/O enabled.
    ///
    /// The client then belongs to the robot that answered: if the connection is lost it looks for that one and speaks to
    /// no other, as far as robots tell their ids.
    ///
    /// # Errors
    /// The URI is no address, the time is over, or the server refuses this client.
    pub async fn connect(uri: &str, options: Options) -> Result<Self, Error> {
        let address = Address::parse(uri)?;
        if matches!(address, Address::WebSocket { tls: true, .. }) && options.tls.is_none() {
            return Err(Error::Options("wss:// needs Options::tls, which says whose certificates are trusted"));
        }
        if let Address::Zenoh { locator, .. } = &address
            && locator.starts_with("tls/")
            && options.zenoh_ca.is_none()
            && options.zenoh_config.is_none()
        {
            return Err(Error::Options("tls/ needs Options::zenoh_ca, which says whose certificates are trusted"));
        }
        let limit = options.connect_timeout;
        let mut bits = [0; 8];
        getrandom::fill(&mut bits).map_err(|_| Error::Options("the system has no randomness for the client's id"))?;
        let client = ClientId::from_bits(u64::from_ne_bytes(bits));
        let shared = Arc::new(Shared {
            common: Arc::new(Common::new(options, client)),
            current: crate::state::Current::new(),
            closed: CancellationToken::new(),
            stream: Mutex::new(None),
            dispatch: Mutex::new(None),
            player: Mutex::new(false),
        });
        let alive = Arc::new(shared.closed.clone().drop_guard());
        let (first, outcome) = oneshot::channel();
        tokio::spawn({
            let (shared, address) = (Arc::clone(&shared), address.clone());
            async move {
                let closed = shared.closed.clone();
                // However the task ends, nobody shall wait for it.
                let shared = Keeping(shared);
                closed.run_until_cancelled(keep(Arc::clone(&shared.0), address, first)).await;
            }
        });
        // The sender is dropped when the first connection stands.
        let outcome = match limit {
            None => outcome.await,
            Some(limit) => tokio::time::timeout(limit, outcome).await.map_err(|_| Error::NoServer {
                address: address.to_string(),
                after: limit,
                last: shared.current.problem(),
            })?,
        };
        match outcome {
            Ok(refused) => Err(refused),
            Err(_) => Ok(Self { shared, _alive: alive }),
        }
    }

    /// Asks for the robot's facts.
    ///
    /// # Errors
    /// The call fails, see [`Error`].
    pub async fn metadata(&self) -> Result<Metadata, Error> {
        let connection = self.shared.current.connection()?;
        let common = &self.shared.common;
        let reply = connection.call(Call::Metadata, common.options.request_timeout, None, |id, out| {
            common.hello(connection.wanted, id).encode(out);
            Ok(())
        });
        match reply.await?.message {
            ServerMessage::Metadata(metadata) => Ok(Metadata { data: metadata.data, server: metadata.ext }),
            other => Err(unexpected(Call::Metadata, &other)),
        }
    }

    /// Starts an episode. Gives its first observation, which is also [`latest_obs`](Self::latest_obs), and what the
    /// application says about it.
    ///
    /// Empties the queue of actions before and after, unless [`Options::reset_clears_actions`] says otherwise.
    ///
    /// # Errors
    /// The call fails, see [`Error`].
    pub async fn reset(&self) -> Result<(Observation, AppMap), Error> {
        let connection = self.shared.current.connection()?;
        if self.shared.common.options.reset_clears_actions {
            self.clear_actions();
        }
        let limit = self.shared.common.options.reset_timeout;
        let reply = connection.call(Call::Reset, limit, None, |id, out| {
            SimpleRequest { id }.encode_reset(out);
            Ok(())
        });
        match reply.await? {
            Reply { observation: Some(observation), .. } => {
                let info = observation.info().cloned().unwrap_or_default();
                Ok((observation, info))
            }
            Reply { message, .. } => Err(unexpected(Call::Reset, &message)),
        }
    }

    /// The newest observation, whatever brought it; `None` before the first.
    pub fn latest_obs(&self) -> Option<Latest> {
        self.shared.common.latest.get()
    }

    /// Waits for an observation whose version is above `version`; 0 for any.
    ///
    /// # Errors
    /// None comes within `limit`.
    pub async fn newer_obs(&self, version: u64, limit: Duration) -> Result<Latest, Error> {
        let newer = tokio::time::timeout(limit, self.shared.common.latest.newer_than(version));
        match self.shared.closed.run_until_cancelled(newer).await {
            Some(Ok(Some(latest))) => Ok(latest),
            Some(_) => Err(Error::NoNewer { after: limit }),
            None => Err(Error::Closed),
        }
    }

    /// How the connection stands.
    pub fn state(&self) -> State {
        self.shared.current.state()
    }

    /// The state, and every change of it.
    pub fn watch_state(&self) -> watch::Receiver<State> {
        self.shared.current.watch()
    }

    /// Whether calls can be made.
    pub fn is_connected(&self) -> bool {
        self.state() == State::Ready
    }

    /// Waits until calls can be made.
    ///
    /// # Errors
    /// The client was closed.
    pub async fn ready(&self) -> Result<(), Error> {
        self.shared.current.ready().await.map(drop)
    }

    /// What happens from now on without having been asked for. A reader who is 64 events late misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.common.events.subscribe()
    }

    /// What both sides have beyond the original wire; nothing without a connection.
    pub fn extensions(&self) -> Capabilities {
        self.shared.current.connection().map_or(Capabilities::NONE, |connection| connection.caps)
    }

    /// Which kind of server it is. If nothing has told it yet, the server is asked for an observation, which takes a
    /// second if it is of the coupled generation.
    ///
    /// # Errors
    /// The call fails, see [`Error`].
    pub async fn generation(&self) -> Result<Generation, Error> {
        self.shared.current.connection()?.generation().await
    }

    /// What this client counted.
    pub fn stats(&self) -> Stats {
        let clock = self.shared.current.connection().ok().and_then(|connection| connection.clock());
        Stats {
            queue_len: self.queue_len(),
            clock_round_trip: clock.and_then(|clock| Duration::try_from_secs_f64(clock.round_trip).ok()),
            ..self.shared.common.counters.read(Instant::now())
        }
    }

    /// Id of this client object, as leases name it.
    pub fn id(&self) -> &ClientId {
        &self.shared.common.client
    }

    /// Ends streams, dispatch and connection, for all clones of the handle. Waiting calls fail.
    pub async fn close(&self) {
        self.shared.closed.cancel();
        // The keeper is the last to hear of it, and a dropped sender is no error.
        let _ = self.watch_state().wait_for(|state| *state == State::Closed).await;
    }
}

/// The client is closed when it is dropped.
struct Keeping(Arc<Shared>);

impl Drop for Keeping {
    fn drop(&mut self) {
        self.0.on_closed();
    }
}

impl Shared {
    fn on_closed(&self) {
        self.closed.cancel();
        if let Ok(connection) = self.current.connection() {
            self.on_lost(&connection, &Lost::Here);
        }
        self.common.queue.close(Error::Closed);
        self.set(State::Closed, None);
    }
}

impl std::fmt::Debug for PolicyClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyClient").field("id", self.id()).field("state", &self.state()).finish_non_exhaustive()
    }
}

/// A reply of the right type without what it must have: cannot happen, because types are checked where replies come in.
fn unexpected(call: Call, got: &ServerMessage) -> Error {
    Error::UnexpectedReply { call: call.name(), got: got.kind().to_owned() }
}

/// The period of a rate.
fn period(hz: f64) -> Result<Duration, Error> {
    if (0.001..=1000.0).contains(&hz) { Ok(Duration::from_secs_f64(1.0 / hz)) } else { Err(Error::Rate(hz)) }
}
