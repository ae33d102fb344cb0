//! A robot that drives: the operator's twists become velocities of its base.

use std::time::Duration;

use glam::DVec3;
use serde::{Deserialize, Serialize};

use super::dead_man::DeadMan;
use super::joy::HandJoy;
use super::staleness::{Dropped, Freshness, Now, StalenessGate};
use crate::lcm::Twist;
use crate::time::MonoTime;
use crate::vr::Hand;

/// Slower than this, in each component, is no motion.
const ZERO: f64 = 1e-8;

impl Twist {
    /// No motion.
    pub const ZERO: Self = Self { linear: DVec3::ZERO, angular: DVec3::ZERO };

    /// Whether no component is a motion.
    pub fn is_zero(&self) -> bool {
        self.linear.abs().max_element() <= ZERO && self.angular.abs().max_element() <= ZERO
    }

    /// With each component within ±`linear` and ±`angular`.
    #[must_use]
    pub fn clamped(&self, linear: f64, angular: f64) -> Self {
        let within = |v: DVec3, limit: f64| v.clamp(DVec3::splat(-limit), DVec3::splat(limit));
        Self { linear: within(self.linear, linear), angular: within(self.angular, angular) }
    }
}

/// What the numbers of a twist mean. They look the same on the wire, so the robot announces which it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum TwistUnits {
    /// Metres and radians per second (generation B).
    #[default]
    Si,
    /// Parts of the robot's own speeds, about −1 to 1 (generation A). Joys drive the base too.
    Normalized,
}

impl TwistUnits {
    /// The name in registrations and lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Si => "si",
            Self::Normalized => "normalized",
        }
    }
}

/// How [`DriveTeleop`] judges what arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriveSettings {
    /// Which stamps count.
    pub freshness: Freshness,
    /// What the numbers mean.
    pub units: TwistUnits,
    /// m/s of a normalised 1.
    pub linear_speed: f64,
    /// rad/s of a normalised 1.
    pub angular_speed: f64,
    /// No component is faster, m/s, in either unit.
    pub max_linear: f64,
    /// No component is faster, rad/s, in either unit.
    pub max_angular: f64,
    /// The base stops this long after the last command.
    pub dead_man: Duration,
    /// How long navigation waits after the last command of a person.
    pub manual_for: Duration,
}

impl Default for DriveSettings {
    fn default() -> Self {
        Self {
            freshness: Freshness::default(),
            units: TwistUnits::Si,
            linear_speed: 0.5,
            angular_speed: 0.8,
            max_linear: 1.5,
            max_angular: 2.0,
            dead_man: Duration::from_millis(200),
            manual_for: Duration::from_secs(1),
        }
    }
}

/// The state of one operator's drive.
#[derive(Debug)]
pub struct DriveTeleop {
    settings: DriveSettings,
    twists: StalenessGate,
    joys: [StalenessGate; 2],
    /// With when they came: one of which nothing more is heard must not go on driving beside the other.
    sticks: [Option<(MonoTime, HandJoy)>; 2],
    dead_man: DeadMan,
    stop_due: bool,
    /// Whether the last velocity put out was a motion.
    moving: bool,
    manual_until: Option<MonoTime>,
    latched: bool,
}

impl DriveTeleop {
    /// Standing, nothing latched.
    pub fn new(settings: DriveSettings) -> Self {
        Self {
            settings,
            twists: StalenessGate::default(),
            joys: <[StalenessGate; 2]>::default(),
            sticks: [None; 2],
            dead_man: DeadMan::new(settings.dead_man),
            stop_due: false,
            moving: false,
            manual_until: None,
            latched: false,
        }
    }

    /// A twist of the operator, whatever its `frame_id`; gives the velocity to publish.
    ///
    /// # Errors
    /// Why it was left out.
    pub fn twist(&mut self, stamp: f64, twist: Twist, now: Now) -> Result<Twist, Dropped> {
        if self.latched {
            return Err(Dropped::Latched);
        }
        self.twists.check(stamp, now.unix, &self.settings.freshness)?;
        if !twist.is_finite() {
            return Err(Dropped::NotFinite);
        }
        let velocity = match self.settings.units {
            TwistUnits::Si => twist,
            TwistUnits::Normalized => self.scaled(twist.linear.x, twist.linear.y, twist.angular.z),
        };
        self.put_out(velocity, now.mono)
    }

    /// A Joy of a hand, which drives the base in generation A: left stick forward and sideways, right stick turns.
    ///
    /// # Errors
    /// Why it was left out; [`Dropped::NotForThisRobot`] with [`TwistUnits::Si`], for one that is fresh and in order.
    pub fn joy(&mut self, hand: Hand, stamp: f64, axes: &[f32], buttons: &[i32], now: Now) -> Result<Twist, Dropped> {
        self.joys[hand as usize].check(stamp, now.unix, &self.settings.freshness)?;
        let joy = HandJoy::read(axes, buttons)?;
        if self.settings.units == TwistUnits::Si {
            return Err(Dropped::NotForThisRobot);
        }
        if self.latched {
            return Err(Dropped::Latched);
        }
        self.sticks[hand as usize] = Some((now.mono, joy));
        let heard = |at: &MonoTime| now.mono.since(*at) < self.settings.dead_man;
        let stick = |hand: Hand| {
            let known = self.sticks[hand as usize].filter(|(at, _)| heard(at));
            known.map_or([0.0; 2], |(_, joy)| joy.stick)
        };
        let ([left_x, left_y], [right_x, _]) = (stick(Hand::Left), stick(Hand::Right));
        self.put_out(self.scaled(-left_y, -left_x, -right_x), now.mono)
    }

    /// Gives a zero to publish, once, when the last command is too long ago or a stop is due.
    pub fn tick(&mut self, now: MonoTime) -> Option<Twist> {
        let silent = self.dead_man.ran_out(now);
        if silent {
            self.sticks = [None; 2];
        }
        if !silent && !std::mem::take(&mut self.stop_due) {
            return None;
        }
        self.moving = false;
        Some(Twist::ZERO)
    }

    /// When the base must stop unless another command comes. A loop that ticks then too is never late.
    pub const fn deadline(&self) -> Option<MonoTime> {
        self.dead_man.deadline()
    }

    /// Whether a person has moved the base so lately that navigation must wait.
    pub fn manual(&self, now: MonoTime) -> bool {
        self.manual_until.is_some_and(|until| now < until)
    }

    /// The emergency stop: a zero is due with the next tick, and whatever drives is left out.
    pub fn latch(&mut self) {
        self.latched = true;
        self.stop();
    }

    /// The emergency stop is over. Nothing moves by itself.
    pub fn clear(&mut self) {
        self.latched = false;
    }

    /// The operator is gone: a zero is due with the next tick, and what they sent is forgotten.
    pub fn operator_lost(&mut self) {
        self.stop();
        self.twists = StalenessGate::default();
        self.joys = <[StalenessGate; 2]>::default();
    }

    /// Whether the emergency stop is latched.
    pub const fn latched(&self) -> bool {
        self.latched
    }

    fn stop(&mut self) {
        self.dead_man.rest();
        self.sticks = [None; 2];
        self.stop_due = true;
    }

    fn scaled(&self, forward: f64, left: f64, turn: f64) -> Twist {
        let DriveSettings { linear_speed, angular_speed, .. } = self.settings;
        Twist {
            linear: DVec3::new(forward * linear_speed, left * linear_speed, 0.0),
            angular: DVec3::new(0.0, 0.0, turn * angular_speed),
        }
    }

    fn put_out(&mut self, velocity: Twist, now: MonoTime) -> Result<Twist, Dropped> {
        let velocity = velocity.clamped(self.settings.max_linear, self.settings.max_angular);
        if velocity.is_zero() {
            self.dead_man.rest();
            // Zeros without end would cancel autonomous navigation again and again.
            if !std::mem::take(&mut self.moving) {
                return Err(Dropped::IdleZero);
            }
        } else {
            self.moving = true;
            self.dead_man.feed(now);
        }
        self.stop_due = false;
        self.manual_until = Some(now + self.settings.manual_for);
        Ok(velocity)
    }
}
