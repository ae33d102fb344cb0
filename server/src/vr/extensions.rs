//! What only clients get that agreed on it in `hello`: lease, stop, motion scale, haptics, pings, health.

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{
    Capability, LeaseReply, LeaseRequest, LeaseState, MotionScale, Ping, Pong, Role, ServerMessage, Stop,
};

use super::service::{Service, lock};
use super::session::ConnId;
use crate::clock;
use crate::control::Arbiter;

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
            let holder = lock(&self.arbiter).lease().driver;
            let state = if holder.is_some() { LeaseState::Held } else { LeaseState::Free };
            let driver = holder.and_then(|id| ingest.streams.public_name(id)).map(str::to_owned);
            let reply = LeaseReply { n: request.n, ok: false, state, reason: None, driver };
            if let Some(client) = self.session().clients.get(&conn) {
                client.tell(Capability::Lease, &ServerMessage::LeaseReply(reply));
            }
            return;
        }
        self.arbitrate(&mut ingest, |arbiter, events| arbiter.on_lease(clock::now(), who, request, events));
    }

    /// A client sets or clears the stop latch. Who only watches may do both: to the wire it is the robot's dashboard.
    pub(super) fn on_stop(&self, conn: ConnId, stop: Stop) {
        if !self.has(conn, Capability::Stop) {
            return;
        }
        let mut ingest = self.ingest();
        let Some(who) = ingest.streams.of(conn) else { return };
        let role = if ingest.streams.is_viewer(conn) { Role::Viewer } else { Role::Driver };
        let stopped = |arbiter: &mut Arbiter, events: &mut _| arbiter.on_stop(clock::now(), (who, role), stop, events);
        let counts = self.arbitrate(&mut ingest, stopped);
        drop(ingest);
        if counts && self.log_due("stop") {
            tracing::info!(conn = conn.0, clear = stop.clear, "stop");
        }
    }

    /// A client sets the scale of motion; everybody is told which one is in force.
    pub(super) fn on_motion(&self, conn: ConnId, scale: MotionScale) {
        if !self.has(conn, Capability::Motion) {
            return;
        }
        let ingest = self.ingest();
        let Some(who) = ingest.streams.of(conn).filter(|_| !ingest.streams.is_viewer(conn)) else { return };
        let session = self.session();
        let scale = lock(&self.arbiter).set_scale(who, scale);
        session.tell_all(Capability::Motion, &ServerMessage::Motion(scale));
    }

    /// Answers a ping that came at `received`.
    pub(super) fn on_ping(&self, conn: ConnId, ping: Ping, received: MonoTime) {
        if let Some(client) = self.session().clients.get(&conn) {
            let (rx, tx) = (millis(received), millis(clock::now()));
            client.tell(Capability::Ping, &ServerMessage::Pong(Pong { n: ping.n, t: ping.t, rx, tx }));
        }
    }
}

/// A time in milliseconds of the server's clock.
fn millis(time: MonoTime) -> f64 {
    time.as_nanos() as f64 * 1e-6
}
