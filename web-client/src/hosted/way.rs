//! The way to a robot: asked for, made, made anew after it broke, given up.

use std::rc::Rc;

use waldo_protocol::hosted::{Role, SessionInfo, SessionState};

use super::Hosted;
use super::api::Trouble;
use super::leg::{Event, Leg, Step, Wish};
use super::ride::{Ride, step_text};
use super::summary::{Stage, Way};
use crate::browser::{now, sleep};

/// Why the first attempt failed is shown for so long.
const FAILURE_SHOWN_MS: i32 = 3000;

impl Hosted {
    /// Goes to a robot: drives it, or watches. `vr`: with a headset; then this must be called inside of the click.
    pub(crate) fn connect(&self, session: &str, viewer: bool, vr: bool) {
        let role = if viewer { Role::Viewer } else { Role::Operator };
        if vr {
            self.enter_vr();
        }
        self.begin(session, role, false);
    }

    /// Drives a robot in the place of whoever does now.
    pub(crate) fn take_over(&self, session: &str) {
        self.begin(session, Role::Operator, true);
    }

    fn begin(&self, session: &str, role: Role, take_over: bool) {
        if self.ride.borrow().is_some() {
            return;
        }
        let session = session.to_owned();
        self.run(async move |hosted| {
            let info = match hosted.api.status(&session).await {
                Ok(info) => info,
                Err(trouble) => {
                    hosted.leave_vr();
                    return hosted.complain(&trouble);
                }
            };
            // A second click while the first one waited.
            if hosted.ride.borrow().is_some() {
                return;
            }
            let Some(ride) = Ride::new(info, role, hosted.wants_microphone()) else { return };
            hosted.board.borrow_mut().trouble = None;
            hosted.ride.replace(Some(ride.clone()));
            hosted.stage.set(Stage::Cockpit);
            hosted.dial(&ride, take_over);
        });
    }

    /// Leaves the robot, and goes back to the list.
    pub(crate) fn leave(&self) {
        self.release_keys();
        self.leave_vr();
        self.preview.take();
        let Some(ride) = self.ride.take() else { return };
        ride.attempt.set(ride.attempt.get() + 1);
        ride.hang_up();
        self.stage.set(Stage::Board);
        self.run(async move |hosted| {
            hosted.give_up(&ride, "user_initiated").await;
            hosted.refresh();
        });
        self.show();
    }

    /// After somebody else took the robot: asks for it again.
    pub(crate) fn rejoin(&self) {
        if let Some(ride) = self.ride() {
            ride.backoff.borrow_mut().reset();
            ride.way.replace(Way::Joining(step_text(Step::Servers), 0));
            self.dial(&ride, false);
        }
    }

    /// The page is about to go: the robot must not wait for the broker to find out.
    pub(super) fn say_farewell(&self) {
        self.release_keys();
        let Some(ride) = self.ride() else { return };
        ride.attempt.set(ride.attempt.get() + 1);
        ride.hang_up();
        let Some(ticket) = ride.ticket.take() else { return };
        ride.way.replace(Way::Evicted);
        let session = ride.session.borrow().session_id.clone();
        self.run(async move |hosted| {
            let _ = if ride.is_driver() {
                hosted.api.leave(&session, "pagehide", ticket.lease.as_deref(), true).await
            } else {
                hosted.api.viewer_leave(&session, &ticket.peer, true).await
            };
        });
    }

    /// Frees the robot for others.
    async fn give_up(&self, ride: &Ride, reason: &str) {
        let Some(ticket) = ride.ticket.take() else { return };
        let session = ride.session.borrow().session_id.clone();
        // The broker may not answer; then it finds out by itself.
        let _ = if ride.is_driver() {
            self.api.leave(&session, reason, ticket.lease.as_deref(), false).await
        } else {
            self.api.viewer_leave(&session, &ticket.peer, false).await
        };
    }

    /// Makes the way to the robot, once.
    pub(super) fn dial(&self, ride: &Rc<Ride>, take_over: bool) {
        let attempt = ride.attempt.get() + 1;
        ride.attempt.set(attempt);
        ride.lost.set(false);
        ride.hang_up();
        let ride = ride.clone();
        self.run(async move |hosted| {
            let again = ride.backoff.borrow().attempts() > 0;
            // What is sent into a network that is down may hang for long after it came back.
            if again && !hosted.awaits_broker(&ride, attempt).await {
                return;
            }
            if again && hosted.was_replaced(&ride).await {
                if ride.attempt.get() == attempt {
                    hosted.evicted(&ride);
                }
                return;
            }
            // Leaving must be over before joining again: otherwise the slot seems taken.
            hosted.give_up(&ride, "reconnect").await;
            if again {
                hosted.follow(&ride).await;
            }
            if ride.attempt.get() != attempt {
                return;
            }
            let session = ride.session.borrow().session_id.clone();
            let wish = Wish { role: ride.role, take_over, microphone: ride.microphone };
            let made = Leg::connect(&hosted.api, &session, wish, hosted.listener(&ride, attempt)).await;
            if ride.attempt.get() != attempt {
                // Somebody left meanwhile; the newer attempt frees the slot if it is not the one that holds it.
                if hosted.ride().is_none_or(|now| !Rc::ptr_eq(&now, &ride)) {
                    hosted.give_up(&ride, "user_initiated").await;
                }
                return;
            }
            match made {
                Ok(leg) => hosted.arrived(&ride, leg),
                Err(trouble) => hosted.not_arrived(&ride, &trouble, again).await,
            }
        });
    }

    fn listener(&self, ride: &Rc<Ride>, attempt: u32) -> Rc<dyn Fn(Event)> {
        let (this, ride) = (self.this.clone(), Rc::downgrade(ride));
        Rc::new(move |event| {
            let (Some(hosted), Some(ride)) = (this.upgrade(), ride.upgrade()) else { return };
            if let Event::Joined(ticket) = &event {
                // Kept even if nobody wants it any more: it has to be given back.
                ride.ticket.replace(Some(ticket.clone()));
                ride.heartbeat_at.set(now());
            }
            if ride.attempt.get() != attempt {
                return;
            }
            match event {
                Event::Step(step) => {
                    let first = matches!(*ride.way.borrow(), Way::Joining(..));
                    if first {
                        ride.way.replace(Way::Joining(step_text(step), step as u8));
                        hosted.show();
                    }
                }
                Event::Joined(_) => {}
                Event::Track(track) => ride.camera.show(&track),
                Event::Text(label, text) => ride.on_text(label, &text),
                Event::Lost => ride.lost.set(true),
            }
        })
    }

    /// The way stands.
    pub(super) fn arrived(&self, ride: &Ride, leg: Rc<Leg>) {
        ride.leg.replace(Some(leg));
        ride.way.replace(Way::Live);
        ride.backoff.borrow_mut().reset();
        ride.clock.take();
        ride.hands.begin();
        ride.heard_at.set(now());
        ride.live_since.set(now());
        // Whoever held a key when the way broke must not drive on by surprise.
        let mut gate = ride.gate.get();
        gate.demand_release();
        ride.gate.set(gate);
        self.greet(ride);
    }

    async fn not_arrived(&self, ride: &Ride, trouble: &Trouble, again: bool) {
        let taken = trouble.status() == 409 && trouble.text().starts_with("Session already has operator");
        if again && taken {
            ride.way.replace(Way::Evicted);
        } else if again {
            let mut backoff = ride.backoff.borrow_mut();
            backoff.failed(now());
            ride.way.replace(Way::Broken(backoff.attempts()));
        } else {
            ride.way.replace(Way::Failed(trouble.text()));
            self.show();
            self.leave_vr();
            let attempt = ride.attempt.get();
            sleep(FAILURE_SHOWN_MS).await;
            if ride.attempt.get() == attempt {
                self.leave();
                self.complain(trouble);
            }
        }
    }

    /// Whether somebody else has the robot now, perhaps the same person in another page: it must not be taken back from
    /// them without being asked.
    async fn was_replaced(&self, ride: &Ride) -> bool {
        let Some(ticket) = ride.ticket.borrow().clone().filter(|_| ride.is_driver()) else { return false };
        let session = ride.session.borrow().session_id.clone();
        let answer = self.api.heartbeat(&session, ticket.lease.as_deref()).await;
        if answer.is_ok() || answer.is_err_and(|trouble| trouble.status() != 403) {
            return false;
        }
        self.api.status(&session).await.is_ok_and(|info| info.operator_id.is_some())
    }

    /// A robot that came back has another session.
    async fn follow(&self, ride: &Ride) {
        let session = ride.session.borrow().clone();
        let info = self.api.status(&session.session_id).await;
        let gone = match &info {
            Ok(info) => info.state == SessionState::Disconnected,
            Err(trouble) => trouble.status() == 404,
        };
        let next = info.ok().and_then(|info| info.superseded_by);
        if !gone && next.is_none() {
            return;
        }
        let Ok(robots) = self.api.robots().await else { return };
        let same = |robot: &&SessionInfo| match &next {
            Some(next) => robot.session_id == *next,
            None => !session.robot_id.is_empty() && robot.robot_id == session.robot_id,
        };
        if let Some(found) = robots.iter().find(same) {
            ride.session.replace(found.clone());
        }
    }
}
