//! What comes from the robot.

use std::rc::Rc;

use waldo_protocol::vr::{Capability, ClientMessage, Hands, IceServer, Role, ServerMessage};

use super::Engine;
use crate::browser::now;
use crate::peer::Offer;
use crate::socket::SocketEvent;
use crate::summary::Presence;

/// Pulses of the page's own, where the robot sends none: strength 0 to 1, milliseconds.
const ENGAGED_PULSE: (f64, f64) = (0.6, 80.0);
const DISENGAGED_PULSE: (f64, f64) = (0.3, 40.0);

impl Engine {
    pub(super) fn on_socket(self: &Rc<Self>, event: SocketEvent) {
        match event {
            SocketEvent::Reachable => {
                if let Err(trouble) = self.paths.connection.reachable() {
                    self.fail(trouble);
                }
            }
            SocketEvent::Opened => self.socket_opened(),
            SocketEvent::Text(text) => {
                if let Some(message) = ServerMessage::decode(&text) {
                    self.on_message(message);
                }
            }
            // This wire has none.
            SocketEvent::Bytes(_) => {}
            SocketEvent::Closed => {
                self.socket_closed();
                self.tick();
            }
        }
    }

    fn socket_opened(&self) {
        self.paths.connection.opened();
        self.trouble.replace(None);
        self.video.socket_changed(true);
        self.paths.channel.socket_changed(self.role == Role::Driver);
        self.poses.borrow_mut().count_presses(false);
        self.clock.take();
        self.send(&self.hello());
        if matches!(self.presence.get(), Presence::Visible | Presence::Hidden) {
            self.publish_hud();
        }
        // Asks for pictures and the pose channel at once: a robot needs no hello for those.
        self.tick();
    }

    fn on_message(self: &Rc<Self>, message: ServerMessage) {
        let was_engaged = self.robot.borrow().engaged;
        self.robot.borrow_mut().apply(&message, &self.stream, now());
        match message {
            ServerMessage::Hello(_) => self.greeted(),
            ServerMessage::Mode(mode) => self.poses.borrow_mut().recording.push_mode(mode),
            ServerMessage::State(state) => self.poses.borrow_mut().recording.push_state(state),
            ServerMessage::Snapshot(snapshot) => {
                // Told again and again: only news is a push.
                let known = self.poses.borrow().recording.mode();
                let news = snapshot.mode.filter(|mode| self.spoke_hello() && known != Some(*mode));
                if let Some(mode) = news {
                    self.poses.borrow_mut().recording.push_mode(mode);
                }
                self.heed_hold();
            }
            ServerMessage::Hold(_) => self.heed_hold(),
            ServerMessage::Haptic(haptic) => self.pulse(haptic.hand, haptic.amplitude, f64::from(haptic.ms)),
            ServerMessage::Tracking(engaged) if was_engaged.is_some_and(|was| was != engaged) => {
                self.tell_hands(engaged)
            }
            ServerMessage::Pong(pong) => self.clock.borrow_mut().on_pong(&pong, now()),
            ServerMessage::WebrtcOffer { sdp, tracks, ice_servers } => {
                let offer = self.offer(sdp, ice_servers);
                self.video.offered(offer, &tracks, self.answering(|sdp| ClientMessage::WebrtcAnswer { sdp }));
            }
            ServerMessage::ControlOffer { sdp, ice_servers } if self.role == Role::Driver => {
                let offer = self.offer(sdp, ice_servers);
                self.paths.channel.offered(offer, self.answering(|sdp| ClientMessage::ControlAnswer { sdp }));
            }
            ServerMessage::WebrtcPending => self.video.pending(),
            ServerMessage::WebrtcUnavailable => self.video.unavailable(),
            _ => {}
        }
        self.refresh_hud();
    }

    /// The robot speaks the extensions.
    fn greeted(&self) {
        self.paths.connection.greeted();
        let mut poses = self.poses.borrow_mut();
        poses.count_presses(self.has(Capability::Counters));
        let mut stop = self.stop.borrow_mut();
        if self.has(Capability::Stop) {
            poses.resume();
            stop.connected();
        } else if stop.wanted() {
            poses.halt();
        }
    }

    fn heed_hold(&self) {
        let reason = self.robot.borrow().hold.as_ref().map(|hold| hold.reason);
        self.stop.borrow_mut().told(reason);
    }

    /// A pulse of the page's own, should the robot send none.
    fn tell_hands(&self, engaged: bool) {
        if !self.has(Capability::Haptic) {
            let (amplitude, ms) = if engaged { ENGAGED_PULSE } else { DISENGAGED_PULSE };
            self.pulse(Hands::Both, amplitude, ms);
        }
    }

    fn spoke_hello(&self) -> bool {
        self.robot.borrow().hello.is_some()
    }

    fn pulse(&self, hands: Hands, amplitude: f64, ms: f64) {
        if let Some(presentation) = &*self.presentation.borrow() {
            presentation.pulse(hands, amplitude, ms);
        }
    }

    fn offer(&self, sdp: String, ice_servers: Vec<IceServer>) -> Offer {
        Offer { sdp, ice_servers, plain: !self.spoke_hello() }
    }

    fn answering(self: &Rc<Self>, message: fn(String) -> ClientMessage) -> impl FnOnce(String) + use<> {
        let engine = Rc::downgrade(self);
        move |sdp| {
            if let Some(engine) = engine.upgrade() {
                engine.send(&message(sdp));
            }
        }
    }
}
