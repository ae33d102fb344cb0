//! Who may move the robot, and what happens to what they asked for when they may no more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use waldo_protocol::policy::{
    ActionChunk, ChunkRefused, ErrorCode, LeaseOp, LeaseRequest, LeaseResponse, Queued, RequestId,
};
use waldo_protocol::time::MonoTime;

use super::{Room, Service};
use crate::clock;
use crate::policy::chunks::Row;
use crate::policy::encode;
use crate::policy::floor::Held;
use crate::policy::robot::{ActionData, Peer, PolicyError};
use crate::policy::session::{Client, Ticket, not_holder};
use crate::policy::worker::Job;
use crate::websocket::Close;

impl Service {
    /// Changes who is there or who controls the robot. What somebody asked for who controls it no more is not done.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Room) -> T) -> T {
        let (result, forgotten) = {
            let mut room = self.room();
            let before = room.floor.acting();
            let result = change(&mut room);
            let lost = before.filter(|before| room.floor.acting().as_ref() != Some(before));
            let forgotten = lost.map(|lost| {
                self.chunks.clear();
                if room.watchdog.gone(&lost) {
                    // Nothing is dropped by it.
                    let _ = self.worker.push(Job::Stale);
                }
                self.worker.forget(lost.number())
            });
            (result, forgotten)
        };
        if let Some(jobs) = forgotten {
            self.alarm.notify_one();
            jobs.into_iter().for_each(|job| self.forgotten(job));
        }
        result
    }

    /// Tells a client that what it asked for is not done, because it controls the robot no more.
    fn forgotten(&self, job: Job) {
        let held = Held { by: self.holder().unwrap_or_else(|| "nobody".to_owned()) };
        match job {
            Job::Apply(_, client, id) => client.action_failed(id, not_holder(&held)),
            Job::Step(_, ticket) => ticket.held_step(&held),
            Job::Reset(ticket) => ticket.held(&held),
            Job::Stale | Job::Connected(_) | Job::Disconnected(_) => {}
        }
    }

    /// The client acts or resets: whether it may. The job reaches the robot before anybody else can take control.
    fn act(&self, peer: &Peer, now: MonoTime, job: impl FnOnce(&mut Room) -> Option<Job>) -> Result<(), Held> {
        let acted = self.change(|room| {
            if !room.clients.contains_key(&peer.number()) {
                return Err(Held::gone());
            }
            let event = room.floor.act(peer, now)?;
            let pushed = job(room).map_or(Ok(()), |job| self.worker.push(job));
            Ok((event, pushed))
        });
        let (event, pushed) = acted?;
        self.displaced(pushed);
        if event.is_some() {
            self.alarm.notify_one();
        }
        self.tell(event);
        Ok(())
    }

    /// Starts an episode for the client, if it controls the robot.
    pub(in crate::policy) fn reset(&self, peer: &Peer, now: MonoTime, ticket: Ticket) -> Result<(), (Ticket, Held)> {
        let mut ticket = Some(ticket);
        let may = self.act(peer, now, |room| {
            room.floor.begin(peer);
            room.watchdog.resets(peer);
            self.chunks.clear();
            self.episodes.fetch_add(1, Ordering::Relaxed);
            ticket.take().map(|ticket| Job::Reset(ticket.resets()))
        });
        match (may, ticket) {
            (Err(held), Some(ticket)) => Err((ticket, held)),
            _ => Ok(()),
        }
    }

    /// Applies an action of the client, if it controls the robot.
    pub(in crate::policy) fn apply(
        &self,
        client: &Arc<Client>,
        id: Option<RequestId>,
        action: ActionData,
    ) -> Result<(), Held> {
        let (peer, now) = (action.from.clone(), action.arrived);
        let mut first = false;
        self.act(&peer, now, |room| {
            first = room.watchdog.deadline().is_none();
            room.watchdog.acted(&peer, now);
            Some(Job::Apply(action, Arc::clone(client), id))
        })?;
        if first {
            self.alarm.notify_one();
        }
        self.stats.applied();
        Ok(())
    }

    /// Applies an action of a client that waits for what it leads to, if it controls the robot.
    pub(in crate::policy) fn step(&self, action: ActionData, ticket: Ticket) -> Result<(), (Ticket, Held)> {
        let (peer, now) = (action.from.clone(), action.arrived);
        let mut ticket = Some(ticket);
        let may = self.act(&peer, now, |room| {
            room.floor.begin(&peer);
            room.watchdog.steps(&peer);
            ticket.take().map(|ticket| Job::Step(action, ticket.steps()))
        });
        match (may, ticket) {
            (Err(held), Some(ticket)) => Err((ticket, held)),
            _ => {
                self.stats.applied();
                Ok(())
            }
        }
    }

    /// Queues a chunk of the client, if it controls the robot.
    ///
    /// # Errors
    /// Another controls the robot.
    pub(in crate::policy) fn queue(
        &self,
        peer: &Peer,
        chunk: &ActionChunk,
        rows: Vec<(f64, Row)>,
        now: MonoTime,
    ) -> Result<Result<Queued, ChunkRefused>, PolicyError> {
        let mut queued = Err(ChunkRefused::Order);
        self.act(peer, now, |room| {
            queued = self.chunks.push(now, chunk.late_limit_ms, chunk.mode, rows);
            if queued.is_ok() {
                self.acted(room, peer, now);
            }
            None
        })
        .map_err(|held| not_holder(&held))?;
        self.alarm.notify_one();
        Ok(queued)
    }

    /// An action that was due; whoever controls the robot now has to be whose it is.
    pub(in crate::policy) fn apply_row(&self, Row { action, client }: Row) {
        let (peer, now) = (action.from.clone(), clock::now());
        let own = Arc::clone(&client);
        let acted = self.act(&peer, now, |room| {
            self.acted(room, &peer, now);
            Some(Job::Apply(action, own, None))
        });
        match acted {
            Ok(()) => {
                self.alarm.notify_one();
                self.stats.applied();
            }
            Err(held) => client.action_failed(None, not_holder(&held)),
        }
    }

    /// The client acted by a chunk, and is not silent before the next row was due.
    fn acted(&self, room: &mut Room, peer: &Peer, now: MonoTime) {
        let next = self.chunks.next_due().map_or(now, |due| due.max(now));
        room.watchdog.acted(peer, next);
    }

    /// The robot is done with a step of the client, or with a reset: then whether it did it.
    pub(in crate::policy) fn done(&self, peer: &Peer, reset: Option<bool>) {
        let now = clock::now();
        {
            let mut room = self.room();
            room.floor.end(peer, now);
            if let Some(done) = reset {
                room.watchdog.reset_done(peer, done, now);
            }
        }
        self.alarm.notify_one();
    }

    /// Answers a client that asks about the lease, then tells the others.
    pub(in crate::policy) fn lease(&self, client: &Client, request: &LeaseRequest, now: MonoTime) {
        let peer = &client.peer();
        let ttl = Duration::from_millis(request.ttl_ms);
        let (verdict, holder) = self.change(|room| {
            let verdict = room.floor.ask(peer, request.op, ttl, now);
            (verdict, room.floor.holder().map(str::to_owned))
        });
        if verdict.granted && request.op != LeaseOp::Release {
            self.alarm.notify_one();
        }
        let ttl_ms = u64::try_from(verdict.patience.as_millis()).unwrap_or(u64::MAX);
        let response = LeaseResponse { id: request.id, granted: verdict.granted, holder, ttl_ms };
        client.send(encode::frame(|out| response.encode(out)));
        self.tell(verdict.event);
    }

    /// A person at the robot begins to drive, or is done.
    pub(in crate::policy) fn set_operator(&self, drives: bool) {
        let event = self.change(|room| {
            if drives {
                room.watchdog.relieve();
            }
            room.floor.set_operator(drives, clock::now())
        });
        self.alarm.notify_one();
        self.tell(event);
    }

    /// Ends leases and tells the robot of silence, when it is time.
    pub(super) fn tick(&self, now: MonoTime) {
        let (event, silent, forgotten) = self.change(|room| {
            let silent = room.watchdog.tick(now);
            let forgotten = silent.as_ref().map(|peer| {
                let _ = self.worker.push(Job::Stale);
                self.worker.forget_actions(peer.number())
            });
            let client = silent.map(|peer| room.clients.get(&peer.number()).cloned());
            (room.floor.tick(now), client, forgotten)
        });
        // Whoever is silent has nothing that waits, unless the robot is slower than their actions came. What they asked for
        // and wait for is done all the same.
        let late = PolicyError::new(ErrorCode::Stale, "the policy fell silent meanwhile");
        for job in forgotten.into_iter().flatten() {
            if let Job::Apply(_, client, id) = job {
                client.action_failed(id, late.clone());
            }
        }
        if let Some(client) = silent {
            tracing::warn!("the policy is silent: the robot holds");
            self.stats.held();
            if let Some(client) = client {
                let text = format!("no action for {} ms: the robot holds", self.config.action_timeout.as_millis());
                client.refuse(None, ErrorCode::Stale, &text, None);
            }
        }
        self.tell(event);
    }

    /// Tells every client that the server ends, and does no more of what they asked for.
    pub(in crate::policy) fn shut_down(&self) {
        let clients: Vec<_> = {
            let mut room = self.room();
            if room.watchdog.end() {
                let _ = self.worker.push(Job::Stale);
            }
            room.clients.values().cloned().collect()
        };
        self.chunks.clear();
        for client in clients {
            client.refuse(None, ErrorCode::Shutdown, "the server stops", None);
            client.outbox().close(Close::new(1001, "the server stops"));
        }
        // Their tickets tell them.
        drop(self.worker.close());
    }
}
