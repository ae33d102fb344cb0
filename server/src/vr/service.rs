//! The path of a pose frame through the service, and the calls of the program that holds the server.
//!
//! Locks are held for microseconds and never across a wait. Their order: `ingest`, then `session`, then `teleop`.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{
    Capability, ClientHello, HudValue, Refusal, RefusalKind, ServerHello, ServerMessage, Snapshot, VrFrame,
};

use super::session::{Client, ConnId, Session};
use super::streams::Streams;
use crate::clock;
use crate::control::{Admission, Event, StreamId, Teleop};
use crate::metrics::Metrics;
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
    /// When each kind of refusal was last logged.
    refused: BTreeMap<RefusalKind, MonoTime>,
}

/// The service behind all connections.
pub(super) struct Service {
    ingest: Mutex<Ingest>,
    session: Mutex<Session>,
    teleop: Arc<Mutex<Teleop>>,
    frame: Mutex<Option<(StreamId, VrFrame)>>,
    callback: Mutex<Option<OnFrame>>,
    video: Mutex<Video>,
    pub(super) metrics: Metrics,
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
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            ingest: Mutex::default(),
            session: Mutex::default(),
            teleop: Arc::default(),
            frame: Mutex::default(),
            callback: Mutex::default(),
            video: Mutex::default(),
            metrics,
        }
    }

    pub(super) fn teleop(&self) -> Arc<Mutex<Teleop>> {
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
        let admission = lock(&self.teleop).on_frame(clock::now(), stream, frame, &mut events);
        if admission == Admission::Admitted {
            *lock(&self.frame) = Some((stream, *frame));
            let callback = lock(&self.callback).clone();
            if let Some(callback) = callback
                && catch_unwind(AssertUnwindSafe(|| callback(frame))).is_err()
            {
                tracing::error!("the on_frame callback panicked; mend it, frames go on");
            }
        }
        self.publish(events.drain(..));
        ingest.events = events;
    }

    /// A message was refused: counted, and logged at most once per kind and second.
    pub(super) fn refuse(&self, conn: ConnId, refusal: &Refusal) {
        let kind = refusal.kind.name();
        self.metrics.refusal("vr", kind);
        let now = clock::now();
        let mut ingest = lock(&self.ingest);
        if ingest.refused.get(&refusal.kind).is_none_or(|at| now.since(*at) >= LOG_EVERY) {
            ingest.refused.insert(refusal.kind, now);
            tracing::warn!(conn = conn.0, kind, "message refused: {refusal}");
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
        let cameras = self.video().feeds.iter().map(|feed| feed.name().to_owned()).collect();
        let mut ingest = lock(&self.ingest);
        if let Some(left) = ingest.streams.name(conn, &hello.stream) {
            self.close_stream(&mut ingest, left);
        }
        let server = concat!("waldo/", env!("CARGO_PKG_VERSION")).to_owned();
        let reply = ServerHello::answer(hello, Capability::ALL, server, conn.0.to_string());
        let caps = reply.caps.clone();
        let mut session = self.session();
        let snapshot = caps.contains(&Capability::Snapshot).then(|| {
            let teleop = lock(&self.teleop);
            Snapshot {
                mode: session.mode,
                episode: session.episode,
                state: session.state,
                tracking: session.tracking.unwrap_or_else(|| teleop.engaged()),
                hold: teleop.hold(clock::now()),
                reset_n: teleop.resets(),
                driver: teleop.driver().and_then(|id| ingest.streams.public_name(id)).map(str::to_owned),
                cameras,
            }
        });
        let Some(client) = session.clients.get_mut(&conn) else { return };
        client.caps = caps;
        client.send(ServerMessage::Hello(reply).encode().into());
        if let Some(snapshot) = snapshot {
            client.send(ServerMessage::Snapshot(snapshot).encode().into());
        }
    }

    /// Tells the clients what happened. Values are read anew under the session's lock, so that two events from two
    /// threads can never leave the clients with the older one.
    pub(super) fn publish(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            if let Event::Tracking(_) = event {
                let mut session = self.session();
                let engaged = lock(&self.teleop).engaged();
                if session.tracking.is_some() {
                    session.tracking = Some(engaged);
                    session.broadcast(&ServerMessage::Tracking(engaged));
                }
            }
        }
    }

    /// Watchdogs and hold reasons; called about ten times a second.
    pub(super) fn tick(&self) {
        let now = clock::now();
        let ingest = lock(&self.ingest);
        let mut events = Vec::new();
        lock(&self.teleop).on_tick(now, &mut events);
        self.publish(events);
        let mut session = self.session();
        let teleop = lock(&self.teleop);
        for (conn, client) in &mut session.clients {
            let hold = match ingest.streams.of(*conn) {
                Some(stream) => teleop.hold_for(now, stream),
                None => teleop.hold(now),
            };
            client.tell_hold(hold);
        }
    }
}
