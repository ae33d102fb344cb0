//! The headset: poses and sticks up, presses of the buttons around the operator.

use std::cell::Cell;
use std::rc::Rc;

use glam::{DVec2, DVec3};
use waldo_protocol::hosted::{Hand, Pace, STICKS, Velocities, frame_id_of, gamepad_to_joy, sticks_to_velocities};
use waldo_protocol::lcm::{self, Joy, PoseStamped};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{WebGl2RenderingContext as Gl, XrView, XrViewerPose};

use super::Hosted;
use super::cadence::PERIOD_MS;
use super::console::{self, Confirm, StopButton};
use super::panels::Panel;
use super::ride::Ride;
use super::stage::Stage;
use super::summary::Kind;
use super::words;
use crate::browser::now;
use crate::summary::Presence;
use crate::xr::{self, Frame, HandInput, Host};

/// Buttons in the order of an XR gamepad.
const TRIGGER: usize = 0;
const GRIP: usize = 1;
const STICK: usize = 3;
const PRIMARY: usize = 4;
const SECONDARY: usize = 5;
const MENU: usize = 6;

/// After the room's origin moved under the operator nothing is sent for this long: the robot lets go meanwhile.
const SILENCE_AFTER_ROOM_MOVED_MS: f64 = 1200.0;

/// What the controllers did so far.
#[derive(Default)]
pub(super) struct Controllers {
    stop: Cell<StopButton>,
    /// Triggers that were pulled in the last frame.
    pulled: Cell<[bool; 2]>,
    pub(super) confirm: Cell<Confirm>,
    sent_at: Cell<f64>,
    silent_until: Cell<f64>,
    /// The robot was told that the engage buttons are released.
    let_go: Cell<bool>,
}

impl Host for Hosted {
    type Scene = Stage;
    type Input = Vec<HandInput>;

    fn scene(&self, gl: Gl, passthrough: bool) -> Result<Stage, JsValue> {
        Stage::new(gl, passthrough)
    }

    fn heed(&self, frame: &Frame<'_>) -> Vec<HandInput> {
        let hands = frame.reader.hands(frame.xr);
        if let Some(ride) = self.ride() {
            self.sampled(&ride, &hands, frame.visible);
        }
        // Browsers may slow the page's timers down while a headset presents.
        if now() - self.ticked_at.get() > 100.0 {
            self.tick();
        }
        hands
    }

    fn draw(
        &self,
        stage: &mut Stage,
        frame: &Frame<'_>,
        viewer: &XrViewerPose,
        hands: &Vec<HandInput>,
    ) -> Result<(), JsValue> {
        let Some(ride) = self.ride() else { return Ok(()) };
        let updated = stage.update(&ride);
        stage.clear(frame.layer.framebuffer().as_ref());
        for view in viewer.views().iter() {
            let view: XrView = view.unchecked_into();
            let Some(viewport) = frame.layer.get_viewport(&view) else { continue };
            stage.gl().viewport(viewport.x(), viewport.y(), viewport.width(), viewport.height());
            let projection = xr::matrix(&view.projection_matrix());
            stage.draw(projection * xr::matrix(&view.transform().inverse().matrix()), &ride, hands);
        }
        updated
    }

    fn room_moved(&self, _stage: &mut Stage) {
        if let Some(ride) = self.ride() {
            self.let_hands_go(&ride);
            ride.hands.controllers.silent_until.set(now() + SILENCE_AFTER_ROOM_MOVED_MS);
        }
    }

    fn presentation_ended(&self) {
        self.presence.set(Presence::Out);
        self.presentation.take();
        if let Some(ride) = self.ride() {
            self.let_hands_go(&ride);
            ride.hands.headset_holds.set(false);
        }
        self.tick();
    }

    fn graphics_lost(&self) {
        self.leave_vr();
    }
}

impl Hosted {
    /// Starts the presentation. To be called inside of a click, before anything is waited for.
    pub(crate) fn enter_vr(&self) {
        if self.presence.get() != Presence::Out {
            return;
        }
        let request = self.support.get().can_present().then(|| xr::request(self.support.get())).flatten();
        let (Some(request), Some(hosted)) = (request, self.this.upgrade()) else {
            return self.look_for_headset();
        };
        self.presence.set(Presence::Entering);
        spawn_local(async move {
            match xr::Presentation::begin(request, &hosted).await {
                Ok(presentation) => {
                    hosted.presence.set(Presence::Visible);
                    hosted.presentation.replace(Some(presentation));
                    if let Some(ride) = hosted.ride().filter(|ride| ride.kind == Kind::Arm && ride.is_live()) {
                        hosted.select_cameras(&ride, [true; 2]);
                    }
                }
                Err(reason) => {
                    hosted.presence.set(Presence::Out);
                    hosted.board.borrow_mut().trouble = Some(reason);
                }
            }
            hosted.tick();
        });
    }

    /// Ends the presentation.
    pub(super) fn leave_vr(&self) {
        // Not while borrowed: a browser may tell of the end before `end` returns.
        let presentation = self.presentation.borrow().clone();
        if let Some(presentation) = presentation {
            presentation.end();
        }
    }

    /// One XR frame.
    fn sampled(&self, ride: &Rc<Ride>, hands: &[HandInput], visible: bool) {
        let (now, controllers) = (now(), &ride.hands.controllers);
        let both = [Hand::Left, Hand::Right].map(|hand| hands.iter().find(|input| input.hand == frame_id_of(hand)));
        let pressed = |index: usize| both.map(|hand| hand.is_some_and(|hand| is_pressed(hand, index)));
        let sticks_in = pressed(STICK) == [true; 2];
        let stops = match ride.kind {
            Kind::Drive => pressed(SECONDARY).contains(&true),
            Kind::Arm => pressed(MENU).contains(&true),
        };
        let mut stop = controllers.stop.get();
        if stop.look(stops || sticks_in, now) && ride.is_driver() {
            self.stop();
        }
        controllers.stop.set(stop);
        self.select(ride, both, now);
        if !ride.is_driver() {
            return;
        }
        let driven = both.map(|hand| hand.map(joy_of).unwrap_or_default());
        let wanted = match ride.kind {
            Kind::Drive => {
                let pace = match pressed(GRIP) {
                    [_, true] => Pace::Double,
                    [true, false] => Pace::Half,
                    [false, false] => Pace::Plain,
                };
                let stick = |hand: usize| [driven[hand].0[0], driven[hand].0[1]].map(f64::from);
                sticks_to_velocities(stick(0), stick(1), pace, ride.hands.speed.get())
            }
            Kind::Arm => None,
        };
        ride.hands.headset_holds.set(match ride.kind {
            Kind::Drive => wanted.is_some(),
            Kind::Arm => pressed(PRIMARY).contains(&true),
        });
        let mut gate = ride.gate.get();
        gate.tick(ride.media_time(), now, self.holds_anything(ride));
        ride.gate.set(gate);
        let allowed = visible && ride.may_move() && now >= controllers.silent_until.get();
        match ride.kind {
            Kind::Drive => self.send_sticks(ride, wanted.unwrap_or_default(), allowed, now),
            Kind::Arm if allowed => self.send_hands(ride, both, &driven, now),
            Kind::Arm => self.let_hands_go(ride),
        }
    }

    fn send_sticks(&self, ride: &Ride, wanted: Velocities, allowed: bool, now: f64) {
        if !ride.takes_commands() {
            return;
        }
        let allowed = allowed && ride.robot.borrow().stands();
        let twist = ride.hands.sticks.borrow_mut().next(ride.in_its_units(wanted), allowed, now);
        if let Some(twist) = twist {
            ride.send_twist(twist, STICKS);
        }
    }

    /// The robot converts the poses: they go as WebXR has them.
    fn send_hands(&self, ride: &Ride, both: [Option<&HandInput>; 2], joys: &[HandJoy; 2], now: f64) {
        let controllers = &ride.hands.controllers;
        // Frames come when they come; one that is a little early is not left out.
        if now - controllers.sent_at.get() < PERIOD_MS - 1.0 || !ride.takes_commands() {
            return;
        }
        controllers.sent_at.set(now);
        controllers.let_go.set(false);
        for ((hand, input), joy) in [Hand::Left, Hand::Right].into_iter().zip(both).zip(joys) {
            let Some(input) = input else { continue };
            let address = frame_id_of(hand);
            if let Some(pose) = input.grip.or(input.ray) {
                let pose = lcm::Pose { position: pose.position(), orientation: pose.orientation() };
                ride.send_command(&PoseStamped { header: ride.header(1, address), pose }.encode());
            }
            ride.send_joy(address, joy);
        }
    }

    /// Tells the robot once that nobody engages, so that it does not wait for what does not come.
    fn let_hands_go(&self, ride: &Ride) {
        if ride.kind == Kind::Drive {
            return self.send_sticks(ride, Velocities::default(), false, now());
        }
        if ride.takes_commands() && !ride.hands.controllers.let_go.replace(true) {
            for hand in [Hand::Left, Hand::Right] {
                ride.send_joy(frame_id_of(hand), &([0.0; 4], vec![0; 7]));
            }
        }
    }

    /// A trigger that is pulled while its laser points at a button presses it.
    fn select(&self, ride: &Rc<Ride>, both: [Option<&HandInput>; 2], now: f64) {
        let controllers = &ride.hands.controllers;
        let pulled = both.map(|hand| hand.is_some_and(|hand| is_pressed(hand, TRIGGER)));
        let before = controllers.pulled.replace(pulled);
        for (index, hand) in both.into_iter().enumerate() {
            let Some(hand) = hand.filter(|_| pulled[index] && !before[index]) else { continue };
            // Of a hand that engages, the trigger is the gripper.
            let engages = ride.kind == Kind::Arm && is_pressed(hand, PRIMARY);
            if let Some((_, at)) = pointed_at(hand).filter(|_| !engages) {
                self.press_at(ride, at, now);
            }
        }
    }

    /// Presses the button at this place of the console.
    pub(super) fn press_at(&self, ride: &Ride, at: DVec2, now: f64) {
        let controllers = &ride.hands.controllers;
        let mut confirm = controllers.confirm.get();
        let buttons = words::buttons(&ride.summary(), confirm.waiting(now));
        let panel = Panel::console();
        let Some(chosen) = console::button_at(at, buttons.len(), panel.size.x / panel.size.y) else { return };
        let button = &buttons[chosen];
        let counts = confirm.press(button.control, button.confirmed, now);
        controllers.confirm.set(confirm);
        if counts {
            self.press(button.control);
        }
    }

    fn press(&self, control: &'static str) {
        match control {
            "estop" => self.stop(),
            "rearm" => self.rearm(),
            "stand" => self.sport("stand", "StandReady"),
            "sit" => self.sport("sit", "StandDown"),
            "cam1" => self.toggle_camera(0),
            "cam2" => self.toggle_camera(1),
            "microphone" => self.speak(),
            "exit" => self.leave_vr(),
            "normal" | "high" | "rage" => self.choose_speed(control),
            action => self.sport(action, action),
        }
    }
}

/// Axes and buttons of a hand.
type HandJoy = ([f32; 4], Vec<i32>);

impl Ride {
    fn send_joy(&self, address: &'static str, (axes, buttons): &HandJoy) {
        let joy = Joy { header: self.header(2, address), axes: axes.to_vec(), buttons: buttons.clone() };
        self.send_command(&joy.encode());
    }
}

fn joy_of(hand: &HandInput) -> HandJoy {
    let buttons: Vec<_> = hand.buttons.iter().map(|button| (button.value, button.pressed)).collect();
    // Gamepads of headsets have the stick behind the touchpad.
    gamepad_to_joy(hand.axes.len() >= 4, &hand.axes, &buttons)
}

fn is_pressed(hand: &HandInput, index: usize) -> bool {
    hand.buttons.get(index).is_some_and(|button| button.pressed)
}

/// Distance and place at which the hand's laser meets the buttons.
pub(super) fn pointed_at(hand: &HandInput) -> Option<(f64, DVec2)> {
    let ray = hand.ray?;
    Panel::console().hit(ray.position(), ray.orientation() * DVec3::NEG_Z)
}
