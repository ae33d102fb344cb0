//! The path of a pose frame through the service, and the calls of the program that holds the server.
//!
//! Locks are held for microseconds and never across a wait. Their order: `ingest`, then `session`, then `arbiter`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{
    Capability, ClientHello, Episode, Hand, HoldReason, HudValue, RecordingEdges, Refusal, Role, ServerHello,
    ServerMessage, VrFrame, VrState,
};

use super::lost_hands::LostHands;
use super::session::{Client, ConnId, Session};
use super::streams::{Streams, Verdict};
use super::telling::hold_of;
use crate::clock;
use crate::config::Settings;
use crate::control::{Admission, Arbiter, Event, SourceId};
use crate::metrics::Metrics;
use crate::rtc::Network;
use crate::seldom::Seldom;
use crate::video::Feed;

/// Called once per accepted frame, in order of arrival, on the thread that received it; it must not block.
pub type OnFrame = Arc<dyn Fn(&VrFrame) + Send + Sync>;

/// What another service says of its health.
pub(super) type HealthPart = Box<dyn Fn() -> serde_json::Value + Send + Sync>;

/// Which cameras there are to offer.
#[derive(Clone, Default)]
pub(super) struct Video {
    /// Cameras will come: park requests.
    pub(super) expected: bool,
    /// The cameras, in order; empty means no video.
    pub(super) feeds: Arc<[Feed]>,
    /// Counts the changes of `feeds`.
    pub(super) generation: u64,
}

/// State of frames on their way in; its lock keeps them in order of arrival.
pub(super) struct Ingest {
    pub(super) streams: Streams,
    events: Vec<Event>,
    pub(super) lost_hands: LostHands,
}

/// What happened to an episode that an operator records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpisodeEvent {
    /// The operator decided.
    Decided(Episode),
    /// The operator left VR, their link was lost, or another headset drives. Unless that one drives when it returns, the
    /// episode stays open for the same headset; if another one is started first, keep it and mark it for review.
    Interrupted,
    /// The same headset is back and goes on with the episode.
    Resumed,
}

/// Decisions about episodes that nobody has asked for yet, at most.
const MAX_EPISODES: usize = 256;

/// The service behind all connections.
pub(super) struct Service {
    ingest: Mutex<Ingest>,
    session: Mutex<Session>,
    pub(super) arbiter: Arc<Mutex<Arbiter>>,
    /// What happened and was not told yet: on the control thread nobody may wait for `ingest`.
    pub(super) later: Mutex<Vec<Event>>,
    episodes: Mutex<VecDeque<EpisodeEvent>>,
    /// Name of a stream that left in the middle of an episode, and what it had decided.
    interrupted: Mutex<Option<(String, RecordingEdges)>>,
    frame: Mutex<Option<(SourceId, VrFrame)>>,
    callback: Mutex<Option<OnFrame>>,
    logged: Seldom,
    video: Mutex<Video>,
    /// What other services add to the answer of `/healthz`.
    pub(super) health: Mutex<BTreeMap<&'static str, HealthPart>>,
    /// Whether a control loop follows `arbiter`; otherwise an arm consumer of the user's own tells what is engaged.
    pub(super) attached: AtomicBool,
    pub(super) metrics: Metrics,
    pub(super) network: Network,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// A service whose clients may send `max_rate` frames per second each.
    pub(super) fn new(metrics: Metrics, network: Network, settings: &Settings) -> Self {
        let streams = Streams::new(settings.max_pose_rate);
        Self {
            ingest: Mutex::new(Ingest { streams, events: Vec::new(), lost_hands: LostHands::default() }),
            episodes: Mutex::default(),
            interrupted: Mutex::default(),
            later: Mutex::default(),
            session: Mutex::default(),
            arbiter: Arc::new(Mutex::new(
                Arbiter::new(settings.playout).scaled(settings.motion).resuming(settings.policy.resume),
            )),
            frame: Mutex::default(),
            callback: Mutex::default(),
            logged: Seldom::default(),
            video: Mutex::default(),
            health: Mutex::default(),
            attached: AtomicBool::new(false),
            metrics,
            network,
        }
    }

    /// Makes Waldo's control loop the arm consumer. Nobody can engage before its first tick.
    pub(super) fn attach_control(&self) -> Arc<Mutex<Arbiter>> {
        let mut events = Vec::new();
        lock(&self.arbiter).set_robot_hold(clock::now(), Some(HoldReason::Stopped), &mut events);
        self.session().tracking = Some(false);
        self.attached.store(true, Ordering::Release);
        Arc::clone(&self.arbiter)
    }

    pub(super) fn ingest(&self) -> MutexGuard<'_, Ingest> {
        lock(&self.ingest)
    }

    /// Whether one of the locks is held that author's code must not meet.
    #[cfg(test)]
    pub(super) fn is_locked(&self) -> bool {
        self.ingest.try_lock().is_err() || self.session.try_lock().is_err() || self.callback.try_lock().is_err()
    }

    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }

    pub(super) fn video(&self) -> Video {
        lock(&self.video).clone()
    }

    /// The cameras by name, in order; keeps none of them alive.
    pub(super) fn camera_names(&self) -> Vec<String> {
        lock(&self.video).feeds.iter().map(|feed| feed.name().to_owned()).collect()
    }

    /// Replaces the cameras and wakes every connection that waits for them.
    pub(super) fn set_video(&self, change: impl FnOnce(&mut Video)) {
        // Kept to the end: cameras that are replaced end outside of the lock, because that may run their author's code.
        let before = self.video();
        let mut video = lock(&self.video);
        change(&mut video);
        if !Feed::same(&before.feeds, &video.feeds) {
            video.generation += 1;
        }
        drop(video);
        for client in self.session().clients.values() {
            client.video_changed.notify_one();
        }
    }

    pub(super) fn frame(&self) -> Option<VrFrame> {
        lock(&self.frame).map(|(_, frame)| frame)
    }

    pub(super) fn render_frame(&self) -> Option<VrFrame> {
        let (stream, latest) = (*lock(&self.frame))?;
        let rendered = lock(&self.arbiter).render(clock::now(), stream);
        Some(rendered.map_or(latest, |rendered| rendered.frame))
    }

    /// Pushes a state that overrides the headsets' own. Any but `recording` takes them out of an episode, which the server
    /// has ended by that: the change that their next frames show is no decision of an operator.
    pub(super) fn push_state(&self, state: VrState) {
        if state != VrState::Recording {
            lock(&self.arbiter).end_episode();
            if let Some((_, edges)) = &mut *lock(&self.interrupted) {
                edges.end();
            }
        }
        let mut session = self.session();
        session.state = state;
        session.broadcast(&ServerMessage::State(state));
    }

    /// The hands, of the stream whose frame came last, that begin to count as lost at `now`, with how long they have been
    /// held.
    pub(super) fn newly_lost_hands(&self, ingest: &mut Ingest, now: MonoTime) -> Vec<(Hand, Duration)> {
        let shown = *lock(&self.frame);
        let rendered = shown.and_then(|(stream, _)| lock(&self.arbiter).render(now, stream));
        ingest.lost_hands.news(rendered.as_ref())
    }

    pub(super) fn take_episodes(&self) -> Vec<EpisodeEvent> {
        lock(&self.episodes).drain(..).collect()
    }

    pub(super) fn set_callback(&self, callback: Option<OnFrame>) {
        let before = std::mem::replace(&mut *lock(&self.callback), callback);
        // Its author's code may run with it, so not under the lock.
        drop(before);
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
        let name = ingest.streams.of(conn).and_then(|id| ingest.streams.public_name(id)).map(str::to_owned);
        if let Some(stream) = ingest.streams.close(conn) {
            self.close_stream(&mut ingest, stream, name);
        }
    }

    /// `name`: what the stream was called, so that it may go on when it returns.
    fn close_stream(&self, ingest: &mut Ingest, stream: SourceId, name: Option<String>) {
        lock(&self.frame).take_if(|(from, _)| *from == stream);
        let interrupted = self.arbitrate(ingest, |arbiter, events| {
            arbiter.on_closed(clock::now(), stream, events);
            arbiter.take_interrupted()
        });
        if let Some(left) = name.zip(interrupted) {
            *lock(&self.interrupted) = Some(left);
        }
    }

    /// Does something to the arbiter and tells everybody what came of it.
    pub(super) fn arbitrate<T>(&self, ingest: &mut Ingest, act: impl FnOnce(&mut Arbiter, &mut Vec<Event>) -> T) -> T {
        let mut events = std::mem::take(&mut ingest.events);
        let result = act(&mut lock(&self.arbiter), &mut events);
        if !events.is_empty() {
            if events.contains(&Event::Episode(Episode::Start)) {
                // Whoever left in the middle of an episode cannot go on with it any more.
                *lock(&self.interrupted) = None;
            }
            self.publish(events.drain(..));
            self.tell(ingest);
        }
        ingest.events = events;
        result
    }

    /// A pose frame arrived on a socket.
    pub(super) fn accept(&self, conn: ConnId, frame: &VrFrame) {
        let now = clock::now();
        // Outlives the lock: if it was replaced meanwhile, its author's code runs with it.
        let callback = lock(&self.callback).clone();
        let mut ingest = self.ingest();
        let (verdict, left) = ingest.streams.admit(now, conn, frame);
        if let Some(left) = left {
            self.close_stream(&mut ingest, left, None);
        }
        let stream = match verdict {
            Verdict::Accepted(stream) => stream,
            Verdict::Repeated => return self.metrics.duplicate_frame(),
            Verdict::TooFast => return self.metrics.excess_frame(),
        };
        self.metrics.accepted_frame();
        let attached = self.attached.load(Ordering::Acquire);
        let (admission, lost) = self.arbitrate(&mut ingest, |arbiter, events| {
            let admission = arbiter.on_frame(now, stream, frame, events);
            let lost = events.iter().find_map(|event| match event {
                Event::DecisionsLost(lost) => Some(*lost),
                _ => None,
            });
            if !attached {
                // Resets are the business of the user's own consumer; a pending one would keep everybody from engaging.
                arbiter.take_reset();
            }
            (admission, lost)
        });
        let mut panicked = false;
        if admission == Admission::Admitted {
            *lock(&self.frame) = Some((stream, *frame));
            panicked =
                callback.as_ref().is_some_and(|callback| catch_unwind(AssertUnwindSafe(|| callback(frame))).is_err());
        }
        // Logs may block, which nobody else's frames shall wait for.
        drop(ingest);
        if let Some(lost) = lost
            && self.log_due("lost_decisions")
        {
            tracing::warn!(conn = conn.0, lost, "decisions about episodes were lost; the latest one counts");
        }
        if panicked && self.log_due("on_frame") {
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
        if self.log_due(kind) {
            tracing::warn!(conn = conn.0, kind, "message refused: {what}");
        }
    }

    /// Whether a line of this kind may be logged now: one per second.
    pub(super) fn log_due(&self, kind: &'static str) -> bool {
        self.logged.may_log(clock::now(), kind)
    }

    /// Popup state of a headset; while somebody drives, only the driver's counts.
    pub(super) fn publish_hud(&self, conn: ConnId, value: HudValue) {
        let stream = lock(&self.ingest).streams.of(conn);
        let driver = lock(&self.arbiter).lease().driver;
        let mut session = self.session();
        // Whoever shows a popup may take it back, also when somebody else drives by now.
        if driver.is_none() || driver == stream || (value.is_none() && session.shows_hud_of(conn)) {
            session.publish_hud(conn, value);
        }
    }

    /// Agrees on extensions: answers with the server's hello, then the snapshot if negotiated.
    pub(super) fn hello(&self, conn: ConnId, hello: &ClientHello) {
        let mut ingest = lock(&self.ingest);
        if let Some(left) = ingest.streams.name(conn, &hello.stream, hello.role) {
            self.close_stream(&mut ingest, left, None);
        }
        let now = clock::now();
        let stream = ingest.streams.of(conn).filter(|_| hello.role == Role::Driver);
        let resumed = lock(&self.interrupted).take_if(|(name, _)| stream.is_some() && *name == hello.stream);
        if let (Some(stream), Some((_, edges))) = (stream, resumed) {
            lock(&self.arbiter).resume(now, stream, edges);
        }
        if let Some(stream) = stream
            && hello.caps.contains(&Capability::Counters)
        {
            lock(&self.arbiter).use_counters(now, stream);
        }
        let server = concat!("waldo/", env!("CARGO_PKG_VERSION")).to_owned();
        let reply = ServerHello::answer(hello, Capability::ALL, server, conn.0.to_string());
        let mut session = self.session();
        let snapshot = self.snapshot(&ingest.streams, &session);
        let (lease, hold) = {
            let arbiter = lock(&self.arbiter);
            (arbiter.lease(), hold_of(&arbiter, &ingest.streams, conn))
        };
        let Some(client) = session.clients.get_mut(&conn) else { return };
        client.caps.clone_from(&reply.caps);
        client.send(&ServerMessage::Hello(reply));
        client.owe_snapshot();
        client.tell_standing(now, Some(&snapshot), hold);
        // Only the driver must hear what was asked before it came, and not as a part of the greeting.
        client.owed_request = lease.request.is_some() && stream.is_some() && stream == lease.driver;
    }

    pub(super) fn note_episode(&self, event: EpisodeEvent) {
        let mut episodes = lock(&self.episodes);
        if episodes.len() == MAX_EPISODES {
            episodes.pop_front();
        }
        episodes.push_back(event);
    }

    /// What keeps the arms from following, if they are in such a state.
    pub(super) fn hold(&self) -> Option<HoldReason> {
        lock(&self.arbiter).hold(clock::now()).map(|hold| hold.reason)
    }
}
