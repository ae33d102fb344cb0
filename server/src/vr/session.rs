//! What all clients of the VR service share: who is connected, and what is announced to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::extract::ws::Utf8Bytes;
use tokio::sync::{Notify, mpsc};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{
    Capability, Haptic, HapticPattern, Hold, HoldReason, HudValue, Mode, ServerMessage, Severity, Snapshot, VrState,
};

use crate::control::LeaseView;

/// Messages waiting for one client. A client that falls this far behind is disconnected: it has stopped reading.
pub(super) const OUTBOX_CAPACITY: usize = 64;

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnId(pub(super) u64);

/// One connected client as others see it.
#[derive(Debug)]
pub(super) struct Client {
    /// Text on its way to the socket.
    pub(super) outbox: mpsc::Sender<Utf8Bytes>,
    /// Ends the connection.
    pub(super) kick: Arc<Notify>,
    /// Wakes the connection when the camera sources change.
    pub(super) video_changed: Arc<Notify>,
    /// Whether the robot follows this client's hands; the bitrate of the cameras then follows its network.
    pub(super) drives: Arc<AtomicBool>,
    /// Extensions agreed on in `hello`.
    pub(super) caps: Vec<Capability>,
    /// The hold this client was told last.
    told_hold: Option<Hold>,
    /// The hold this client, driving, felt last.
    felt: Option<HoldReason>,
}

impl Client {
    pub(super) fn new(outbox: mpsc::Sender<Utf8Bytes>, kick: Arc<Notify>, video_changed: Arc<Notify>) -> Self {
        Self { outbox, kick, video_changed, drives: Arc::default(), caps: Vec::new(), told_hold: None, felt: None }
    }

    /// Queues a message; a full queue ends the connection instead of delaying anybody.
    pub(super) fn send(&self, text: Utf8Bytes) {
        if self.outbox.try_send(text).is_err() {
            self.kick.notify_one();
        }
    }

    /// Whether the client agreed on this extension.
    pub(super) fn has(&self, capability: Capability) -> bool {
        self.caps.contains(&capability)
    }

    /// Sends a message of an extension, if the client has it.
    pub(super) fn tell(&self, capability: Capability, message: &ServerMessage) {
        if self.has(capability) {
            self.send(message.encode().into());
        }
    }

    /// Lets the driver feel that motion is held or limited from now on.
    pub(super) fn feel_hold(&mut self, hold: Option<&Hold>) {
        let before = std::mem::replace(&mut self.felt, hold.map(|h| h.reason));
        let Some(hold) = hold.filter(|h| before != Some(h.reason)) else { return };
        let pattern = match hold.severity {
            Severity::Info => return,
            Severity::Clamp => HapticPattern::Clamp,
            Severity::Hold => HapticPattern::Hold,
        };
        let haptic = Haptic { hand: hold.hand, amplitude: 0.5, ms: 60, pattern: Some(pattern) };
        self.tell(Capability::Haptic, &ServerMessage::Haptic(haptic));
    }

    /// Sends the state of the service, the hold included; without that extension only the hold.
    pub(super) fn tell_snapshot(&mut self, snapshot: Snapshot, hold: Option<Hold>) {
        if !self.has(Capability::Snapshot) {
            return self.tell_hold(hold);
        }
        self.told_hold.clone_from(&hold);
        self.send(ServerMessage::Snapshot(Snapshot { hold, ..snapshot }).encode().into());
    }

    /// Tells the client why motion is held, if it understands and does not know yet.
    pub(super) fn tell_hold(&mut self, hold: Option<Hold>) {
        if !self.has(Capability::Hold) || same_hold(self.told_hold.as_ref(), hold.as_ref()) {
            return;
        }
        self.send(ServerMessage::Hold(hold.clone()).encode().into());
        self.told_hold = hold;
    }
}

/// Equal but for their age.
fn same_hold(a: Option<&Hold>, b: Option<&Hold>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a.reason, &a.hand, a.severity, &a.text) == (b.reason, &b.hand, b.severity, &b.text),
        (None, None) => true,
        _ => false,
    }
}

/// Announced state and connected clients.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) clients: BTreeMap<ConnId, Client>,
    pub(super) mode: Option<Mode>,
    pub(super) episode: Option<u64>,
    /// The state that the server pushed last.
    pub(super) state: VrState,
    /// The engage state of an attached consumer; none while no consumer is attached.
    pub(super) tracking: Option<bool>,
    /// The lease that the clients were told of last.
    pub(super) told_lease: LeaseView,
    /// When the clients were told last how their poses travel.
    pub(super) health_told: Option<MonoTime>,
    hud: HudValue,
    hud_publisher: Option<ConnId>,
    next: u64,
}

impl Session {
    /// Adds a client and queues its greeting: mode, episode, hud, then the engage state and an alarming server state.
    pub(super) fn join(&mut self, client: Client) -> ConnId {
        let id = ConnId(self.next);
        self.next += 1;
        let greeting = [
            self.mode.map(ServerMessage::Mode),
            self.episode.map(|n| ServerMessage::Episode(Some(n))),
            self.hud.clone().map(|hud| ServerMessage::Hud(Some(hud))),
            self.tracking.map(ServerMessage::Tracking),
            matches!(self.state, VrState::Saving | VrState::Error).then_some(ServerMessage::State(self.state)),
        ];
        for message in greeting.into_iter().flatten() {
            client.send(message.encode().into());
        }
        self.clients.insert(id, client);
        id
    }

    /// Removes a client. If it published the HUD and the value was live, the others are told that it is gone.
    pub(super) fn leave(&mut self, conn: ConnId) {
        self.clients.remove(&conn);
        if self.hud_publisher == Some(conn) {
            self.hud_publisher = None;
            if self.hud.take().is_some() {
                self.broadcast(&ServerMessage::Hud(None));
            }
        }
    }

    /// Whether this client's popup is the one that all others see.
    pub(super) fn shows_hud_of(&self, conn: ConnId) -> bool {
        self.hud.is_some() && self.hud_publisher == Some(conn)
    }

    /// Stores the popup state of a headset and relays it to all others.
    pub(super) fn publish_hud(&mut self, from: ConnId, value: HudValue) {
        self.hud = value;
        self.hud_publisher = Some(from);
        let text = Utf8Bytes::from(ServerMessage::Hud(self.hud.clone()).encode());
        for (_, client) in self.clients.iter().filter(|(id, _)| **id != from) {
            client.send(text.clone());
        }
    }

    /// Whether every client's socket has taken all that was queued.
    pub(super) fn all_sent(&self) -> bool {
        self.clients.values().all(|client| client.outbox.capacity() == client.outbox.max_capacity())
    }

    /// Queues a message of an extension for everybody who has it.
    pub(super) fn tell_all(&self, capability: Capability, message: &ServerMessage) {
        let text = Utf8Bytes::from(message.encode());
        for client in self.clients.values().filter(|client| client.has(capability)) {
            client.send(text.clone());
        }
    }

    /// Queues a message for everybody.
    pub(super) fn broadcast(&self, message: &ServerMessage) {
        self.broadcast_text(&message.encode().into());
    }

    /// Queues a text for everybody.
    pub(super) fn broadcast_text(&self, text: &Utf8Bytes) {
        for client in self.clients.values() {
            client.send(text.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(session: &mut Session) -> (ConnId, mpsc::Receiver<Utf8Bytes>) {
        let (outbox, inbox) = mpsc::channel(OUTBOX_CAPACITY);
        (session.join(Client::new(outbox, Arc::default(), Arc::default())), inbox)
    }

    fn received(inbox: &mut mpsc::Receiver<Utf8Bytes>) -> Vec<String> {
        std::iter::from_fn(|| inbox.try_recv().ok()).map(|text| text.to_string()).collect()
    }

    fn popup() -> HudValue {
        serde_json::json!({"confirm": "save", "countdownRemainingMs": null}).as_object().cloned()
    }

    #[test]
    fn nothing_is_said_when_nothing_is_set() {
        let mut session = Session::default();
        let (_, mut inbox) = join(&mut session);
        assert!(received(&mut inbox).is_empty());
    }

    #[test]
    fn the_greeting_is_mode_episode_hud_tracking_and_never_an_ordinary_state() {
        let mut session = Session { mode: Some(Mode::DataCollection), episode: Some(3), ..Session::default() };
        session.tracking = Some(false);
        session.state = VrState::DataCollection;
        let (publisher, _inbox) = join(&mut session);
        session.publish_hud(publisher, popup());
        let (_, mut inbox) = join(&mut session);
        let types: Vec<_> = received(&mut inbox)
            .iter()
            .map(|m| serde_json::from_str::<serde_json::Value>(m).expect("JSON")["type"].clone())
            .collect();
        assert_eq!(types, ["mode", "episode", "hud", "tracking"]);
    }

    #[test]
    fn a_hud_goes_to_the_others_only_and_is_cleared_when_its_publisher_leaves() {
        let mut session = Session::default();
        let (a, mut inbox_a) = join(&mut session);
        let (_, mut inbox_b) = join(&mut session);
        session.publish_hud(a, popup());
        assert!(received(&mut inbox_a).is_empty());
        assert_eq!(received(&mut inbox_b).len(), 1);
        session.leave(a);
        assert_eq!(received(&mut inbox_b), [ServerMessage::Hud(None).encode()]);
    }

    #[test]
    fn a_hud_that_was_already_null_is_not_cleared_again() {
        let mut session = Session::default();
        let (a, _inbox_a) = join(&mut session);
        let (_, mut inbox_b) = join(&mut session);
        session.publish_hud(a, None);
        assert_eq!(received(&mut inbox_b).len(), 1);
        session.leave(a);
        assert!(received(&mut inbox_b).is_empty());
    }

    #[tokio::test]
    async fn a_client_that_stops_reading_is_disconnected_and_delays_nobody() {
        let mut session = Session::default();
        let kick = Arc::new(Notify::new());
        let (outbox, _stuck) = mpsc::channel(OUTBOX_CAPACITY);
        session.join(Client::new(outbox, Arc::clone(&kick), Arc::default()));
        let (_, mut inbox) = join(&mut session);
        for _ in 0..=OUTBOX_CAPACITY {
            session.broadcast(&ServerMessage::Tracking(true));
            assert_eq!(received(&mut inbox).len(), 1);
        }
        kick.notified().await;
    }
}
