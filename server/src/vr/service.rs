//! The path of a pose frame through the service, and the calls of the program that holds the server.
//!
//! Locks are held for microseconds and never across a wait. Their order: `ingest`, then `session`, then `teleop`.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{
    Capability, ClientHello, Hold, HoldReason, HudValue, Refusal, ServerHello, ServerMessage, Snapshot, VrFrame,
};

use super::session::{Client, ConnId, Session};
use super::streams::Streams;
use crate::clock;
use crate::control::{Admission, Event, StreamId, Teleop};
use crate::metrics::Metrics;
use crate::rtc::Network;
use crate::video::Feed;

/// Called once per accepted frame, in order of arrival, on the thread that received it; it must not block.
pub type OnFrame = Arc<dyn Fn(&VrFrame) + Send + Sync>;

/// Refusals of one kind are logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Which cameras there are to offer.
#[derive(Clone, Default)]
pub(super) struct Video {
    /// Cameras will come: park requests.
    pub(super) expected: bool,
    /// The cameras, in order; empty means no video.
    pub(super) feeds: Arc<[Feed]>,
}

/// State of frames on their way in; its lock keeps them in order of arrival.
#[derive(Default)]
struct Ingest {
    streams: Streams,
    events: Vec<Event>,
}

/// The service behind all connections.
pub(super) struct Service {
    ingest: Mutex<Ingest>,
    session: Mutex<Session>,
    teleop: Arc<Mutex<Teleop>>,
    frame: Mutex<Option<(StreamId, VrFrame)>>,
    callback: Mutex<Option<OnFrame>>,
    /// When each kind of refusal was last logged.
    logged: Mutex<BTreeMap<&'static str, MonoTime>>,
    video: Mutex<Video>,
    /// Whether a control loop follows `teleop`; otherwise an arm consumer of the user's own tells what is engaged.
    attached: AtomicBool,
    pub(super) metrics: Metrics,
    pub(super) network: Network,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    pub(super) fn new(metrics: Metrics, network: Network) -> Self {
        Self {
            ingest: Mutex::default(),
            session: Mutex::default(),
            teleop: Arc::default(),
            frame: Mutex::default(),
            callback: Mutex::default(),
            logged: Mutex::default(),
            video: Mutex::default(),
            attached: AtomicBool::new(false),
            metrics,
            network,
        }
    }

    /// Makes Waldo's control loop the arm consumer. Nobody can engage before its first tick.
    pub(super) fn attach_control(&self) -> Arc<Mutex<Teleop>> {
        let mut events = Vec::new();
        lock(&self.teleop).set_robot_hold(clock::now(), Some(HoldReason::Stopped), &mut events);
        self.session().tracking = Some(false);
        self.attached.store(true, Ordering::Release);
        Arc::clone(&self.teleop)
    }

    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }

    pub(super) fn video(&self) -> Video {
        lock(&self.video).clone()
    }

    /// Replaces the cameras and wakes every connection that waits for them.
    pub(super) fn set_video(&self, change: impl FnOnce(&mut Video)) {
        change(&mut lock(&self.video));
        for client in self.session().clients.values() {
            client.video_changed.notify_one();
        }
    }

    pub(super) fn frame(&self) -> Option<VrFrame> {
        lock(&self.frame).map(|(_, frame)| frame)
    }

    pub(super) fn set_callback(&self, callback: Option<OnFrame>) {
        *lock(&self.callback) = callback;
    }

    /// A socket opened.
    pub(super) fn join(&self, client: Client) -> ConnId {
        let mut ingest = lock(&self.ingest);
        let conn = self.session().join(client);
        ingest.streams.open(conn);
        conn
    }

    /// A socket closed.
    pub(super) fn leave(&self, conn: ConnId) {
        let mut ingest = lock(&self.ingest);
        self.session().leave(conn);
        if let Some(stream) = ingest.streams.close(conn) {
            self.close_stream(&mut ingest, stream);
        }
    }

    fn close_stream(&self, ingest: &mut Ingest, stream: StreamId) {
        lock(&self.frame).take_if(|(from, _)| *from == stream);
        let mut events = std::mem::take(&mut ingest.events);
        lock(&self.teleop).on_closed(clock::now(), stream, &mut events);
        self.publish(events.drain(..));
        ingest.events = events;
    }

    /// A pose frame arrived on a socket.
    pub(super) fn accept(&self, conn: ConnId, frame: &VrFrame) {
        let mut ingest = lock(&self.ingest);
        let Some(stream) = ingest.streams.admit(conn, frame) else {
            self.metrics.duplicate_frame();
            return;
        };
        self.metrics.accepted_frame();
        let mut events = std::mem::take(&mut ingest.events);
        let mut teleop = lock(&self.teleop);
        let admission = teleop.on_frame(clock::now(), stream, frame, &mut events);
        if !self.attached.load(Ordering::Acquire) {
            // Resets are the business of the user's own consumer; a pending one would keep everybody from engaging.
            teleop.take_reset();
        }
        drop(teleop);
        let mut panicked = false;
        if admission == Admission::Admitted {
            *lock(&self.frame) = Some((stream, *frame));
            let callback = lock(&self.callback).clone();
            panicked = callback.is_some_and(|callback| catch_unwind(AssertUnwindSafe(|| callback(frame))).is_err());
        }
        self.publish(events.drain(..));
        ingest.events = events;
        // Logs may block, which nobody else's frames shall wait for.
        drop(ingest);
        if panicked {
            tracing::error!("the on_frame callback panicked; mend it, frames go on");
        }
    }

    /// A message was refused: counted, and logged at most once per kind and second.
    pub(super) fn refuse(&self, conn: ConnId, refusal: &Refusal) {
        self.complain(conn, refusal.kind.name(), refusal);
    }

    /// Counts and logs what a client did wrong, at most one line per kind and second.
    pub(super) fn complain(&self, conn: ConnId, kind: &'static str, what: &dyn fmt::Display) {
        self.metrics.refusal("vr", kind);
        let now = clock::now();
        let mut logged = lock(&self.logged);
        let due = logged.get(kind).is_none_or(|at| now.since(*at) >= LOG_EVERY);
        if due {
            logged.insert(kind, now);
        }
        drop(logged);
        if due {
            tracing::warn!(conn = conn.0, kind, "message refused: {what}");
        }
    }

    /// Popup state of a headset; while somebody drives, only the driver's counts.
    pub(super) fn publish_hud(&self, conn: ConnId, value: HudValue) {
        let stream = lock(&self.ingest).streams.of(conn);
        let driver = lock(&self.teleop).driver();
        if driver.is_none() || driver == stream {
            self.session().publish_hud(conn, value);
        }
    }

    /// Agrees on extensions: answers with the server's hello, then the snapshot if negotiated.
    pub(super) fn hello(&self, conn: ConnId, hello: &ClientHello) {
        let mut ingest = lock(&self.ingest);
        if let Some(left) = ingest.streams.name(conn, &hello.stream, hello.role) {
            self.close_stream(&mut ingest, left);
        }
        let server = concat!("waldo/", env!("CARGO_PKG_VERSION")).to_owned();
        let reply = ServerHello::answer(hello, Capability::ALL, server, conn.0.to_string());
        let mut session = self.session();
        let snapshot = self.snapshot(&ingest.streams, &session);
        let Some(client) = session.clients.get_mut(&conn) else { return };
        client.caps.clone_from(&reply.caps);
        client.send(ServerMessage::Hello(reply).encode().into());
        let hold = hold_of(&lock(&self.teleop), &ingest.streams, conn);
        client.tell_snapshot(snapshot, hold);
    }

    /// What a snapshot tells everybody alike.
    fn snapshot(&self, streams: &Streams, session: &Session) -> Snapshot {
        let teleop = lock(&self.teleop);
        Snapshot {
            mode: session.mode,
            episode: session.episode,
            state: session.state,
            tracking: session.tracking.unwrap_or(false),
            hold: None,
            reset_n: teleop.resets(),
            driver: teleop.driver().and_then(|id| streams.public_name(id)).map(str::to_owned),
            cameras: self.video().feeds.iter().map(|feed| feed.name().to_owned()).collect(),
        }
    }

    /// Tells the clients what happened. Values are read anew under the session's lock, so that two events from two
    /// threads can never leave the clients with the older one.
    pub(super) fn publish(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            if let Event::Tracking(_) = event
                && self.attached.load(Ordering::Acquire)
            {
                let mut session = self.session();
                let engaged = lock(&self.teleop).engaged();
                session.tracking = Some(engaged);
                session.broadcast(&ServerMessage::Tracking(engaged));
            }
        }
    }

    /// Watchdogs, hold reasons, and a new snapshot when somebody else drives; called about ten times a second.
    pub(super) fn tick(&self) {
        let now = clock::now();
        let ingest = lock(&self.ingest);
        let mut events = Vec::new();
        lock(&self.teleop).on_tick(now, &mut events);
        self.publish(events);
        let mut session = self.session();
        let driver = lock(&self.teleop).driver();
        let snapshot = (driver != session.told_driver).then(|| self.snapshot(&ingest.streams, &session));
        session.told_driver = driver;
        let teleop = lock(&self.teleop);
        for (conn, client) in &mut session.clients {
            let hold = hold_of(&teleop, &ingest.streams, *conn);
            match &snapshot {
                Some(snapshot) => client.tell_snapshot(snapshot.clone(), hold),
                None => client.tell_hold(hold),
            }
        }
    }

    /// What keeps the arms from following, if they are in such a state.
    pub(super) fn hold(&self) -> Option<HoldReason> {
        lock(&self.teleop).hold(clock::now()).map(|hold| hold.reason)
    }
}

/// Why this client's frames move nothing.
fn hold_of(teleop: &Teleop, streams: &Streams, conn: ConnId) -> Option<Hold> {
    let now = clock::now();
    streams.of(conn).map_or_else(|| teleop.hold(now), |stream| teleop.hold_for(now, stream))
}
