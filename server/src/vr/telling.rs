//! What clients are told without asking: what changed, why motion is held, how their poses travel.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use waldo_protocol::vr::{
    Capability, Hands, Haptic, HapticPattern, Health, Hold, LeaseNotice, LeaseReply, ServerMessage, Snapshot,
};

use super::service::{EpisodeEvent, Ingest, Service, lock};
use super::session::{Client, ConnId, Session};
use super::streams::Streams;
use crate::clock;
use crate::control::{Arbiter, Event, LeaseAnswer, LeaseView};
use crate::video::Feed;

/// How often clients are told how their poses travel.
const HEALTH_PERIOD: Duration = Duration::from_millis(500);

impl Service {
    /// What a snapshot tells everybody alike.
    pub(super) fn snapshot(&self, streams: &Streams, session: &Session) -> Snapshot {
        let arbiter = lock(&self.arbiter);
        Snapshot {
            mode: session.mode,
            episode: session.episode,
            state: session.state,
            tracking: session.tracking.unwrap_or(false),
            hold: None,
            reset_n: arbiter.resets(),
            driver: arbiter.lease().driver.and_then(|id| streams.public_name(id)).map(str::to_owned),
            cameras: self.camera_names(),
            motion: Some(arbiter.scale()),
        }
    }

    /// Tells the clients what happened: the engage toggle at once, all else with the next [`Service::tell`]. Values are
    /// read anew under the session's lock, so that two events from two threads can never leave the clients with the
    /// older one.
    pub(super) fn publish(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            match event {
                Event::Tracking(_) if self.attached.load(Ordering::Acquire) => {
                    let mut session = self.session();
                    let engaged = lock(&self.arbiter).engaged();
                    session.tracking = Some(engaged);
                    session.broadcast(&ServerMessage::Tracking(engaged));
                }
                Event::Episode(decision) => self.note_episode(EpisodeEvent::Decided(decision)),
                Event::Interrupted(_) => self.note_episode(EpisodeEvent::Interrupted),
                Event::Resumed(_) => self.note_episode(EpisodeEvent::Resumed),
                Event::DecisionsLost(lost) => self.metrics.lost_decisions(lost),
                Event::Tracking(_) | Event::Lease | Event::Scale | Event::Answer(_) => {}
            }
            lock(&self.later).push(event);
        }
    }

    /// Tells the clients what has changed since the last call: who drives, why motion is held, what became of requests.
    pub(super) fn tell(&self, ingest: &Ingest) {
        let later = std::mem::take(&mut *lock(&self.later));
        let now = clock::now();
        let mut session = self.session();
        // Encoding may take its time, which the control thread shall not wait for: from here on without the arbiter.
        let (lease, scale, holds) = {
            let arbiter = lock(&self.arbiter);
            let hold_of = |conn: &ConnId| hold_of(&arbiter, &ingest.streams, *conn);
            let holds: Vec<_> = session.clients.keys().map(hold_of).collect();
            (arbiter.lease(), arbiter.scale(), holds)
        };
        let told = std::mem::replace(&mut session.told_lease, lease);
        if lease.driver != told.driver {
            session.clients.values_mut().for_each(Client::owe_snapshot);
        }
        let owed = session.clients.values().any(|client| client.owed_snapshot);
        let snapshot = owed.then(|| self.snapshot(&ingest.streams, &session));
        for ((conn, client), hold) in session.clients.iter_mut().zip(holds) {
            let drives = lease.driver.is_some() && ingest.streams.of(*conn) == lease.driver;
            client.drives.store(drives, Ordering::Relaxed);
            if drives {
                client.feel_hold(hold.as_ref());
            }
            client.tell_standing(now, snapshot.as_ref(), hold);
        }
        self.tell_lease(&mut session, &ingest.streams, &lease, lease != told);
        for event in later {
            if event == Event::Scale {
                session.tell_all(Capability::Motion, &ServerMessage::Motion(scale));
            }
            tell(&session, &ingest.streams, [&told, &lease], event);
        }
    }

    /// Tells everybody how the lease stands if that changed, and otherwise those of the driver's sockets that came too
    /// late to hear who asks.
    fn tell_lease(&self, session: &mut Session, streams: &Streams, lease: &LeaseView, changed: bool) {
        let late = session.clients.values().any(|client| client.owed_request);
        if !changed && !late {
            return;
        }
        let notice = ServerMessage::LeaseNotice(lease_notice(lease, streams));
        for client in session.clients.values_mut() {
            if std::mem::take(&mut client.owed_request) || changed {
                client.tell(Capability::Lease, &notice);
            }
        }
    }

    /// Watchdogs, frames that were too fast, and all that is told without anybody asking; called about ten times a
    /// second.
    pub(super) fn tick(&self) {
        // Outlives every lock: if it is the last handle of a camera that was replaced, its author's code runs with it.
        let feeds = self.video().feeds;
        let overdue = self.ingest().streams.overdue(clock::now());
        for (conn, frame) in overdue {
            self.accept(conn, &frame);
        }
        let mut ingest = self.ingest();
        self.arbitrate(&mut ingest, |arbiter, events| arbiter.on_tick(clock::now(), events));
        self.tell(&ingest);
        self.report_health(&mut ingest, &feeds);
        let lost = self.newly_lost_hands(&mut ingest, clock::now());
        // Logs may block, which nobody's frames shall wait for.
        drop(ingest);
        for (hand, held) in lost {
            tracing::warn!(?hand, ?held, "the headset does not see this controller; its arm holds");
        }
    }

    /// Tells every client, twice a second, how its poses travel.
    fn report_health(&self, ingest: &mut Ingest, feeds: &[Feed]) {
        let now = clock::now();
        let mut session = self.session();
        if session.health_due.is_some_and(|due| now < due) {
            return;
        }
        // From when it was due, so that late calls do not add up; what was missed is left out.
        let next = session.health_due.unwrap_or(now) + HEALTH_PERIOD;
        session.health_due = Some(if next > now { next } else { now + HEALTH_PERIOD });
        let since = session.health_told.replace(now).map(|told| now.since(told).as_secs_f64());
        let ticks = lock(&self.arbiter).take_control_ticks();
        let ik_hz = since.filter(|s| *s > 0.0).map_or(0.0, |seconds| f64::from(ticks) / seconds);
        let video = feeds.iter().filter_map(|feed| Some((feed.name().to_owned(), feed.take_health(now)?)));
        let video: BTreeMap<_, _> = video.collect();
        // Once per stream: its counts begin anew with each report, and a page may have two sockets.
        let mut streams = BTreeMap::new();
        for (conn, client) in session.clients.iter().filter(|(_, client)| client.has(Capability::Health)) {
            let Some(stream) = ingest.streams.of(*conn) else { continue };
            let health = streams.entry(stream).or_insert_with(|| {
                let travel = ingest.streams.travel(now, stream).unwrap_or_default();
                let (jitter, delay) = lock(&self.arbiter).playout(stream).unwrap_or_default();
                let [jitter_ms, delay_ms] = [jitter, delay].map(|time| time.as_secs_f64() * 1e3);
                ServerMessage::Health(Health { ik_hz, jitter_ms, delay_ms, video: video.clone(), ..travel })
            });
            client.tell(Capability::Health, health);
        }
    }
}

/// Tells those whom it concerns what happened.
fn tell(session: &Session, streams: &Streams, [before, lease]: [&LeaseView; 2], event: Event) {
    let tell = |source, capability, message: &ServerMessage| {
        for client in streams.sockets_of(source).filter_map(|conn| session.clients.get(&conn)) {
            client.tell(capability, message);
        }
    };
    match event {
        Event::Tracking(engaged) => {
            let pattern = Some(if engaged { HapticPattern::Engage } else { HapticPattern::Disengage });
            let haptic = Haptic { hand: Hands::Both, amplitude: 0.6, ms: if engaged { 80 } else { 40 }, pattern };
            // Whoever is replaced feels it, not who comes after.
            let driver = if engaged { lease.driver } else { before.driver.or(lease.driver) };
            if let Some(driver) = driver {
                tell(driver, Capability::Haptic, &ServerMessage::Haptic(haptic));
            }
        }
        Event::Answer(LeaseAnswer { to, n, ok, state, reason }) => {
            let driver = lease.driver.and_then(|id| streams.public_name(id)).map(str::to_owned);
            let reply = LeaseReply { n, ok, state, reason, driver };
            tell(to, Capability::Lease, &ServerMessage::LeaseReply(reply));
        }
        Event::Scale => {}
        // The lease is told to everybody by comparing with what was told before, episodes to whoever asks.
        Event::Lease | Event::Episode(_) | Event::DecisionsLost(_) | Event::Interrupted(_) | Event::Resumed(_) => {}
    }
}

/// Who drives and who asks to, by the names that clients know.
fn lease_notice(lease: &LeaseView, streams: &Streams) -> LeaseNotice {
    let name = |id| streams.public_name(id).map(str::to_owned);
    LeaseNotice {
        driver: lease.driver.and_then(name),
        requested_by: lease.request.and_then(|(by, _)| name(by)),
        deadline_ms: lease.request.map(|(_, deadline)| deadline.since(clock::now()).as_secs_f64() * 1e3),
    }
}

/// Why this client's frames move nothing.
pub(super) fn hold_of(arbiter: &Arbiter, streams: &Streams, conn: ConnId) -> Option<Hold> {
    let now = clock::now();
    streams.of(conn).map_or_else(|| arbiter.hold(now), |stream| arbiter.hold_for(now, stream))
}
