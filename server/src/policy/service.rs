//! What all connections share: the robot, who controls it, what is counted.

mod control;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use waldo_protocol::policy::{AppMap, Capabilities, Capability, Driver, Episode, ErrorCode, LeaseEvent, Outcome};

use super::chunks::Chunks;
use super::config::PolicyConfig;
use super::encode;
use super::floor::Floor;
use super::robot::{Observation, Peer, PolicyError, PolicyRobot};
use super::session::{Answer, Client, Link, Session, Ticket};
use super::stats::{self, Stats};
use super::view::Made;
use super::watchdog::Watchdog;
use super::worker::{Displaced, Job, Worker, guarded};
use crate::clock;
use crate::seldom::Seldom;
use crate::sensors::{SensorHub, Snapshot};

/// How the robot answers requests for an observation.
const UNKNOWN: u8 = 0;
const SNAPSHOT: u8 = 1;
const OWN: u8 = 2;

/// How long a step takes that leads to nothing.
const IDLE_STEP: Duration = Duration::from_millis(20);

/// How long a first observation waits for cameras that were not watched before.
const WAKING: Duration = Duration::from_secs(1);

/// Waits until cameras that rested have a picture, if there are any; not on a thread that serves the network.
pub(super) fn wait_for_cameras(hub: &SensorHub, runtime: &Handle) {
    if Service::rests(&hub.snapshot()) {
        let mut watch = hub.watch(None);
        let awake = async {
            while Service::rests(&watch.snapshot()) {
                watch.changed().await;
            }
        };
        // A camera that shows nothing by then has failed, and is sent so.
        let _ = runtime.block_on(async { tokio::time::timeout(WAKING, awake).await });
    }
}

/// The policy service behind all transports.
pub(crate) struct Service {
    pub(super) config: PolicyConfig,
    pub(super) hub: SensorHub,
    robot: Arc<dyn PolicyRobot>,
    pub(super) metadata: AppMap,
    worker: Arc<Worker>,
    observing: AtomicU8,
    episodes: AtomicU64,
    room: Mutex<Room>,
    /// Tells that a deadline came up where none was.
    alarm: Notify,
    pub(crate) stats: Stats,
    logged: Seldom,
    /// Where observations of the robot's own are waited for, pictures scaled, and streams sent.
    pub(super) threads: Handle,
    /// Pictures made smaller, and the like, that several clients may want.
    pub(super) made: Made,
    chunks: Arc<Chunks>,
}

/// Who is there, and who controls the robot.
struct Room {
    clients: HashMap<u64, Arc<Client>>,
    floor: Floor,
    watchdog: Watchdog,
}

impl Service {
    /// Asks the robot for its metadata and starts the thread that calls it.
    pub(super) fn start(
        config: PolicyConfig,
        hub: SensorHub,
        robot: Arc<dyn PolicyRobot>,
        metadata: AppMap,
        threads: Handle,
    ) -> std::io::Result<Arc<Self>> {
        let worker = Arc::<Worker>::default();
        worker.start(Arc::clone(&robot), hub.clone(), threads.clone())?;
        let room = Room {
            clients: HashMap::new(),
            floor: Floor::new(config.lease),
            watchdog: Watchdog::new(config.action_timeout),
        };
        let service = Arc::new(Self {
            stats: Stats::new(config.metrics.clone()),
            config,
            hub,
            robot,
            metadata,
            worker,
            observing: AtomicU8::new(UNKNOWN),
            episodes: AtomicU64::new(0),
            room: Mutex::new(room),
            alarm: Notify::new(),
            logged: Seldom::default(),
            threads,
            made: Made::default(),
            chunks: Arc::default(),
        });
        service.chunks.start(Arc::downgrade(&service))?;
        Ok(service)
    }

    /// What is offered to clients with extensions.
    pub(super) fn offered() -> Capabilities {
        use Capability::{Chunk, Clock, Enc, Episode, Err, Fresh, Id, Lease, Push, Stats, Ttl};
        [Id, Err, Push, Lease, Chunk, Ttl, Enc, Clock, Stats, Fresh, Episode].into_iter().collect()
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client came, called by its address or the like; `None` if there are too many.
    pub(crate) fn connect(self: &Arc<Self>, name: &str, link: Link) -> Option<Session> {
        let client = Client::new(Arc::clone(self), Peer::new(name), link);
        let peer = client.peer();
        {
            let mut room = self.room();
            if room.clients.len() >= self.config.max_clients {
                return None;
            }
            room.clients.insert(peer.number(), Arc::clone(&client));
        }
        tracing::info!(client = %peer, "policy client connected");
        self.push(Job::Connected(peer));
        Some(Session::new(client))
    }

    /// The client is gone.
    pub(super) fn disconnect(&self, peer: &Peer) {
        let event = self.change(|room| {
            room.clients.remove(&peer.number());
            if room.clients.is_empty() {
                self.made.clear();
            }
            room.floor.leave(peer)
        });
        self.tell(event);
        tracing::info!(client = %peer, "policy client disconnected");
        self.push(Job::Disconnected(peer.clone()));
    }

    /// The names of the clients that are connected.
    pub(super) fn clients(&self) -> Vec<Peer> {
        let clients: Vec<_> = self.room().clients.values().cloned().collect();
        clients.iter().map(|client| client.peer()).collect()
    }

    /// Who controls the robot.
    pub(crate) fn holder(&self) -> Option<String> {
        self.room().floor.holder().map(str::to_owned)
    }

    /// A message or an action did not count; logged at most once a second.
    pub(crate) fn dropped(&self, reason: &'static str, client: &Peer, why: &str) {
        self.stats.dropped(reason);
        if self.may_log(reason) {
            tracing::warn!(%client, reason, "dropped what a policy client sent: {why}");
        }
    }

    /// Whether a line of that kind may be logged now.
    pub(crate) fn may_log(&self, kind: &'static str) -> bool {
        self.logged.may_log(clock::now(), kind)
    }

    fn push(&self, job: Job) {
        self.displaced(self.worker.push(job));
    }

    /// Tells whose job found no place.
    fn displaced(&self, pushed: Result<(), Displaced>) {
        match pushed {
            Ok(()) => {}
            Err(Displaced::Action(client, id)) => {
                let why = "the robot is slower than the actions come";
                self.dropped("queue", &client.peer(), why);
                client.refuse(id, ErrorCode::Busy, why, None);
            }
            Err(Displaced::Job(_)) => self.stats.dropped("jobs"),
        }
    }

    /// Tells everybody who agreed on the lease that it changed.
    fn tell(&self, event: Option<LeaseEvent>) {
        let Some(event) = event else { return };
        tracing::info!(holder = event.holder.as_deref().unwrap_or("nobody"), reason = event.reason.name(), "lease");
        let clients: Vec<_> = self.room().clients.values().cloned().collect();
        let frame = encode::frame(|out| event.encode(out));
        for client in clients.iter().filter(|client| client.caps().has(Capability::Lease)) {
            client.send(frame.clone());
        }
    }

    /// What was counted and measured, for a client that asks.
    pub(super) fn statistics(&self, outbox: usize, streams: usize) -> AppMap {
        let (clients, holder) = {
            let room = self.room();
            (room.clients.len(), room.floor.holder().map(str::to_owned))
        };
        let queues = [
            ("outbox", outbox),
            ("robot", self.worker.len()),
            ("chunks", self.chunks.len()),
            ("streams", streams),
            ("clients", clients),
        ];
        stats::report(&self.stats, &self.hub, &queues, holder)
    }

    /// Answers a step that led to nothing, at the pace of a robot.
    pub(super) fn answer_soon(self: &Arc<Self>, ticket: Ticket) {
        let service = Arc::clone(self);
        self.threads.spawn(async move {
            tokio::time::sleep(IDLE_STEP).await;
            ticket.answer(Ok(Answer::Step(Observation::from(service.hub.snapshot()).into())));
        });
    }

    /// How the episode stands.
    pub(super) fn episode(&self) -> Episode {
        let driver = {
            let room = self.room();
            match (room.floor.operator_drives(), room.watchdog.policy_drives()) {
                (true, _) => Driver::Operator,
                (false, true) => Driver::Policy,
                (false, false) => Driver::None,
            }
        };
        let outcome = guarded(|| Ok(self.robot.outcome())).unwrap_or_else(|error| {
            if self.may_log("outcome") {
                tracing::error!("{error}");
            }
            Outcome::default()
        });
        Episode { outcome, episode: self.episodes.load(Ordering::Relaxed), driver }
    }

    /// The hub's snapshot, if that is how the robot answers.
    pub(super) fn snapshot(&self) -> Option<Observation> {
        self.observes_hub().then(|| self.hub.snapshot().into())
    }

    /// Asks the robot for an observation, on a thread where it may wait.
    pub(super) fn observe(self: &Arc<Self>, ticket: Ticket) {
        let service = Arc::clone(self);
        self.threads.spawn_blocking(move || {
            wait_for_cameras(&service.hub, &service.threads);
            ticket
                .answer_here(service.own_observation().map(|observation| Answer::Observation(observation, Vec::new())));
        });
    }

    /// What the robot gives as an observation now, or once it has one.
    pub(super) async fn newest(self: &Arc<Self>) -> Result<Observation, PolicyError> {
        if let Some(snapshot) = self.snapshot() {
            return Ok(snapshot);
        }
        let service = Arc::clone(self);
        let own = self.threads.spawn_blocking(move || service.own_observation());
        // Cancelled only when the server ends.
        own.await.unwrap_or_else(|error| Err(PolicyError::app(error)))
    }

    /// Whether the robot answers with what the hub has.
    pub(super) fn observes_hub(&self) -> bool {
        self.observing.load(Ordering::Relaxed) == SNAPSHOT
    }

    /// Whether a camera shows nothing yet, because nobody watched it until now.
    pub(super) fn rests(sensors: &Snapshot) -> bool {
        sensors.cameras.iter().any(|camera| camera.stamp.is_none() && camera.image.is_empty())
    }

    fn own_observation(&self) -> Result<Observation, PolicyError> {
        if let Some(snapshot) = self.snapshot() {
            return Ok(snapshot);
        }
        match guarded(|| self.robot.observation().transpose())? {
            Some(observation) => {
                self.observing.store(OWN, Ordering::Relaxed);
                Ok(observation)
            }
            None => {
                // A robot that answered once may have nothing to say another time; one that never did never will.
                let _ = self.observing.compare_exchange(UNKNOWN, SNAPSHOT, Ordering::Relaxed, Ordering::Relaxed);
                Ok(self.hub.snapshot().into())
            }
        }
    }

    /// Ends leases and tells the robot of silence, when it is time, until the service ends.
    pub(super) async fn watch(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            let deadline = {
                let room = self.room();
                [room.floor.deadline(), room.watchdog.deadline()].into_iter().flatten().min()
            };
            let due = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep(deadline.since(clock::now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.tick(clock::now()),
                () = self.alarm.notified() => {}
                () = shutdown.cancelled() => return self.shut_down(),
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The last client is gone, and the robot was told.
        self.worker.stop();
        self.chunks.end();
    }
}
