//! What moves the robot from the desk: held keys, and the commands that come of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use glam::DVec3;
use waldo_protocol::hosted::{HeldKeys, JOG, KEYBOARD, SpeedMode, TwistUnits, Velocities};
use waldo_protocol::lcm::{Header, Time, Twist, TwistStamped};
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, HtmlInputElement, KeyboardEvent};

use super::Hosted;
use super::cadence::{Cadence, PERIOD_MS};
use super::ride::Ride;
use super::robot::normalized;
use super::summary::Kind;
use super::vr::Controllers;
use crate::browser::{now, unix_now};

/// Period of the timer that sends commands.
pub(super) const COMMAND_MS: f64 = PERIOD_MS;
/// With more waiting for the network, newer commands would only wait behind older ones.
const MAX_UNSENT: u32 = 2048;
/// A stop that the robot has not confirmed for so long is told to the person.
const STOP_OVERDUE_MS: f64 = 600.0;

/// The keys that mean something, as the browser calls them.
const CODES: [&str; 11] =
    ["KeyW", "KeyA", "KeyS", "KeyD", "KeyQ", "KeyE", "KeyR", "KeyF", "ShiftLeft", "ShiftRight", "Space"];

/// What the operator holds and has chosen.
pub(super) struct Hands {
    held: RefCell<Vec<&'static str>>,
    pub(super) speed: Cell<SpeedMode>,
    /// Keys tilt the body.
    pub(super) tilts: Cell<bool>,
    pub(super) cameras: Cell<[bool; 2]>,
    pub(super) gripper_closed: Cell<bool>,
    /// The headset's sticks or engage buttons are held.
    pub(super) headset_holds: Cell<bool>,
    pub(super) controllers: Controllers,
    desk: RefCell<Cadence>,
    pub(super) sticks: RefCell<Cadence>,
    numbers: RefCell<BTreeMap<(u8, &'static str), i32>>,
    /// What was sent last.
    pub(super) shown: Cell<Velocities>,
    pub(super) sent: Cell<u64>,
    /// When the stop was wanted, and when it was last said to the robot and to the broker.
    pub(super) stopped_at: Cell<f64>,
    pub(super) stop_said_at: Cell<f64>,
    pub(super) damp_said_at: Cell<f64>,
    pub(super) stop_told_broker_at: Cell<f64>,
}

impl Hands {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            held: RefCell::default(),
            speed: Cell::new(SpeedMode::Normal),
            tilts: Cell::default(),
            cameras: Cell::new([true, false]),
            gripper_closed: Cell::default(),
            headset_holds: Cell::default(),
            controllers: Controllers::default(),
            desk: RefCell::new(desk_cadence(kind)),
            sticks: RefCell::new(Cadence::moving_only()),
            numbers: RefCell::default(),
            shown: Cell::default(),
            sent: Cell::default(),
            stopped_at: Cell::new(f64::NEG_INFINITY),
            stop_said_at: Cell::new(f64::NEG_INFINITY),
            damp_said_at: Cell::new(f64::NEG_INFINITY),
            stop_told_broker_at: Cell::new(f64::NEG_INFINITY),
        }
    }

    /// A new way to the robot: its commands are counted anew.
    pub(super) fn begin(&self) {
        self.numbers.borrow_mut().clear();
        self.stop_said_at.set(f64::NEG_INFINITY);
    }

    pub(super) fn held(&self) -> Vec<&'static str> {
        self.held.borrow().clone()
    }

    pub(super) fn stop_is_overdue(&self) -> bool {
        now() - self.stopped_at.get() > STOP_OVERDUE_MS
    }

    fn keys(&self) -> HeldKeys {
        let mut keys = HeldKeys::default();
        for code in &*self.held.borrow() {
            keys.set(code, true);
        }
        keys
    }

    /// The number of the next message of this kind and address.
    pub(super) fn number(&self, kind: u8, address: &'static str) -> i32 {
        let mut numbers = self.numbers.borrow_mut();
        let number = numbers.entry((kind, address)).or_insert(0);
        *number = number.checked_add(1).unwrap_or(0);
        *number
    }
}

/// The sign of life of a base that stands is worth its packets; an arm has none to lose.
fn desk_cadence(kind: Kind) -> Cadence {
    match kind {
        Kind::Drive => Cadence::with_keep_alive(),
        Kind::Arm => Cadence::moving_only(),
    }
}

impl Ride {
    /// The header of a command that leaves now.
    pub(super) fn header(&self, kind: u8, address: &'static str) -> Header {
        let stamp = self.clock.borrow().stamp(unix_now());
        Header {
            seq: self.hands.number(kind, address),
            stamp: Time::from_unix_ms(stamp * 1000.0),
            frame_id: address.to_owned(),
        }
    }

    /// Whether a command would leave at once.
    pub(super) fn takes_commands(&self) -> bool {
        self.leg.borrow().as_ref().is_some_and(|leg| leg.commands_open() && leg.unsent() < MAX_UNSENT)
    }

    pub(super) fn send_command(&self, bytes: &[u8]) {
        if let Some(leg) = &*self.leg.borrow() {
            leg.send_command(bytes);
            self.hands.sent.set(self.hands.sent.get() + 1);
        }
    }

    /// The motion as this base wants to be told it.
    pub(super) fn in_its_units(&self, velocities: Velocities) -> Velocities {
        match self.session.borrow().twist_units {
            Some(TwistUnits::Normalized) => normalized(velocities),
            Some(TwistUnits::Si) | None => velocities,
        }
    }

    pub(super) fn send_twist(&self, twist: Velocities, address: &'static str) {
        let [x, y, z, roll, pitch, yaw] = twist;
        let twist_stamped = TwistStamped {
            header: self.header(0, address),
            twist: Twist { linear: DVec3::new(x, y, z), angular: DVec3::new(roll, pitch, yaw) },
        };
        self.send_command(&twist_stamped.encode());
        self.hands.shown.set(twist);
    }
}

impl Hosted {
    /// Sends what the held keys ask for.
    pub(super) fn send_keys(&self) {
        let Some(ride) = self.ride() else { return };
        if !ride.is_driver() || !ride.is_live() || !ride.takes_commands() {
            return;
        }
        let (now, keys) = (now(), ride.hands.keys());
        let mut gate = ride.gate.get();
        gate.tick(ride.media_time(), now, self.holds_anything(&ride));
        ride.gate.set(gate);
        let (wanted, address) = match ride.kind {
            Kind::Arm => (keys.jog(), JOG),
            Kind::Drive if ride.hands.tilts.get() => (keys.body(), KEYBOARD),
            Kind::Drive => (ride.in_its_units(keys.drive(ride.hands.speed.get())), KEYBOARD),
        };
        let stands = ride.kind == Kind::Arm || ride.robot.borrow().stands();
        // In the headset the controllers drive.
        let allowed = ride.may_move() && stands && !self.presents();
        let twist = ride.hands.desk.borrow_mut().next(wanted, allowed, now);
        if let Some(twist) = twist {
            ride.send_twist(twist, address);
        }
    }

    /// Something is held that moves the robot.
    pub(super) fn holds_anything(&self, ride: &Ride) -> bool {
        ride.hands.keys().any_motion() || ride.hands.headset_holds.get()
    }

    pub(super) fn on_key(&self, event: &KeyboardEvent) {
        let Some(ride) = self.ride().filter(|ride| ride.is_driver()) else { return };
        let down = event.type_() == "keydown";
        if down && (event.ctrl_key() || event.meta_key() || event.alt_key() || types(event)) {
            return;
        }
        let code = event.code();
        if down && code == "Escape" {
            event.prevent_default();
            return self.stop();
        }
        if self.hold(&ride, &code, down, event.repeat()) && down {
            event.prevent_default();
        }
    }

    /// A key on the screen is held, or not any more.
    pub(crate) fn touch(&self, code: &str, down: bool) {
        if let Some(ride) = self.ride().filter(|ride| ride.is_driver()) {
            self.hold(&ride, code, down, false);
            self.show();
        }
    }

    /// Whether the key means something.
    fn hold(&self, ride: &Ride, code: &str, down: bool, repeated: bool) -> bool {
        let Some(code) = CODES.into_iter().find(|known| *known == code) else { return false };
        let mut held = ride.hands.held.borrow_mut();
        let was_held = held.contains(&code);
        // Held since before it was let go on the person's behalf: has to be released first.
        if down && repeated && !was_held {
            return true;
        }
        held.retain(|other| *other != code);
        if down {
            held.push(code);
        }
        drop(held);
        if code == "Space" && down && !was_held && !repeated && ride.kind == Kind::Arm {
            self.toggle_gripper();
        }
        if was_held != down {
            self.send_keys();
        }
        true
    }

    /// Lets go of everything, and tells the robot at once.
    pub(super) fn release_keys(&self) {
        let Some(ride) = self.ride() else { return };
        let held = ride.hands.held.take();
        if !held.is_empty() {
            self.send_keys();
        }
    }
}

/// Whether the key goes into a field of the page.
fn types(event: &KeyboardEvent) -> bool {
    let Some(target) = event.target() else { return false };
    if let Some(input) = target.dyn_ref::<HtmlInputElement>() {
        return !matches!(input.type_().as_str(), "range" | "checkbox");
    }
    target.dyn_ref::<HtmlElement>().is_some_and(|element| {
        matches!(element.tag_name().as_str(), "TEXTAREA" | "SELECT") || element.is_content_editable()
    })
}
