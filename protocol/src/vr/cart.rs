//! The cart under the arms: what the sticks ask of base and lift.

use std::time::Duration;

use glam::DVec2;

use super::frame::VrFrame;
use crate::time::MonoTime;

/// A stick closer to its centre than this is at rest.
const DEAD_ZONE: f64 = 0.15;

/// A heading closer to an axis than this is meant to be along it: tan 15°.
const SNAP: f64 = 0.267_949_192_431_122_7;

/// The fastest change of the translation, and of the turn, per second.
const SLEW: f64 = 0.5;

/// Silence that stops the cart.
const STALE_AFTER: Duration = Duration::from_millis(300);

/// Motion of the lift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lift {
    /// It stands.
    #[default]
    Stop,
    /// It rises.
    Up,
    /// It sinks.
    Down,
}

/// A velocity of the base in its own frame (x forward, y left, z up), as parts of the fastest one, and the lift.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CartCommand {
    /// Forward, −1 to 1.
    pub vx: f64,
    /// To the left, −1 to 1. Together with `vx` never longer than 1.
    pub vy: f64,
    /// Counter-clockwise turn, −1 to 1.
    pub wz: f64,
    /// The lift.
    pub lift: Lift,
}

impl CartCommand {
    /// Everything stands.
    pub const STOP: Self = Self { vx: 0.0, vy: 0.0, wz: 0.0, lift: Lift::Stop };

    /// What a frame asks for. A frame with `reset` asks to stop.
    ///
    /// Each stick axis has a dead zone of 0.15, the rest is rescaled. A heading within 15° of an axis is along the axis.
    pub fn asked(frame: &VrFrame) -> Self {
        if frame.reset {
            return Self::STOP;
        }
        let (left, right) = (&frame.left, &frame.right);
        let way = snapped(DVec2::new(live(-frame.l_stick_y), live(-left.stick_x))).clamp_length_max(1.0);
        let lift = match (left.stick_click, right.stick_click) {
            (true, false) => Lift::Down,
            (false, true) => Lift::Up,
            _ => Lift::Stop,
        };
        Self { vx: way.x, vy: way.y, wz: live(-right.stick_x), lift }
    }
}

fn live(stick: f64) -> f64 {
    let beyond = ((stick.abs() - DEAD_ZONE) / (1.0 - DEAD_ZONE)).clamp(0.0, 1.0);
    // Without the sign of a centred stick, which may be a negative zero.
    if beyond > 0.0 { beyond.copysign(stick) } else { 0.0 }
}

fn snapped(way: DVec2) -> DVec2 {
    let length = way.length();
    if way.y.abs() <= SNAP * way.x.abs() {
        DVec2::new(length.copysign(way.x), 0.0)
    } else if way.x.abs() <= SNAP * way.y.abs() {
        DVec2::new(0.0, length.copysign(way.y))
    } else {
        way
    }
}

/// What base and lift are to do, from the frames of the stream that drives; independent of engagement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cart {
    asked: Option<(MonoTime, CartCommand)>,
    command: CartCommand,
    /// The sticks were seen at rest since the last stop.
    armed: bool,
}

impl Cart {
    /// Takes a frame. One with `reset` stops at once. At the beginning and after each [`Cart::stop`] the sticks must be
    /// seen at rest before they count: nothing starts because a stick was pushed all along.
    pub fn on_frame(&mut self, now: MonoTime, frame: &VrFrame) {
        let resting = CartCommand::asked(&VrFrame { reset: false, ..*frame }) == CartCommand::STOP;
        self.armed = resting || (self.armed && !frame.reset);
        let asked = if self.armed { CartCommand::asked(frame) } else { CartCommand::STOP };
        self.asked = Some((now, asked));
        if frame.reset {
            self.command = CartCommand::STOP;
        }
    }

    /// Takes what somebody without sticks asks for. That everything shall stand is done at once; at the beginning and after
    /// each [`Cart::stop`] it must have been asked for before anything else counts. True if it is asked to move, and that
    /// counts.
    pub fn ask(&mut self, now: MonoTime, asked: CartCommand) -> bool {
        let resting = asked == CartCommand::STOP || ![asked.vx, asked.vy, asked.wz].iter().all(|v| v.is_finite());
        self.armed |= resting;
        let way = DVec2::new(asked.vx, asked.vy).clamp_length_max(1.0);
        let within = CartCommand { vx: way.x, vy: way.y, wz: asked.wz.clamp(-1.0, 1.0), lift: asked.lift };
        self.asked = Some((now, if self.armed && !resting { within } else { CartCommand::STOP }));
        if resting {
            self.command = CartCommand::STOP;
        }
        self.armed && !resting
    }

    /// Stops at once and forgets what was asked: a rest move plays, another stream drives, the stop latch holds.
    pub fn stop(&mut self) {
        *self = Self::default();
    }

    /// Stops at once and lets somebody begin who was seen at rest.
    pub fn begin(&mut self) {
        *self = Self { armed: true, ..Self::default() };
    }

    /// Whether anything moves.
    pub fn moves(&self) -> bool {
        self.command != CartCommand::STOP
    }

    /// The command at `now`, `dt` after the one before.
    ///
    /// Translation changes by at most 0.5 per second as a vector, so that the cart starts in the direction of the stick
    /// instead of veering into it; the turn changes at the same rate. After 0.3 s without a frame everything stops at
    /// once.
    pub fn tick(&mut self, now: MonoTime, dt: Duration) -> CartCommand {
        match self.asked {
            Some((heard, asked)) if now.since(heard) < STALE_AFTER => {
                let most = SLEW * dt.as_secs_f64();
                let (way, turn) = (DVec2::new(self.command.vx, self.command.vy), self.command.wz);
                let way = way.move_towards(DVec2::new(asked.vx, asked.vy), most);
                let turn = turn + (asked.wz - turn).clamp(-most, most);
                self.command = CartCommand { vx: way.x, vy: way.y, wz: turn, lift: asked.lift };
            }
            _ => self.stop(),
        }
        self.command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Pose;
    use crate::vr::Controller;

    const TICK: Duration = Duration::from_millis(20);

    fn pushed(forward: f64, left: f64, counter_clockwise: f64) -> VrFrame {
        let hand = |stick_x| Controller { stick_x, ..Controller::new(Pose::IDENTITY, glam::DVec3::ZERO) };
        VrFrame { l_stick_y: -forward, ..VrFrame::new(hand(-left), hand(-counter_clockwise)) }
    }

    fn way(command: CartCommand) -> DVec2 {
        DVec2::new(command.vx, command.vy)
    }

    /// A cart that has seen the sticks at rest.
    fn ready(now: MonoTime) -> Cart {
        let mut cart = Cart::default();
        cart.on_frame(now, &pushed(0.0, 0.0, 0.0));
        cart
    }

    /// Ticks of a frame that comes again every time.
    fn drive(cart: &mut Cart, frame: &VrFrame, ticks: u64) -> Vec<CartCommand> {
        let now = |i| MonoTime::from_nanos(1_000_000_000_000) + TICK * u32::try_from(i).unwrap();
        let tick = |i| {
            cart.on_frame(now(i), frame);
            cart.tick(now(i), TICK)
        };
        (0..ticks).map(tick).collect()
    }

    #[test]
    fn the_cart_starts_in_the_direction_of_the_stick_and_does_not_veer() {
        let asked = way(CartCommand::asked(&pushed(0.9, 0.5, 0.0)));
        assert!(asked.y > 0.3 && asked.x > 0.8);
        let commands = drive(&mut ready(MonoTime::from_nanos(1_000_000_000_000)), &pushed(0.9, 0.5, 0.0), 120);
        for command in &commands {
            assert!(way(*command).perp_dot(asked).abs() < 1e-12, "{command:?}");
        }
        assert_eq!(way(commands[119]), asked);
    }

    #[test]
    fn a_push_nearly_along_an_axis_is_along_it_and_as_strong() {
        for (forward, left, expected) in
            [(0.9, 0.3, DVec2::X), (-0.9, 0.3, DVec2::NEG_X), (0.3, 0.9, DVec2::Y), (-0.3, -0.9, DVec2::NEG_Y)]
        {
            let asked = way(CartCommand::asked(&pushed(forward, left, 0.0)));
            assert_eq!(asked.normalize(), expected);
            assert!((asked.length() - live(0.9).hypot(live(0.3))).abs() < 1e-12);
        }
        let diagonal = way(CartCommand::asked(&pushed(0.9, 0.4, 0.0)));
        assert!(diagonal.x > 0.0 && diagonal.y > 0.0, "beyond 15 degrees: {diagonal}");
    }

    #[test]
    fn a_corner_of_the_stick_is_not_faster_than_straight_ahead() {
        assert!((way(CartCommand::asked(&pushed(1.0, 1.0, 0.0))).length() - 1.0).abs() < 1e-12);
        assert_eq!(CartCommand::asked(&pushed(1.0, 0.3, 0.0)).vx, 1.0);
    }

    #[test]
    fn full_speed_takes_two_seconds_in_every_direction() {
        for frame in [pushed(1.0, 0.0, 0.0), pushed(1.0, 1.0, 0.0), pushed(0.0, 0.0, -1.0)] {
            let full = drive(&mut ready(MonoTime::from_nanos(1_000_000_000_000)), &frame, 110);
            let reached = full.iter().position(|c| way(*c).length().max(c.wz.abs()) > 1.0 - 1e-9);
            assert!(matches!(reached, Some(98..=100)), "{reached:?}");
        }
    }

    #[test]
    fn clicks_move_the_lift_and_both_stop_it() {
        let clicked = |left, right| {
            let mut frame = pushed(0.0, 0.0, 0.0);
            (frame.left.stick_click, frame.right.stick_click) = (left, right);
            CartCommand::asked(&frame).lift
        };
        assert_eq!(clicked(true, false), Lift::Down);
        assert_eq!(clicked(false, true), Lift::Up);
        assert_eq!((clicked(true, true), clicked(false, false)), (Lift::Stop, Lift::Stop));
    }

    #[test]
    fn silence_and_reset_and_a_stop_from_outside_stop_at_once() {
        let frame = pushed(1.0, 0.0, 1.0);
        let start = MonoTime::from_nanos(5_000_000_000);
        let rolling = || {
            let mut cart = ready(start);
            cart.on_frame(start, &frame);
            assert!(cart.tick(start, Duration::from_secs(1)).vx > 0.4);
            cart
        };
        let mut cart = rolling();
        assert!(cart.tick(start + Duration::from_millis(299), TICK).vx > 0.4);
        assert_eq!(cart.tick(start + Duration::from_millis(300), TICK), CartCommand::STOP);
        cart.on_frame(start + Duration::from_millis(310), &frame);
        let held = cart.tick(start + Duration::from_millis(310), TICK);
        assert_eq!(held, CartCommand::STOP, "a stick that was pushed all along starts nothing");
        cart.on_frame(start + Duration::from_millis(320), &pushed(0.0, 0.0, 0.0));
        cart.on_frame(start + Duration::from_millis(330), &frame);
        let again = cart.tick(start + Duration::from_millis(330), TICK);
        assert!((again.vx - 0.01).abs() < 1e-12, "starts from rest: {again:?}");

        let mut cart = rolling();
        cart.on_frame(start, &VrFrame { reset: true, ..frame });
        assert_eq!(cart.tick(start, TICK), CartCommand::STOP);

        let mut cart = rolling();
        cart.stop();
        assert_eq!(cart.tick(start, TICK), CartCommand::STOP);
    }
}
