//! What only clients get that agreed on it in `hello`: lease, stop, motion scale, haptics, pings, health.

use std::collections::BTreeMap;
use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{
    Capability, Hands, Haptic, HapticPattern, Health, LeaseNotice, LeaseReply, LeaseRequest, LeaseState, MotionScale,
    Ping, Pong, ServerMessage, Stop,
};

use super::service::{Ingest, Service, lock};
use super::session::{ConnId, Session};
use super::streams::Streams;
use crate::clock;
use crate::control::{Event, LeaseAnswer, LeaseView};

/// The extensions that the service offers.
pub(super) const OFFERED: &[Capability] = &[
    Capability::Snapshot,
    Capability::Lease,
    Capability::Counters,
    Capability::Hold,
    Capability::Haptic,
    Capability::Ping,
    Capability::Health,
    Capability::ElbowEst,
    Capability::Motion,
    Capability::Stop,
];

/// How often clients are told how their poses travel.
const HEALTH_PERIOD: Duration = Duration::from_millis(500);

impl Service {
    fn has(&self, conn: ConnId, capability: Capability) -> bool {
        self.session().clients.get(&conn).is_some_and(|client| client.has(capability))
    }

    /// A client's word about the lease.
    pub(super) fn on_lease(&self, conn: ConnId, request: LeaseRequest) {
        if !self.has(conn, Capability::Lease) {
            return;
        }
        let mut ingest = self.ingest();
        let Some(who) = ingest.streams.of(conn) else { return };
        if ingest.streams.is_viewer(conn) {
            // It said that it only watches, so its frames count for nothing.
            let state = match lock(&self.arbiter).lease().driver {
                Some(_) => LeaseState::Held,
                None => LeaseState::Free,
            };
            let reply = LeaseReply { n: request.n, ok: false, state, reason: None, driver: None };
            if let Some(client) = self.session().clients.get(&conn) {
                client.tell(Capability::Lease, &ServerMessage::LeaseReply(reply));
            }
            return;
        }
        self.arbitrate(&mut ingest, |arbiter, events| arbiter.on_lease(clock::now(), who, request, events));
    }

    /// A client sets or clears the stop latch. Who only watches may stop too.
    pub(super) fn on_stop(&self, conn: ConnId, stop: Stop) {
        if !self.has(conn, Capability::Stop) {
            return;
        }
        let mut ingest = self.ingest();
        let Some(who) = ingest.streams.of(conn) else { return };
        self.arbitrate(&mut ingest, |arbiter, events| arbiter.on_stop(clock::now(), who, stop, events));
        drop(ingest);
        tracing::info!(conn = conn.0, clear = stop.clear, "stop");
    }

    /// A client sets the scale of motion; everybody is told which one is in force.
    pub(super) fn on_motion(&self, conn: ConnId, scale: MotionScale) {
        if !self.has(conn, Capability::Motion) {
            return;
        }
        let ingest = self.ingest();
        let Some(who) = ingest.streams.of(conn).filter(|_| !ingest.streams.is_viewer(conn)) else { return };
        let session = self.session();
        let mut arbiter = lock(&self.arbiter);
        let before = arbiter.scale();
        let scale = ServerMessage::Motion(arbiter.set_scale(who, scale));
        if arbiter.scale() != before {
            session.tell_all(Capability::Motion, &scale);
        } else if let Some(client) = session.clients.get(&conn) {
            client.tell(Capability::Motion, &scale);
        }
    }

    /// Answers a ping that came at `received`.
    pub(super) fn on_ping(&self, conn: ConnId, ping: Ping, received: MonoTime) {
        if let Some(client) = self.session().clients.get(&conn) {
            let (rx, tx) = (millis(received), millis(clock::now()));
            client.tell(Capability::Ping, &ServerMessage::Pong(Pong { n: ping.n, t: ping.t, rx, tx }));
        }
    }

    /// Tells every client, twice a second, how its poses travel.
    pub(super) fn report_health(&self, ingest: &mut Ingest) {
        let now = clock::now();
        let mut session = self.session();
        if session.health_told.is_some_and(|told| now.since(told) < HEALTH_PERIOD) {
            return;
        }
        let since = session.health_told.replace(now).map(|told| now.since(told).as_secs_f64());
        let ticks = lock(&self.arbiter).take_control_ticks();
        let ik_hz = since.filter(|s| *s > 0.0).map_or(0.0, |seconds| f64::from(ticks) / seconds);
        let feeds = self.video().feeds;
        let video = feeds.iter().filter_map(|feed| Some((feed.name().to_owned(), feed.take_health(now)?)));
        let video: BTreeMap<_, _> = video.collect();
        for (conn, client) in &session.clients {
            if !client.has(Capability::Health) {
                continue;
            }
            let travel = ingest.streams.of(*conn).and_then(|stream| ingest.streams.travel(now, stream));
            let playout = ingest.streams.of(*conn).and_then(|stream| lock(&self.arbiter).playout(stream));
            let (jitter, delay) = playout.unwrap_or_default();
            let [jitter_ms, delay_ms] = [jitter, delay].map(|time| time.as_secs_f64() * 1e3);
            let health = Health { ik_hz, jitter_ms, delay_ms, video: video.clone(), ..travel.unwrap_or_default() };
            client.tell(Capability::Health, &ServerMessage::Health(health));
        }
    }
}

/// Tells those whom it concerns what happened.
pub(super) fn tell(session: &Session, streams: &Streams, lease: &LeaseView, event: Event) {
    let tell = |source, capability, message: &ServerMessage| {
        for client in streams.sockets_of(source).filter_map(|conn| session.clients.get(&conn)) {
            client.tell(capability, message);
        }
    };
    match event {
        Event::Tracking(engaged) => {
            let pattern = Some(if engaged { HapticPattern::Engage } else { HapticPattern::Disengage });
            let haptic = Haptic { hand: Hands::Both, amplitude: 0.6, ms: if engaged { 80 } else { 40 }, pattern };
            if let Some(driver) = lease.driver {
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
        Event::Lease | Event::Episode(_) | Event::Interrupted(_) => {}
    }
}

/// Who drives and who asks to, by the names that clients know.
pub(super) fn lease_notice(lease: &LeaseView, streams: &Streams) -> LeaseNotice {
    let name = |id| streams.public_name(id).map(str::to_owned);
    LeaseNotice {
        driver: lease.driver.and_then(name),
        requested_by: lease.request.and_then(|(by, _)| name(by)),
        deadline_ms: lease.request.map(|(_, deadline)| deadline.since(clock::now()).as_secs_f64() * 1e3),
    }
}

/// A time in milliseconds of the server's clock.
fn millis(time: MonoTime) -> f64 {
    time.as_nanos() as f64 * 1e-6
}
