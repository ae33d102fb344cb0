//! What held keys ask for. Lengths in metres, angles in radians; axes of the robot: x forward, y left, z up.

use super::SpeedMode;

/// `frame_id` of a twist from the desk.
pub const KEYBOARD: &str = "keyboard";
/// `frame_id` of a twist from thumbsticks.
pub const STICKS: &str = "vr";
/// `frame_id` of an arm's jog.
pub const JOG: &str = "eef_twist_arm";

const BODY: f64 = 0.45;
const BODY_MORE: f64 = 0.9;
const BODY_LESS: f64 = 0.2;
const JOG_LINEAR: f64 = 0.12;
const JOG_ANGULAR: f64 = 0.8;

/// Velocities: linear x, y, z in m/s, angular x, y, z in rad/s.
pub type Velocities = [f64; 6];

/// The keys that mean something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as on the keyboard")]
#[expect(clippy::struct_excessive_bools, reason = "one for each key")]
pub struct HeldKeys {
    pub w: bool,
    pub a: bool,
    pub s: bool,
    pub d: bool,
    pub q: bool,
    pub e: bool,
    pub r: bool,
    pub f: bool,
    pub shift: bool,
    pub space: bool,
    pub control: bool,
}

impl SpeedMode {
    /// m/s and rad/s at full deflection.
    pub const fn speeds(self) -> [f64; 2] {
        match self {
            Self::Normal => [0.5, 0.5],
            Self::High => [1.0, 1.0],
            Self::Rage => [2.0, 1.5],
        }
    }
}

impl HeldKeys {
    /// Sets the key of this `KeyboardEvent.code`; false if it means nothing.
    pub fn set(&mut self, code: &str, down: bool) -> bool {
        let key = match code {
            "KeyW" => &mut self.w,
            "KeyA" => &mut self.a,
            "KeyS" => &mut self.s,
            "KeyD" => &mut self.d,
            "KeyQ" => &mut self.q,
            "KeyE" => &mut self.e,
            "KeyR" => &mut self.r,
            "KeyF" => &mut self.f,
            "ShiftLeft" | "ShiftRight" => &mut self.shift,
            "Space" => &mut self.space,
            "ControlLeft" | "ControlRight" => &mut self.control,
            _ => return false,
        };
        *key = down;
        true
    }

    /// A key is held that moves something.
    pub fn any_motion(&self) -> bool {
        self.w || self.a || self.s || self.d || self.q || self.e || self.r || self.f
    }

    /// Shift and Space cancel each other.
    fn either<T>(self, more: T, normal: T, less: T) -> T {
        match (self.shift, self.space) {
            (true, false) => more,
            (false, true) => less,
            _ => normal,
        }
    }

    /// Drives a base: W and S ahead and back, A and D turn, Q and E strafe.
    pub fn drive(self, mode: SpeedMode) -> Velocities {
        let factor = self.either(2.0, 1.0, 0.5);
        let [linear, angular] = mode.speeds();
        let both = |plus, minus, speed: f64| axis(plus, minus) * factor * speed;
        [both(self.w, self.s, linear), both(self.q, self.e, linear), 0.0, 0.0, 0.0, both(self.a, self.d, angular)]
    }

    /// Tilts the body of a base.
    pub fn body(self) -> Velocities {
        let amplitude = self.either(BODY_MORE, BODY, BODY_LESS);
        let both = |plus, minus| axis(plus, minus) * amplitude;
        [0.0, 0.0, both(self.r, self.f), both(self.q, self.e), both(self.w, self.s), both(self.a, self.d)]
    }

    /// Drives a base of the older generation, which scales by itself.
    pub fn normalized(self) -> Velocities {
        let (fast, slow) = (self.shift && !self.control, self.control && !self.shift);
        let linear = axis(self.w, self.s)
            * if fast {
                2.0
            } else if slow {
                0.5
            } else {
                1.0
            };
        let turn = axis(self.a, self.d);
        if slow {
            return [linear, turn, 0.0, 0.0, 0.0, 0.0];
        }
        [linear, 0.0, 0.0, 0.0, 0.0, turn * if fast { 2.0 } else { 1.0 }]
    }

    /// Jogs the end of an arm: along its axes, with Shift around them.
    pub fn jog(self) -> Velocities {
        let [ws, ad, qe] = [axis(self.w, self.s), axis(self.a, self.d), axis(self.q, self.e)];
        if self.shift {
            [0.0, 0.0, 0.0, ad * JOG_ANGULAR, ws * JOG_ANGULAR, qe * JOG_ANGULAR]
        } else {
            [ws * JOG_LINEAR, ad * JOG_LINEAR, qe * JOG_LINEAR, 0.0, 0.0, 0.0]
        }
    }
}

fn axis(plus: bool, minus: bool) -> f64 {
    f64::from(i8::from(plus) - i8::from(minus))
}
