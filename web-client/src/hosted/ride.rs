//! One robot, driven or watched: what it tells, what the page shows of it, whether the way to it still stands.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use waldo_protocol::hosted::{
    ChannelLabel, ClockReport, ClockSync, MapMessage, Role, SessionInfo, SportCommand, StallGate, ToOperator, ToRobot,
    detail,
};

use super::Hosted;
use super::acks::Acks;
use super::api::Trouble;
use super::backoff::Backoff;
use super::figures::Figures;
use super::hands::Hands;
use super::leg::{Leg, Step, Ticket};
use super::map::Map;
use super::mending::Connection;
use super::robot::{Robot, StopLatch};
use super::summary::{Cockpit, Kind, Microphone, NoPicture, Way};
use crate::browser::{now, unix_now};
use crate::summary::Presence;
use crate::video::Camera;

/// The broker takes an operator for gone after four times as long.
const HEARTBEAT_MS: f64 = 5000.0;
/// Without a picture for this long it is missing.
const PICTURE_DUE_MS: f64 = 8000.0;
/// The browser thinks the connection is interrupted, and nothing has come for this long.
const SILENCE_MS: f64 = 2000.0;
/// Nothing has come for this long: the robot is asked whether it is there.
const QUIET_MS: f64 = 1000.0;
/// Nothing has come for this long, neither words nor pictures, though the browser finds nothing wrong.
const LONG_SILENCE_MS: f64 = 3000.0;

/// One robot, from the click to leaving it.
pub(super) struct Ride {
    pub(super) session: RefCell<SessionInfo>,
    pub(super) kind: Kind,
    pub(super) role: Role,
    pub(super) microphone: bool,
    pub(super) way: RefCell<Way>,
    pub(super) leg: RefCell<Option<Rc<Leg>>>,
    pub(super) ticket: RefCell<Option<Ticket>>,
    /// Number of the attempt under way; what older ones bring is not wanted any more.
    pub(super) attempt: Cell<u32>,
    pub(super) lost: Cell<bool>,
    pub(super) backoff: RefCell<Backoff>,
    pub(super) heartbeat_at: Cell<f64>,
    /// When something came from the robot.
    pub(super) heard_at: Cell<f64>,
    /// When the robot was pinged last.
    pub(super) asked_at: Cell<f64>,
    /// When the way stood.
    pub(super) live_since: Cell<f64>,
    pub(super) robot: RefCell<Robot>,
    pub(super) stop: Cell<StopLatch>,
    pub(super) acks: RefCell<Acks>,
    pub(super) clock: RefCell<ClockSync>,
    pub(super) gate: Cell<StallGate>,
    pub(super) hands: Hands,
    pub(super) figures: Figures,
    pub(super) map: Map,
    pub(super) camera: Rc<Camera>,
    messages: Cell<u64>,
}

impl Ride {
    pub(super) fn new(session: SessionInfo, role: Role, microphone: bool) -> Option<Rc<Self>> {
        let kind = Kind::of(session.robot_type.as_deref());
        Some(Rc::new(Self {
            kind,
            role,
            microphone,
            session: RefCell::new(session),
            way: RefCell::new(Way::Joining(step_text(Step::Servers), 0)),
            leg: RefCell::default(),
            ticket: RefCell::default(),
            attempt: Cell::default(),
            lost: Cell::default(),
            backoff: RefCell::default(),
            heartbeat_at: Cell::default(),
            heard_at: Cell::new(now()),
            asked_at: Cell::new(now()),
            live_since: Cell::new(now()),
            robot: RefCell::default(),
            stop: Cell::default(),
            acks: RefCell::default(),
            clock: RefCell::default(),
            gate: Cell::default(),
            hands: Hands::new(kind),
            figures: Figures::default(),
            map: Map::default(),
            camera: Camera::new("hosted").ok()?,
            messages: Cell::default(),
        }))
    }

    pub(super) fn is_live(&self) -> bool {
        *self.way.borrow() == Way::Live
    }

    pub(super) fn is_driver(&self) -> bool {
        self.role == Role::Operator
    }

    /// Whatever moves may be sent. Not whether the robot stands: an arm does not.
    pub(super) fn may_move(&self) -> bool {
        self.is_driver() && self.is_live() && !self.stop.get().is_latched() && !self.gate.get().is_blocked()
    }

    /// A number that grows with every picture; negative before the first.
    pub(super) fn media_time(&self) -> f64 {
        match self.camera.picture() {
            0 => -1.0,
            #[expect(clippy::cast_precision_loss, reason = "it only has to grow")]
            picture => picture as f64,
        }
    }

    /// Says something that arrives, or not at all. While the way is broken only stops may still get through.
    pub(super) fn say(&self, message: &ToRobot) -> bool {
        let stops = matches!(message, ToRobot::Estop { .. } | ToRobot::Sport { command: SportCommand::Damp, .. });
        let leg = self.leg.borrow();
        (stops || self.is_live()) && leg.as_ref().is_some_and(|leg| leg.send_state(&message.encode()))
    }

    /// Ends the connection, whoever still waits for something of it.
    pub(super) fn hang_up(&self) {
        if let Some(leg) = self.leg.take() {
            leg.close();
        }
    }

    /// What came from the robot.
    pub(super) fn on_text(&self, label: ChannelLabel, text: &str) {
        self.heard_at.set(now());
        self.messages.set(self.messages.get() + 1);
        if label == ChannelLabel::MapUnreliable {
            match MapMessage::decode(text.as_bytes()) {
                Ok(MapMessage::Map(picture)) => self.map.show(picture),
                Ok(MapMessage::Odom(odom)) => self.map.place(&odom),
                Ok(MapMessage::Unknown(_)) | Err(_) => {}
            }
            return;
        }
        match ToOperator::decode(text.as_bytes()) {
            Ok(ToOperator::Pong { client_ts, robot_ts }) => {
                let Some(sent) = client_ts.as_f64() else { return };
                let told = self.clock.borrow_mut().on_pong(sent, robot_ts, unix_now());
                if let Some(estimate) = told {
                    let [rtt_ms, offset_ms] =
                        [estimate.rtt_ms, estimate.offset_ms].map(|ms| (ms * 10.0).round() / 10.0);
                    self.say(&ToRobot::ClockReport(ClockReport { rtt_ms, offset_ms }));
                }
            }
            Ok(ToOperator::CmdAck { nonce: Some(nonce), ok }) => {
                let control = self.acks.borrow_mut().on_ack(&nonce, ok, now());
                if let Some(control) = control {
                    self.acknowledged(control, ok);
                }
            }
            Ok(ToOperator::Telemetry(report)) => {
                let settled = self.acks.borrow().settled();
                self.robot.borrow_mut().apply(&report, settled);
                let mut stop = self.stop.get();
                stop.told(report.state.estopped.unwrap_or(false));
                self.stop.set(stop);
                self.heed_mode(report.state.rage);
            }
            Ok(ToOperator::CmdAck { nonce: None, .. } | ToOperator::Unknown(_)) | Err(_) => {}
        }
    }

    fn no_picture(&self) -> Option<NoPicture> {
        if self.camera.picture() != 0 {
            return None;
        }
        Some(if self.robot.borrow().camera_stalled {
            NoPicture::Camera
        } else if now() - self.live_since.get() > PICTURE_DUE_MS {
            NoPicture::Missing
        } else {
            NoPicture::Waiting
        })
    }

    pub(super) fn summary(&self) -> Cockpit {
        let (gate, stop) = (self.gate.get(), self.stop.get());
        let (width, height) = self.camera.size();
        let strip = self.figures.strip();
        let microphone = match self.leg.borrow().as_ref().and_then(|leg| leg.microphone()) {
            None => Microphone::Missing,
            Some(false) => Microphone::Muted,
            Some(true) => Microphone::On,
        };
        Cockpit {
            name: self.session.borrow().robot_name.clone(),
            kind: self.kind,
            viewer: !self.is_driver(),
            way: self.way.borrow().clone(),
            robot: self.robot.borrow().clone(),
            stopped: stop.is_latched(),
            stop_unheard: self.is_driver() && stop.is_unheard() && self.hands.stop_is_overdue(),
            stalled: gate.is_stalled(),
            release_first: gate.is_blocked() && !gate.is_stalled(),
            no_picture: self.no_picture(),
            picture: (width, height.saturating_sub(strip)),
            strip: strip.min(height),
            hud: self.figures.hud(),
            progress: self.acks.borrow().all(),
            may_drive: self.may_move() && (self.kind == Kind::Arm || self.robot.borrow().stands()),
            speed: self.hands.speed.get().as_str(),
            pose_mode: self.hands.tilts.get(),
            light: self.robot.borrow().light.unwrap_or(0.0),
            cameras: self.hands.cameras.get(),
            microphone,
            gripper_closed: self.hands.gripper_closed.get(),
            twist: self.hands.shown.get(),
            held: self.hands.held(),
            map: self.map.is_there(),
            goal: self.map.goal(),
            commands: self.hands.sent.get(),
            messages: self.messages.get(),
        }
    }
}

impl Hosted {
    /// What is due.
    pub(super) fn tick_ride(&self, now: f64, since_last: f64) {
        let Some(ride) = self.ride() else { return };
        if since_last > SILENCE_MS {
            // The page did not run, and may not have seen yet what came meanwhile.
            ride.heard_at.set((ride.heard_at.get() + since_last).min(now));
        }
        self.beat(&ride, now);
        if ride.backoff.borrow_mut().poll(now) {
            self.dial(&ride, false);
        }
        // Before anything else: the broker may reach the robot where this page does not.
        self.insist_on_stop(&ride, now);
        ride.acks.borrow_mut().poll(now);
        if !ride.is_live() {
            return;
        }
        let mut gate = ride.gate.get();
        gate.tick(ride.media_time(), now, self.holds_anything(&ride));
        ride.gate.set(gate);
        if ride.camera.is_fresh() {
            ride.heard_at.set(now);
        }
        let connection = ride.leg.borrow().as_ref().map_or(Connection::Over, |leg| leg.connection());
        let interrupted = connection != Connection::Stands;
        let silence = now - ride.heard_at.get();
        // Browsers take their time to notice that a network is gone. Drivers ask before.
        let silent = ride.is_driver() && silence > LONG_SILENCE_MS && ride.heard_at.get() > ride.live_since.get();
        if ride.lost.get() || silent || (interrupted && silence > SILENCE_MS) {
            return self.broke(&ride);
        }
        if ride.is_driver() {
            let asks = silence > QUIET_MS && now - ride.asked_at.get() > QUIET_MS;
            let ping = ride.clock.borrow_mut().poll(unix_now()).or(asks.then(unix_now));
            if ping.is_some() {
                ride.asked_at.set(now);
            }
            if let Some(client_ts) = ping.and_then(serde_json::Number::from_f64) {
                ride.say(&ToRobot::Ping { client_ts });
            }
        }
        self.measure(&ride, now);
        ride.map.draw();
    }

    fn beat(&self, ride: &Rc<Ride>, now: f64) {
        let Some(ticket) = ride.ticket.borrow().clone() else { return };
        if now - ride.heartbeat_at.get() < HEARTBEAT_MS {
            return;
        }
        ride.heartbeat_at.set(now);
        let (ride, attempt) = (ride.clone(), ride.attempt.get());
        self.run(async move |hosted| {
            let session = ride.session.borrow().session_id.clone();
            let answer = if ride.is_driver() {
                hosted.api.heartbeat(&session, ticket.lease.as_deref()).await
            } else {
                hosted.api.viewer_heartbeat(&session, &ticket.peer).await
            };
            // Of a connection of before, or while the way is broken, it says nothing: whoever mends it finds out.
            let same = ride.ticket.borrow().as_ref().is_some_and(|now| now.peer == ticket.peer);
            if ride.attempt.get() != attempt || !same || !ride.is_live() {
                return;
            }
            match answer {
                Err(Trouble::Refused(403, text)) if ride.is_driver() && text == detail::NOT_BOUND => {
                    hosted.evicted(&ride);
                }
                Err(Trouble::Refused(403 | 404, _)) => ride.lost.set(true),
                // A broker that does not answer is no reason to let go: pictures and commands do not go through it.
                _ => {}
            }
        });
    }

    /// Somebody else has the robot, or the broker thinks so: nothing is sent any more.
    pub(super) fn evicted(&self, ride: &Ride) {
        ride.attempt.set(ride.attempt.get() + 1);
        ride.hang_up();
        ride.ticket.take();
        ride.backoff.borrow_mut().reset();
        self.release_keys();
        ride.way.replace(Way::Evicted);
    }

    /// Nobody sees a presentation of a robot that is not there.
    pub(super) fn presents(&self) -> bool {
        matches!(self.presence.get(), Presence::Visible | Presence::Hidden)
    }
}

pub(super) fn step_text(step: Step) -> &'static str {
    match step {
        Step::Servers => "Looking for a way through the network…",
        Step::Offer => "Preparing the connection…",
        Step::Join => "Asking for the robot…",
        Step::Connect => "Connecting…",
        Step::Bridge => "Connecting to the robot…",
        Step::Channels => "Opening the controls…",
    }
}
