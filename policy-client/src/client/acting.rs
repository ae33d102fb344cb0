//! Actions: put, dispatched, stepped, in chunks.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use waldo_protocol::policy::{
    ActionHeader, ActionMarks, AppMap, Capability, ChunkHeader, ChunkTiming, Generation, Outcome, ServerMessage,
};

use super::{PolicyClient, Shared, period, unexpected};
use crate::action::after;
use crate::connection::{Connection, Reply};
use crate::link::Lane;
use crate::queue::Ready;
use crate::requests::Call;
use crate::stats::count;
use crate::{Action, Chunk, Due, Error, Event, Observation};

/// What an action led to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// The observation after it.
    pub observation: Observation,
    /// Reward and end of the episode.
    pub outcome: Outcome,
    /// Whatever the application says about the step.
    pub info: AppMap,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChunkQueued {
    /// Rows that came too late.
    pub dropped_late: u64,
    /// Rows that wait now, those of earlier chunks included.
    pub queued: u64,
}

impl PolicyClient {
    /// Appends an action to the queue, of which [`start_action_dispatch`](Self::start_action_dispatch) sends one per
    /// tick. The robot is told that it was computed from the observation it names, else from the newest one now.
    ///
    /// # Errors
    /// It is not finite, not of the robot's shape, the queue is full, or there is no connection (then queued actions
    /// would be too old, unless [`Options::keep_actions_when_lost`](crate::Options::keep_actions_when_lost)).
    pub fn put_action(&self, action: impl Into<Action>) -> Result<(), Error> {
        let ready = self.ready_action(action.into())?;
        if !self.shared.common.options.keep_actions_when_lost {
            self.shared.current.connection()?;
        }
        self.shared.common.queue.put(ready)
    }

    /// Sends an action at once, past the queue.
    ///
    /// # Errors
    /// It is not finite, not of the robot's shape, or the call fails, see [`Error`].
    pub async fn send_action(&self, action: impl Into<Action>) -> Result<(), Error> {
        let ready = self.ready_action(action.into())?;
        self.shared.send(&*self.shared.current.connection()?, ready).await
    }

    /// Executes an action and waits for what it leads to; the observation is then also
    /// [`latest_obs`](Self::latest_obs). For servers of the coupled generation, and Waldo's.
    ///
    /// # Errors
    /// It is not finite, not of the robot's shape, the server cannot step, or the call fails, see [`Error`].
    pub async fn step(&self, action: impl Into<Action>) -> Result<Step, Error> {
        let ready = self.ready_action(action.into())?;
        let connection = self.shared.current.connection()?;
        if connection.generation().await? == Generation::Decoupled {
            return Err(Error::CannotStep);
        }
        let (observation, outcome) = self.shared.step(&connection, &ready).await?;
        let info = observation.info().cloned().unwrap_or_default();
        Ok(Step { observation, outcome, info })
    }

    /// Hands over several actions with their due times. A server with the extension `chunk` keeps and executes them by
    /// its own clock; for others this client sends each row when it is due. Needs no
    /// [`start_action_dispatch`](Self::start_action_dispatch).
    ///
    /// # Errors
    /// Values or due times are not as they must be, the server or the queue does not take so many rows, or the call
    /// fails, see [`Error`]; then nothing of it counts.
    pub async fn put_chunk(&self, chunk: Chunk) -> Result<ChunkQueued, Error> {
        let shared = &self.shared;
        chunk.check(shared.common.action_shape().as_deref())?;
        let connection = shared.current.connection()?;
        let stamps = chunk.stamps.clone().unwrap_or_else(|| shared.stamps());
        if connection.caps.has(Capability::Chunk) && connection.caps.has(Capability::Clock) {
            return shared.send_chunk(&connection, &chunk, &stamps).await;
        }
        let columns = chunk.shape[1].max(1);
        let put = Instant::now();
        // The age of a row counts from when it is due.
        let rows = chunk.values.chunks_exact(columns).enumerate().map(|(i, values)| {
            let due = due(&chunk.due, i);
            let put = put.max(due);
            let ready = Ready { shape: vec![columns], values: values.to_vec(), stamps: stamps.clone(), put };
            (shared.common.seconds(due), ready)
        });
        let now = shared.common.seconds(put);
        let queued = shared.common.queue.put_rows(now, chunk.late_limit.as_secs_f64(), chunk.mode, rows)?;
        count(&shared.common.counters.actions_dropped_old, queued.dropped_late as u64);
        shared.play();
        Ok(ChunkQueued { dropped_late: queued.dropped_late as u64, queued: queued.queued as u64 })
    }

    /// Forgets all actions that wait in this client; says how many. Rows that a server keeps are forgotten by a reset.
    pub fn clear_actions(&self) -> usize {
        let cleared = self.shared.common.queue.clear();
        count(&self.shared.common.counters.actions_cleared, cleared as u64);
        cleared
    }

    /// Actions that wait in this client.
    pub fn queue_len(&self) -> usize {
        self.shared.common.queue.len()
    }

    /// Sends one action of the queue per tick, `hz` times a second: 10 is customary. Nothing is sent while the queue is
    /// empty. A dispatch that runs already goes on with the new rate.
    ///
    /// # Errors
    /// `hz` is no rate.
    pub fn start_action_dispatch(&self, hz: f64) -> Result<(), Error> {
        let period = period(hz)?;
        let stop = self.shared.closed.child_token();
        let mut running = self.shared.dispatch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = running.replace(stop.clone()) {
            before.cancel();
        }
        let shared = Arc::clone(&self.shared);
        let stopped = stop.clone();
        self.shared.common.runtime.spawn(async move {
            stopped.run_until_cancelled(dispatch(&shared, period, &stop)).await;
        });
        Ok(())
    }

    /// Ends the dispatch; what waits stays in the queue.
    pub fn stop_action_dispatch(&self) {
        if let Some(stop) = self.shared.dispatch.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.shared.common.queue.stop(&stop);
        }
    }

    fn ready_action(&self, action: Action) -> Result<Ready, Error> {
        action.check(self.shared.common.action_shape().as_deref())?;
        let Action { shape, values, stamps } = action;
        let stamps = stamps.unwrap_or_else(|| self.shared.stamps());
        Ok(Ready { shape, values, stamps, put: Instant::now() })
    }
}

impl Shared {
    /// The stamps of the newest observation.
    fn stamps(&self) -> Vec<(String, f64)> {
        self.common.latest.get().map(|latest| latest.observation.camera_stamps()).unwrap_or_default()
    }

    /// Sends an action as the server's generation wants it.
    async fn send(&self, connection: &Connection, ready: Ready) -> Result<(), Error> {
        let generation = connection.generation().await?;
        if self.common.options.action_ttl.is_some_and(|ttl| ready.put.elapsed() > ttl) {
            count(&self.common.counters.actions_dropped_old, 1);
            return Ok(());
        }
        if generation == Generation::Coupled {
            self.step(connection, &ready).await?;
            return Ok(());
        }
        connection.post(Lane::Action, |out| {
            self.header(connection, &ready).encode(&ready.values, out).map_err(|error| malformed(&error))
        })?;
        count(&self.common.counters.actions_sent, 1);
        Ok(())
    }

    fn header<'a>(&self, connection: &Connection, ready: &'a Ready) -> ActionHeader<'a> {
        let marks = match connection.caps.has(Capability::Ttl) {
            true => ActionMarks {
                seq: Some(self.common.next_number()),
                ttl_ms: self.common.options.action_ttl.map(|ttl| ttl.as_secs_f64() * 1000.0),
                sent: Some(self.common.seconds(ready.put)),
            },
            false => ActionMarks::default(),
        };
        ActionHeader { shape: &ready.shape, obs_timestamps: &ready.stamps, marks, id: None }
    }

    async fn step(&self, connection: &Connection, ready: &Ready) -> Result<(Observation, Outcome), Error> {
        // Servers in C++ read rows and columns.
        let shape = match ready.shape[..] {
            [columns] => vec![1, columns],
            _ => ready.shape.clone(),
        };
        let reply = connection.call(Call::Step, self.common.options.request_timeout, None, |id, out| {
            let header = ActionHeader { shape: &shape, id, ..self.header(connection, ready) };
            header.encode_coupled(&ready.values, out).map_err(|error| malformed(&error))
        });
        match reply.await? {
            Reply { observation: Some(observation), message } => {
                count(&self.common.counters.actions_sent, 1);
                let ServerMessage::Step(step) = message else { return Err(unexpected(Call::Step, &message)) };
                Ok((observation, step.outcome))
            }
            Reply { message, .. } => Err(unexpected(Call::Step, &message)),
        }
    }

    async fn send_chunk(
        &self,
        connection: &Connection,
        chunk: &Chunk,
        stamps: &[(String, f64)],
    ) -> Result<ChunkQueued, Error> {
        let max = usize::try_from(connection.limits.max_chunk).unwrap_or(usize::MAX);
        if chunk.rows() > max {
            return Err(Error::ChunkTooLong { rows: chunk.rows(), max });
        }
        if connection.clock().is_none() {
            connection.exchange_clocks().await?;
        }
        let clock = connection.clock().ok_or(Error::NotNegotiated(Capability::Clock))?;
        let server = |at: Instant| clock.to_server(self.common.seconds(at));
        let timing = match &chunk.due {
            Due::Every { start, step } => ChunkTiming::Every { t0: server(*start), dt: step.as_secs_f64() },
            Due::At(due) => ChunkTiming::Due(due.iter().map(|at| server(*at)).collect()),
        };
        let late = Some(chunk.late_limit).filter(|limit| !limit.is_zero());
        let reply = connection.ask(Call::Chunk, |id, out| {
            let header = ChunkHeader {
                id,
                chunk: self.common.next_number(),
                shape: chunk.shape,
                obs_timestamps: stamps,
                timing: &timing,
                mode: chunk.mode,
                late_limit_ms: late.map(|limit| limit.as_secs_f64() * 1000.0),
            };
            header.encode(&chunk.values, out).map_err(|error| malformed(&error))
        });
        match reply.await?.message {
            ServerMessage::Chunk(response) => {
                Ok(ChunkQueued { dropped_late: response.dropped_late, queued: response.queued })
            }
            other => Err(unexpected(Call::Chunk, &other)),
        }
    }

    /// Starts the task that sends rows when they are due, once.
    fn play(self: &Arc<Self>) {
        let mut playing = self.player.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *playing, true) {
            let shared = Arc::clone(self);
            self.common.runtime.spawn(async move { shared.closed.run_until_cancelled(play(&shared)).await });
        }
    }
}

/// Sends one action per tick.
async fn dispatch(shared: &Shared, period: Duration, stop: &CancellationToken) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let Ok(connection) = shared.current.ready().await else { return };
        // Until it is known, nothing is sent blindly.
        if let Err(error) = connection.generation().await {
            shared.common.tell(Event::Dispatch(error));
            continue;
        }
        if let Some(ready) = shared.common.queue.pop(stop)
            && let Err(error) = shared.send(&connection, ready).await
        {
            shared.common.tell(Event::Dispatch(error));
        }
    }
}

/// Sends rows of chunks when they are due.
async fn play(shared: &Shared) {
    loop {
        let changed = shared.common.queue.rows.notified();
        match shared.common.queue.pop_due(shared.common.seconds(Instant::now())) {
            Ok((_, ready)) => {
                let sent = match shared.current.connection() {
                    Ok(connection) => shared.send(&connection, ready).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = sent {
                    shared.common.tell(Event::Dispatch(error));
                }
            }
            Err(None) => changed.await,
            Err(Some(next)) => {
                let wait = Duration::try_from_secs_f64(next - shared.common.seconds(Instant::now()));
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep(wait.unwrap_or_default()) => {}
                }
            }
        }
    }
}

/// When a row is due; the rows and their times were checked.
fn due(due: &Due, row: usize) -> Instant {
    match due {
        Due::Every { start, step } => after(*start, *step, row).unwrap_or(*start),
        Due::At(times) => times.get(row).copied().unwrap_or_else(Instant::now),
    }
}

/// An action that cannot be encoded: cannot happen, because its shape was checked.
fn malformed(error: &waldo_protocol::policy::WireError) -> Error {
    Error::Malformed { call: "action", error: error.clone() }
}
