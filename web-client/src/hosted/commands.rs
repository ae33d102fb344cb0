//! What the robot is told besides where to go: the stop above all.

use waldo_protocol::hosted::{CameraSelect, Nonce, SpeedMode, SportCommand, ToRobot};

use super::Hosted;
use super::acks::{ACK_LIMIT_MS, STAND_LIMIT_MS};
use super::ride::Ride;
use super::summary::Kind;
use crate::browser::{now, random_number};

/// The names of the cameras on the wire.
const CAMERAS: [&str; 2] = ["cam1", "cam2"];
/// A stop is said again this often until the robot has heard it. What follows a lost packet makes it be sent anew, much
/// sooner than silence does.
const INSIST_EVERY_MS: f64 = 90.0;
/// And this often that the robot shall lie down, which takes some of them a while.
const DAMP_EVERY_MS: f64 = 500.0;
/// If the robot has not heard the stop from this page by then, the broker is asked to say it.
const ASK_BROKER_AFTER_MS: f64 = 400.0;
const ASK_BROKER_EVERY_MS: f64 = 1500.0;
/// A press is a pointer that goes down and a click that follows: one stop.
const SAME_PRESS_MS: f64 = 400.0;

impl Ride {
    /// Sends a command whose answer its button waits for.
    pub(super) fn command(&self, control: &'static str, limit: f64, message: impl FnOnce(Option<Nonce>) -> ToRobot) {
        // Random, so that a page that was reloaded does not repeat those of its former self.
        let nonce = Nonce::from(random_number());
        if self.say(&message(Some(nonce.clone()))) {
            self.acks.borrow_mut().sent(control, nonce, limit, now());
        } else {
            self.acks.borrow_mut().failed(control, now());
        }
    }

    /// The robot answered the command of this control.
    pub(super) fn acknowledged(&self, control: &'static str, ok: bool) {
        let mut stop = self.stop.get();
        match control {
            "estop" => stop.answered(ok),
            "rearm" if ok => {
                stop.rearm();
                // A late answer to it must not count for the next one.
                self.acks.borrow_mut().forget("estop");
                // Whatever was held while it was stopped must be released first.
                let mut gate = self.gate.get();
                gate.demand_release();
                self.gate.set(gate);
            }
            "rage" if ok => self.hands.speed.set(SpeedMode::Rage),
            "goal" if !ok => self.map.set_goal(None),
            _ => {}
        }
        self.stop.set(stop);
    }

    /// The robot's own mode may end by itself.
    pub(super) fn heed_mode(&self, rage: Option<bool>) {
        if rage == Some(false) && self.hands.speed.get() == SpeedMode::Rage && self.acks.borrow().settled() {
            self.hands.speed.set(SpeedMode::High);
        }
    }

    /// Says the stop.
    fn say_stop(&self, now: f64) {
        self.hands.stop_said_at.set(now);
        self.command("estop", ACK_LIMIT_MS, |nonce| ToRobot::Estop { nonce });
        self.say_damp(now);
    }

    /// Says it again, by the nonce of before: the answer to that may be under way.
    fn say_stop_again(&self, now: f64) {
        let waits = self.acks.borrow().nonce_of("estop").cloned();
        if waits.is_none() {
            return self.say_stop(now);
        }
        self.hands.stop_said_at.set(now);
        self.say(&ToRobot::Estop { nonce: waits });
        if now - self.hands.damp_said_at.get() >= DAMP_EVERY_MS {
            self.say_damp(now);
        }
    }

    /// For robots of before there was a stop.
    fn say_damp(&self, now: f64) {
        if self.kind == Kind::Drive {
            self.hands.damp_said_at.set(now);
            self.say(&ToRobot::Sport { command: SportCommand::Damp, nonce: Some(Nonce::from(random_number())) });
        }
    }
}

impl Hosted {
    /// Stops the robot. Works at once, waits for nothing, and stays.
    pub(crate) fn stop(&self) {
        let (Some(ride), now) = (self.ride(), now()) else { return };
        if ride.stop.get().is_latched() && now - ride.hands.stopped_at.get() < SAME_PRESS_MS {
            return;
        }
        let mut stop = ride.stop.get();
        stop.stop();
        ride.stop.set(stop);
        ride.hands.stopped_at.set(now);
        if ride.is_driver() {
            ride.say_stop(now);
        } else {
            self.ask_broker_to_stop(&ride, now);
        }
        // Sends the zero, as nothing may move any more.
        self.release_keys();
        self.send_keys();
        self.show();
    }

    /// Says the stop again on every way there is, until the robot has heard it.
    pub(super) fn insist_on_stop(&self, ride: &Ride, now: f64) {
        if !ride.stop.get().is_unheard() {
            return;
        }
        if ride.is_driver() && now - ride.hands.stop_said_at.get() >= INSIST_EVERY_MS {
            ride.say_stop_again(now);
        }
        let late = now - ride.hands.stopped_at.get() >= ASK_BROKER_AFTER_MS;
        if late && now - ride.hands.stop_told_broker_at.get() >= ASK_BROKER_EVERY_MS {
            self.ask_broker_to_stop(ride, now);
        }
    }

    fn ask_broker_to_stop(&self, ride: &Ride, now: f64) {
        ride.hands.stop_told_broker_at.set(now);
        let session = ride.session.borrow().session_id.clone();
        self.run(async move |hosted| {
            // Tried again as long as the robot has not heard of it.
            let _ = hosted.api.estop(&session).await;
        });
    }

    /// Ends the stop, as soon as the robot agrees.
    pub(crate) fn rearm(&self) {
        if let Some(ride) = self.ride() {
            ride.command("rearm", ACK_LIMIT_MS, |nonce| ToRobot::EstopClear { nonce });
            self.show();
        }
    }

    /// A motion of the robot's own.
    pub(crate) fn sport(&self, control: &'static str, name: &str) {
        let (Some(ride), Some(command)) = (self.ride(), SportCommand::parse(name)) else { return };
        let limit = if command == SportCommand::StandReady { STAND_LIMIT_MS } else { ACK_LIMIT_MS };
        ride.command(control, limit, |nonce| ToRobot::Sport { command, nonce });
        self.show();
    }

    /// How fast keys and sticks drive. Only the last mode is the robot's own matter, and has to be granted.
    pub(crate) fn choose_speed(&self, control: &'static str) {
        let (Some(ride), Some(mode)) = (self.ride(), SpeedMode::parse(control)) else { return };
        if mode != SpeedMode::Rage {
            ride.hands.speed.set(mode);
        }
        ride.command(control, ACK_LIMIT_MS, |nonce| ToRobot::SetMode { mode, nonce });
        self.show();
    }

    /// Whether the robot keeps clear of obstacles by itself.
    pub(crate) fn avoid(&self, enabled: bool) {
        let Some(ride) = self.ride() else { return };
        ride.robot.borrow_mut().avoidance = Some(enabled);
        ride.command("avoid", ACK_LIMIT_MS, |nonce| ToRobot::ObstacleAvoidance { enabled, nonce });
        self.show();
    }

    /// Its lamp, 0 to 1.
    pub(crate) fn light(&self, brightness: f64) {
        let Some(ride) = self.ride() else { return };
        ride.robot.borrow_mut().light = Some(brightness);
        ride.command("light", ACK_LIMIT_MS, |nonce| ToRobot::Light { brightness, nonce });
        self.show();
    }

    /// How far an arm moves when the hand does.
    pub(crate) fn scale(&self, scale: f64) {
        let Some(ride) = self.ride() else { return };
        ride.robot.borrow_mut().scale = Some(scale);
        ride.command("scale", ACK_LIMIT_MS, |nonce| ToRobot::TeleopScale { scale, nonce });
        self.show();
    }

    /// Wants a camera, or does not any more; one always stays.
    pub(crate) fn toggle_camera(&self, index: usize) {
        let Some(ride) = self.ride() else { return };
        let mut cameras = ride.hands.cameras.get();
        cameras[index] = !cameras[index];
        if cameras == [false; 2] {
            return;
        }
        self.select_cameras(&ride, cameras);
        self.show();
    }

    pub(super) fn select_cameras(&self, ride: &Ride, cameras: [bool; 2]) {
        ride.hands.cameras.set(cameras);
        let wanted = CAMERAS.into_iter().zip(cameras).filter(|(_, wanted)| *wanted);
        ride.say(&ToRobot::CameraSelect(CameraSelect { cams: wanted.map(|(name, _)| name.to_owned()).collect() }));
    }

    /// Lets the robot hear the operator, or not.
    pub(crate) fn speak(&self) {
        if let Some(ride) = self.ride()
            && let Some(leg) = &*ride.leg.borrow()
        {
            leg.speak(leg.microphone() == Some(false));
        }
        self.show();
    }

    pub(crate) fn toggle_gripper(&self) {
        let Some(ride) = self.ride() else { return };
        if ride.stop.get().is_latched() {
            return;
        }
        let closed = !ride.hands.gripper_closed.get();
        if ride.say(&ToRobot::Gripper { closed }) {
            ride.hands.gripper_closed.set(closed);
        }
        self.show();
    }

    /// Keys tilt the body, or drive.
    pub(crate) fn tilt(&self, on: bool) {
        if let Some(ride) = self.ride() {
            self.release_keys();
            ride.hands.tilts.set(on);
            self.show();
        }
    }

    /// Sends the robot to what was clicked on the map, pixels of the page from the map's top left.
    pub(crate) fn go_to(&self, at: [f64; 2]) {
        let Some(ride) = self.ride().filter(|ride| ride.is_driver() && !ride.stop.get().is_latched()) else { return };
        if let Some([x, y]) = ride.map.world_at(at) {
            ride.map.set_goal(Some([x, y]));
            ride.command("goal", ACK_LIMIT_MS, |nonce| ToRobot::NavGoal { x, y, nonce });
            self.show();
        }
    }

    /// The robot shall go nowhere by itself.
    pub(crate) fn cancel_goal(&self) {
        let Some(ride) = self.ride() else { return };
        ride.map.set_goal(None);
        ride.command("goal", ACK_LIMIT_MS, |nonce| ToRobot::NavCancel { nonce });
        self.show();
    }

    /// The way to the robot stands: says what it must know.
    pub(super) fn greet(&self, ride: &Ride) {
        if !ride.is_driver() {
            return;
        }
        let stop = ride.stop.get();
        if stop.is_latched() {
            // Whatever happened meanwhile, it is still meant.
            ride.say_stop(now());
        }
        // The robot may have begun anew with others than those that the page shows as chosen.
        let both = self.presents() && ride.kind == Kind::Arm;
        self.select_cameras(ride, if both { [true; 2] } else { ride.hands.cameras.get() });
    }
}
