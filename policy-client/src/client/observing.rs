//! Observations, one by one and as a stream.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use waldo_protocol::policy::{Capability, Freshness, Generation, ObsRequest, StreamRef, Subscribe};

use super::{PolicyClient, Shared, period, unexpected};
use crate::connection::{Connection, Reply};
use crate::requests::Call;
use crate::{Error, Event, Observation};

/// Observations that a server may push before the first was taken.
const CREDIT: u64 = 2;

/// Longest wait after a stream could not be started.
const RETRY: Duration = Duration::from_secs(1);

/// How a stream of observations is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamOptions {
    /// Observations per second; 0: each new one, from servers that push.
    pub hz: f64,
    /// Whether the server sends by itself if it can; true. Otherwise each observation is asked for.
    pub push: bool,
    /// Observations that are asked for before the first of them came, if they are asked for one by one; 1. More make a
    /// stream faster than the way to the server and back allows. At most what the server takes.
    pub inflight: usize,
    /// Only these cameras, from servers that push; `None`: all.
    pub cameras: Option<Vec<String>>,
    /// Only these proprioception streams, from servers that push; `None`: all.
    pub proprios: Option<Vec<String>>,
    /// Whether depth is sent, by servers that push; `None`: as it is configured.
    pub depth: Option<bool>,
}

impl StreamOptions {
    /// So many observations per second of everything; pushed if the server can.
    pub fn hz(hz: f64) -> Self {
        Self { hz, push: true, inflight: 1, cameras: None, proprios: None, depth: None }
    }
}

impl Default for StreamOptions {
    /// 30 per second.
    fn default() -> Self {
        Self::hz(crate::DEFAULT_STREAM_HZ)
    }
}

impl PolicyClient {
    /// Asks for an observation, which is then also [`latest_obs`](Self::latest_obs). A server of the coupled generation
    /// sends them with reset and step only; of such a one it is the newest of those.
    ///
    /// # Errors
    /// The call fails, see [`Error`].
    pub async fn observation(&self) -> Result<Observation, Error> {
        self.shared.observation(&*self.shared.current.connection()?).await
    }

    /// Asks for an observation in which at least one picture is newer than in `than`; waits up to `wait` for it at the
    /// server. Pictures that did not change are not sent again but taken from `than`.
    ///
    /// # Errors
    /// The server does not have the extension `fresh`, or the call fails, see [`Error`].
    pub async fn observation_newer(&self, than: &Observation, wait: Duration) -> Result<Observation, Error> {
        let connection = self.shared.current.connection()?;
        connection.needs(Capability::Fresh)?;
        let fresh = Freshness { newer_than: than.counters(), wait_ms: Some(wait.as_secs_f64() * 1000.0) };
        let limit = self.shared.common.options.request_timeout.saturating_add(wait);
        request(&connection, limit, Some(than.clone()), Some(fresh)).await
    }

    /// Keeps [`latest_obs`](Self::latest_obs) new, `hz` times a second: 30 is customary. Pushed by the server if it can,
    /// asked for one by one otherwise. A stream that runs already goes on with the new rate. Lost connections
    /// interrupt it.
    ///
    /// # Errors
    /// `hz` is no rate.
    pub fn start_obs_stream(&self, hz: f64) -> Result<(), Error> {
        self.start_obs_stream_with(StreamOptions::hz(hz))
    }

    /// Like [`start_obs_stream`](Self::start_obs_stream), with a choice of what is sent and how.
    ///
    /// # Errors
    /// The rate is none.
    pub fn start_obs_stream_with(&self, options: StreamOptions) -> Result<(), Error> {
        if options.hz != 0.0 {
            period(options.hz)?;
        }
        let stop = self.shared.closed.child_token();
        let mut running = self.shared.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = running.replace(stop.clone()) {
            before.cancel();
        }
        self.shared.common.runtime.spawn(stream(Arc::clone(&self.shared), options, stop));
        Ok(())
    }

    /// Ends the stream. Observations on the way still find nobody else.
    pub fn stop_obs_stream(&self) {
        let mut running = self.shared.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = running.take() {
            stop.cancel();
            self.shared.common.latest.set_stream(None);
        }
    }
}

impl Shared {
    /// Says how often the stream brings something, unless it was stopped.
    fn set_stream(&self, stop: &CancellationToken, period: Option<Duration>) {
        let _running = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if !stop.is_cancelled() {
            self.common.latest.set_stream(period);
        }
    }

    async fn observation(&self, connection: &Connection) -> Result<Observation, Error> {
        match connection.generation().await? {
            Generation::Coupled => self.common.latest.current().ok_or(Error::NoObservation),
            _ => request(connection, self.common.options.request_timeout, None, None).await,
        }
    }
}

async fn request(
    connection: &Connection,
    limit: Duration,
    same: Option<Observation>,
    fresh: Option<Freshness>,
) -> Result<Observation, Error> {
    let reply = connection.call(Call::Observation, limit, same, |id, out| {
        ObsRequest { fresh, id }.encode(out);
        Ok(())
    });
    match reply.await? {
        Reply { observation: Some(observation), .. } => Ok(observation),
        Reply { message, .. } => Err(unexpected(Call::Observation, &message)),
    }
}

/// Streams until it is stopped, over as many connections as it takes.
async fn stream(shared: Arc<Shared>, options: StreamOptions, stop: CancellationToken) {
    let streaming = async {
        while let Ok(connection) = shared.current.ready().await {
            let result = match connection.generation().await {
                // Reset and step bring observations, in their own time.
                Ok(Generation::Coupled) => {
                    shared.set_stream(&stop, None);
                    let mut generation = connection.generation.subscribe();
                    tokio::select! {
                        _ = connection.ended() => {}
                        // It was only slow.
                        _ = generation.wait_for(|probe| probe.known() != Some(Generation::Coupled)) => {}
                    }
                    Ok(())
                }
                Ok(_) => {
                    shared.set_stream(&stop, period(options.hz).ok().or(Some(Duration::ZERO)));
                    if options.push && connection.caps.has(Capability::Push) {
                        push(&shared, &connection, &options).await
                    } else {
                        pull(&shared, &connection, &options).await;
                        Ok(())
                    }
                }
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                shared.common.tell(Event::Stream(error));
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    stop.run_until_cancelled(streaming).await;
}

/// Asks again and again, until the connection ends.
async fn pull(shared: &Shared, connection: &Connection, options: &StreamOptions) {
    // "Each new one" cannot be asked of such a server; then it is as fast as answers come.
    let period = period(options.hz).unwrap_or(Duration::from_millis(1));
    let askers = u32::try_from(options.inflight.clamp(1, connection.inflight.saturating_sub(1).max(1))).unwrap_or(1);
    let begin = Instant::now();
    // They take turns, each with one request under way.
    let asking = (0..askers).map(|asker| async move {
        let mut ticks = tokio::time::interval_at(begin + period * asker, period * askers);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let limit = shared.common.options.request_timeout;
            if let Err(error) = request(connection, limit, None, None).await {
                shared.common.tell(Event::Stream(error));
            }
        }
    });
    tokio::select! {
        _ = join_all(asking) => {}
        _ = connection.ended() => {}
    }
}

/// Lets the server push, until the connection ends.
async fn push(shared: &Shared, connection: &Arc<Connection>, options: &StreamOptions) -> Result<(), Error> {
    let number = shared.common.next_number();
    let subscribe = |id, out: &mut Vec<u8>| {
        let StreamOptions { hz, cameras, proprios, depth, .. } = options.clone();
        Subscribe { id, stream: number, hz, cameras, proprios, depth, credit: CREDIT }.encode(out);
        Ok(())
    };
    connection.stream.fetch_max(number, Ordering::Relaxed);
    let runtime = shared.common.runtime.clone();
    let _subscription = Subscription { connection: Arc::clone(connection), runtime, number };
    connection.ask(Call::Subscribe, subscribe).await?;
    connection.ended().await;
    Ok(())
}

/// What was subscribed to, or will have been once the server has read it; dropping it ends it.
struct Subscription {
    connection: Arc<Connection>,
    runtime: Handle,
    number: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let (connection, number) = (Arc::clone(&self.connection), self.number);
        let _ = connection.stream.compare_exchange(number, 0, Ordering::Relaxed, Ordering::Relaxed);
        // If the runtime ends too, so does the connection.
        self.runtime.spawn(async move {
            let unsubscribe = |id, out: &mut Vec<u8>| {
                StreamRef { id, stream: number }.encode_unsubscribe(out);
                Ok(())
            };
            // Neither a stream that never began nor a lost connection needs it.
            let _ = connection.ask(Call::Unsubscribe, unsubscribe).await;
        });
    }
}
