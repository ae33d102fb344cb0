//! The camera of a screen without a headset: flies with keys, looks around with the mouse.

use glam::{DMat4, DQuat, DVec3, DVec4};

/// Where it starts, metres.
pub const START: DVec3 = DVec3::new(0.0, 1.4, 2.0);
/// Vertical field of view, degrees.
pub const FIELD_OF_VIEW: f64 = 70.0;
/// Metres per second.
pub const SPEED: f64 = 1.8;
/// Radians per pixel of the mouse.
pub const TURN: f64 = 0.0024;
/// It never looks straight up or down.
const MAX_PITCH: f64 = 0.49 * std::f64::consts::PI;
/// Longer gaps between two pictures move no further.
const MAX_STEP_S: f64 = 0.1;
/// Where it is from what it watches, metres: behind it and to the right, past the head of whoever drives.
const FOLLOW_FROM: DVec3 = DVec3::new(0.8, 0.4, 0.95);
/// How soon it is there.
const FOLLOW_S: f64 = 0.6;
/// Nearer and farther things are cut off, metres.
const DEPTH: [f64; 2] = [0.02, 100.0];

/// What keys do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// W.
    pub forward: bool,
    /// S.
    pub back: bool,
    /// A.
    pub left: bool,
    /// D.
    pub right: bool,
    /// E.
    pub up: bool,
    /// Q.
    pub down: bool,
}

impl Keys {
    /// Takes a key by its place on the keyboard, `KeyW` and so on. False if it is none of these.
    pub fn set(&mut self, code: &str, down: bool) -> bool {
        let key = match code {
            "KeyW" => &mut self.forward,
            "KeyS" => &mut self.back,
            "KeyA" => &mut self.left,
            "KeyD" => &mut self.right,
            "KeyE" => &mut self.up,
            "KeyQ" => &mut self.down,
            _ => return false,
        };
        *key = down;
        true
    }
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fly {
    position: DVec3,
    yaw: f64,
    pitch: f64,
}

impl Default for Fly {
    fn default() -> Self {
        Self { position: START, yaw: 0.0, pitch: 0.0 }
    }
}

impl Fly {
    /// Flies for `dt` seconds.
    pub fn step(&mut self, keys: Keys, dt: f64) {
        let axis = |plus: bool, minus: bool| f64::from(u8::from(plus)) - f64::from(u8::from(minus));
        let level = DVec3::new(axis(keys.right, keys.left), 0.0, axis(keys.back, keys.forward));
        let wanted = self.orientation() * level + DVec3::Y * axis(keys.up, keys.down);
        self.position += wanted.normalize_or_zero() * SPEED * dt.clamp(0.0, MAX_STEP_S);
    }

    /// The mouse moved by so many pixels, right and down.
    pub fn turn(&mut self, [x, y]: [f64; 2]) {
        self.yaw = (self.yaw - x * TURN) % std::f64::consts::TAU;
        self.pitch = (self.pitch - y * TURN).clamp(-MAX_PITCH, MAX_PITCH);
    }

    /// Turns towards what it watches and keeps it at a good distance, gently, for `dt` seconds.
    pub fn follow(&mut self, target: DVec3, dt: f64) {
        let share = 1.0 - (-dt.clamp(0.0, MAX_STEP_S) / FOLLOW_S).exp();
        self.position = self.position.lerp(target + FOLLOW_FROM, share);
        let gaze = (target - self.position).normalize_or(DVec3::NEG_Z);
        let yaw = (-gaze.x).atan2(-gaze.z);
        let turn = (yaw - self.yaw + std::f64::consts::PI).rem_euclid(std::f64::consts::TAU) - std::f64::consts::PI;
        self.yaw += turn * share;
        self.pitch += (gaze.y.asin() - self.pitch) * share;
    }

    /// Where it is and looks, in the world.
    pub fn pose(&self) -> (DVec3, DQuat) {
        (self.position, self.orientation())
    }

    fn orientation(&self) -> DQuat {
        DQuat::from_rotation_y(self.yaw) * DQuat::from_rotation_x(self.pitch)
    }
}

/// The projection of a screen of this shape, width over height. A narrow screen keeps the field of view in its width.
pub fn projection(aspect: f64) -> DMat4 {
    let half = (0.5 * FIELD_OF_VIEW.to_radians()).tan();
    let half = if aspect < 1.0 { half / aspect.max(0.1) } else { half };
    let ([near, far], tall) = (DEPTH, 1.0 / half.min(2.5));
    DMat4::from_cols(
        DVec4::new(tall / aspect.max(0.1), 0.0, 0.0, 0.0),
        DVec4::new(0.0, tall, 0.0, 0.0),
        DVec4::new(0.0, 0.0, (far + near) / (near - far), -1.0),
        DVec4::new(0.0, 0.0, 2.0 * far * near / (near - far), 0.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fly_at_the_stated_speed_in_any_direction() {
        for keys in [
            Keys { forward: true, ..Keys::default() },
            Keys { forward: true, left: true, up: true, ..Keys::default() },
            Keys { down: true, ..Keys::default() },
        ] {
            let mut fly = Fly::default();
            fly.turn([300.0, 0.0]);
            fly.step(keys, 0.05);
            assert!((fly.pose().0.distance(START) - SPEED * 0.05).abs() < 1e-9, "{keys:?}");
        }
    }

    #[test]
    fn forward_is_where_it_looks_and_up_is_up() {
        let mut fly = Fly::default();
        fly.turn([-std::f64::consts::FRAC_PI_2 / TURN, 0.0]);
        fly.step(Keys { forward: true, ..Keys::default() }, 0.1);
        assert!((fly.pose().0 - START).abs_diff_eq(DVec3::NEG_X * 0.18, 1e-9));
        fly.turn([0.0, 400.0]);
        let before = fly.pose().0;
        fly.step(Keys { up: true, ..Keys::default() }, 0.1);
        assert!((fly.pose().0 - before).abs_diff_eq(DVec3::Y * 0.18, 1e-9));
    }

    #[test]
    fn opposite_keys_and_a_page_that_slept_move_it_nowhere_far() {
        let mut fly = Fly::default();
        fly.step(Keys { left: true, right: true, ..Keys::default() }, 0.1);
        assert_eq!(fly.pose().0, START);
        fly.step(Keys { forward: true, ..Keys::default() }, 3600.0);
        assert!(fly.pose().0.distance(START) < 0.2);
    }

    #[test]
    fn it_never_looks_quite_straight_up() {
        let mut fly = Fly::default();
        fly.turn([0.0, -1e6]);
        let gaze = fly.pose().1 * DVec3::NEG_Z;
        assert!(gaze.y > 0.99 && gaze.z < 0.0);
    }

    #[test]
    fn it_comes_to_look_at_what_it_follows_wherever_that_is() {
        for target in [DVec3::new(0.0, 1.0, -0.5), DVec3::new(3.0, 0.2, 5.0), START] {
            let mut fly = Fly::default();
            for _ in 0..600 {
                fly.follow(target, 1.0 / 60.0);
            }
            let (at, turn) = fly.pose();
            assert!(((target - at).normalize() - turn * DVec3::NEG_Z).length() < 1e-3, "{target}");
            assert!((at.distance(target) - FOLLOW_FROM.length()).abs() < 1e-2, "{target} from {at}");
        }
    }

    #[test]
    fn only_its_own_keys_are_taken() {
        let mut keys = Keys::default();
        assert!(keys.set("KeyE", true) && keys.up);
        assert!(!keys.set("KeyR", true) && !keys.set("Space", true));
    }

    #[test]
    fn the_projection_has_the_field_of_view_in_the_shorter_side() {
        let seen = |aspect: f64, at: DVec3| projection(aspect).project_point3(at);
        let edge = (0.5 * FIELD_OF_VIEW.to_radians()).tan();
        assert!((seen(1.6, DVec3::new(0.0, edge, -1.0)).y - 1.0).abs() < 1e-9);
        assert!((seen(0.7, DVec3::new(edge, 0.0, -1.0)).x - 1.0).abs() < 1e-9);
    }
}
