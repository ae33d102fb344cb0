//! What all clients of the VR service share: who is connected, and what is announced to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::Notify;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{
    Capability, Haptic, HapticPattern, Hold, HoldReason, HudValue, Mode, ServerMessage, Severity, Snapshot, VrState,
};

use super::bucket::Bucket;
use super::outbox::{Outbox, Outgoing};
use crate::control::LeaseView;

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnId(pub(super) u64);

/// One connected client as others see it.
#[derive(Debug)]
pub(super) struct Client {
    /// What is on its way to the socket.
    pub(super) outbox: Arc<Outbox>,
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
    /// At most ten words about holds in any second; later ones wait for the next look at what holds.
    hold_words: Bucket,
    /// The state of the service changed, and the client has not been told yet.
    pub(super) owed_snapshot: bool,
    /// The client drives and joined after it was asked for the lease.
    pub(super) owed_request: bool,
    /// The hold this client, driving, felt last.
    felt: Option<HoldReason>,
}

impl Client {
    pub(super) fn new(outbox: Arc<Outbox>, kick: Arc<Notify>, video_changed: Arc<Notify>) -> Self {
        Self {
            outbox,
            kick,
            video_changed,
            drives: Arc::default(),
            caps: Vec::new(),
            told_hold: None,
            hold_words: Bucket::new(5.0, 5.0),
            owed_snapshot: false,
            owed_request: false,
            felt: None,
        }
    }

    /// Queues a message; a full queue ends the connection instead of delaying anybody.
    pub(super) fn send(&self, message: impl Into<Outgoing>) {
        if !self.outbox.push(message.into()) {
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
            self.send(message);
        }
    }

    /// Lets the driver feel that motion is held or limited from now on.
    pub(super) fn feel_hold(&mut self, hold: Option<&Hold>) {
        let before = std::mem::replace(&mut self.felt, hold.map(|h| h.reason));
        let Some(hold) = hold.filter(|h| before != Some(h.reason)) else { return };
        let pattern = match (hold.severity, hold.reason) {
            (Severity::Info, _) => return,
            (_, HoldReason::Contact) => HapticPattern::Contact,
            (Severity::Clamp, _) => HapticPattern::Clamp,
            (Severity::Hold, _) => HapticPattern::Hold,
        };
        let haptic = Haptic { hand: hold.hand, amplitude: 0.5, ms: 60, pattern: Some(pattern) };
        self.tell(Capability::Haptic, &ServerMessage::Haptic(haptic));
    }

    /// The state of the service changed; who has that extension is told with the next word.
    pub(super) fn owe_snapshot(&mut self) {
        self.owed_snapshot = self.has(Capability::Snapshot);
    }

    /// Tells the client what it does not know yet: the state of the service if one is owed, and why motion is held.
    pub(super) fn tell_standing(&mut self, now: MonoTime, snapshot: Option<&Snapshot>, hold: Option<Hold>) {
        let snapshot = snapshot.filter(|_| self.owed_snapshot);
        let news = self.has(Capability::Hold) && !same_hold(self.told_hold.as_ref(), hold.as_ref());
        if (snapshot.is_none() && !news) || !self.hold_words.take(now) {
            return;
        }
        self.told_hold.clone_from(&hold);
        match snapshot {
            Some(snapshot) => {
                self.owed_snapshot = false;
                let motion = snapshot.motion.filter(|_| self.has(Capability::Motion));
                self.send(&ServerMessage::Snapshot(Snapshot { hold, motion, ..snapshot.clone() }));
            }
            None => self.send(&ServerMessage::Hold(hold)),
        }
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
    /// When they are to be told next.
    pub(super) health_due: Option<MonoTime>,
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
            client.send(&message);
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
        let message = Outgoing::from(&ServerMessage::Hud(self.hud.clone()));
        for (_, client) in self.clients.iter().filter(|(id, _)| **id != from) {
            client.send(message.clone());
        }
    }

    /// Whether every client's socket has taken all that was queued.
    pub(super) fn all_sent(&self) -> bool {
        self.clients.values().all(|client| client.outbox.is_empty())
    }

    /// Queues a message of an extension for everybody who has it.
    pub(super) fn tell_all(&self, capability: Capability, message: &ServerMessage) {
        let message = Outgoing::from(message);
        for client in self.clients.values().filter(|client| client.has(capability)) {
            client.send(message.clone());
        }
    }

    /// Queues a message for everybody.
    pub(super) fn broadcast(&self, message: impl Into<Outgoing>) {
        let message = message.into();
        for client in self.clients.values() {
            client.send(message.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use waldo_protocol::vr::Hands;

    use super::super::outbox;
    use super::*;

    fn join(session: &mut Session) -> (ConnId, Arc<Outbox>) {
        let outbox = Arc::<Outbox>::default();
        (session.join(Client::new(Arc::clone(&outbox), Arc::default(), Arc::default())), outbox)
    }

    fn received(inbox: &Outbox) -> Vec<String> {
        std::iter::from_fn(|| inbox.pop()).map(|text| text.to_string()).collect()
    }

    fn popup() -> HudValue {
        serde_json::json!({"confirm": "save", "countdownRemainingMs": null}).as_object().cloned()
    }

    #[test]
    fn nothing_is_said_when_nothing_is_set() {
        let mut session = Session::default();
        let (_, inbox) = join(&mut session);
        assert!(received(&inbox).is_empty());
    }

    #[test]
    fn the_greeting_is_mode_episode_hud_tracking_and_never_an_ordinary_state() {
        let mut session = Session { mode: Some(Mode::DataCollection), episode: Some(3), ..Session::default() };
        session.tracking = Some(false);
        session.state = VrState::DataCollection;
        let (publisher, _inbox) = join(&mut session);
        session.publish_hud(publisher, popup());
        let (_, inbox) = join(&mut session);
        let types: Vec<_> = received(&inbox)
            .iter()
            .map(|m| serde_json::from_str::<serde_json::Value>(m).expect("JSON")["type"].clone())
            .collect();
        assert_eq!(types, ["mode", "episode", "hud", "tracking"]);
    }

    #[test]
    fn a_newcomer_is_told_that_an_episode_is_being_saved_and_that_something_is_wrong() {
        for state in [VrState::Saving, VrState::Error] {
            let mut session = Session { state, tracking: Some(false), ..Session::default() };
            let (_, inbox) = join(&mut session);
            let expected = [ServerMessage::Tracking(false), ServerMessage::State(state)].map(|m| m.encode());
            assert_eq!(received(&inbox), expected);
        }
    }

    #[test]
    fn a_hud_goes_to_the_others_only_and_is_cleared_when_its_publisher_leaves() {
        let mut session = Session::default();
        let (a, inbox_a) = join(&mut session);
        let (_, inbox_b) = join(&mut session);
        session.publish_hud(a, popup());
        assert!(received(&inbox_a).is_empty());
        assert_eq!(received(&inbox_b).len(), 1);
        session.leave(a);
        assert_eq!(received(&inbox_b), [ServerMessage::Hud(None).encode()]);
    }

    #[test]
    fn a_hud_that_was_already_null_is_not_cleared_again() {
        let mut session = Session::default();
        let (a, _inbox_a) = join(&mut session);
        let (_, inbox_b) = join(&mut session);
        session.publish_hud(a, None);
        assert_eq!(received(&inbox_b).len(), 1);
        session.leave(a);
        assert!(received(&inbox_b).is_empty());
    }

    #[tokio::test]
    async fn a_client_that_stops_reading_is_disconnected_and_delays_nobody() {
        let mut session = Session::default();
        let kick = Arc::new(Notify::new());
        session.join(Client::new(Arc::default(), Arc::clone(&kick), Arc::default()));
        let (_, inbox) = join(&mut session);
        for _ in 0..=outbox::CAPACITY {
            session.broadcast(Outgoing::text("a word of the program's own".into()));
            assert_eq!(received(&inbox).len(), 1);
        }
        kick.notified().await;
    }

    #[test]
    fn a_client_is_told_of_holds_at_most_ten_times_in_a_second_and_of_the_last_one() {
        let mut client = Client::new(Arc::default(), Arc::default(), Arc::default());
        client.caps = vec![Capability::Hold];
        let hold = |n: u64| Hold {
            reason: if n.is_multiple_of(2) { HoldReason::Stopped } else { HoldReason::ReleaseGrips },
            hand: Hands::Both,
            severity: Severity::Hold,
            text: "".into(),
            since_ms: 0.0,
        };
        let mut told = Vec::new();
        for ms in 0..5_000 {
            client.tell_standing(MonoTime::from_nanos(ms * 1_000_000), None, Some(hold(ms)));
            told.extend(received(&client.outbox).into_iter().map(|text| (ms, text)));
        }
        let in_a_second = |from: u64| told.iter().filter(|(at, _)| (from..from + 1_000).contains(at)).count();
        assert!((0..4_000).all(|from| in_a_second(from) <= 10));
        assert!(told.len() >= 25, "five per second: {}", told.len());
        client.tell_standing(MonoTime::from_nanos(6_000_000_000), None, None);
        assert_eq!(received(&client.outbox), [ServerMessage::Hold(None).encode()]);
    }
}
