//! Balls that arms hold, push and throw.

use glam::DVec3;
use waldo_protocol::field::{CharacterMode, Sphere};

use super::body::{Body, segments};
use super::scenery::sphere_id;
use super::solid::Solid;

/// A sucker holds what is that near to the tip, surface to tip, m.
const SUCTION: f64 = 0.04;
/// Share of the speed that is left after a bounce.
const BOUNCE: f64 = 0.6;
const GRAVITY: f64 = 9.81;
/// Nothing is thrown faster, m/s.
const FASTEST: f64 = 15.0;
/// A ball comes back to where it began after that long without an arm, seconds.
const BACK_AFTER: f64 = 4.0;
/// What was let go of does not hit the arm that threw it, seconds.
const PASSES: f64 = 0.3;
/// Time constants in water, seconds: of a ball's speed, and of its way back.
const WATER_DRAG: f64 = 0.3;
const WATER_RETURN: f64 = 5.0;
/// The longest step, seconds; a ball misses at most ten of them in one call.
const LONGEST_STEP: f64 = 0.005;
const MOST_STEPS: f64 = 10.0;

/// One of a user's balls. It hangs in the air where it began until an arm touches it, and returns there in the end.
pub(super) struct Ball {
    shown: Sphere,
    home: DVec3,
    position: DVec3,
    velocity: DVec3,
    /// The arm whose sucker holds it.
    held: Option<usize>,
    /// Seconds since an arm had to do with it; none before the first time.
    alone: Option<f64>,
    /// For so long it passes arms, seconds.
    passes: f64,
    floats: bool,
}

/// The balls that a user of that mode brings.
pub(super) fn balls(mode: CharacterMode, user: &str) -> Vec<Ball> {
    let (places, radius, color): (&[[f64; 3]], f64, [f64; 3]) = match mode {
        CharacterMode::CathyThrow => (&[[0.0, 1.0, -0.6]], 0.05, [0.95, 0.62, 0.32]),
        CharacterMode::CoommOctopus => (&[[-0.12, 1.05, -0.55], [0.12, 0.95, -0.6]], 0.04, [0.35, 0.75, 0.9]),
        CharacterMode::TwoGcr => {
            let places = &[[-0.22, 1.0, -0.95], [0.22, 1.05, -0.95], [0.0, 1.1, -0.65], [0.0, 0.75, -0.95]];
            (places, 0.03, [0.9, 0.8, 0.25])
        }
        _ => (&[], 0.0, [0.0; 3]),
    };
    let ball = |(index, place): (usize, &[f64; 3])| Ball {
        shown: Sphere { color_rgb: color, ..Sphere::new(sphere_id(mode, user, index), user, *place, radius) },
        home: DVec3::from_array(*place),
        position: DVec3::from_array(*place),
        velocity: DVec3::ZERO,
        held: None,
        alone: None,
        passes: 0.0,
        floats: mode == CharacterMode::CoommOctopus,
    };
    places.iter().enumerate().map(ball).collect()
}

impl Ball {
    /// How it looks now.
    pub(super) fn shown(&mut self) -> &Sphere {
        self.shown.translation = self.position.to_array();
        &self.shown
    }

    pub(super) fn freeze(&mut self) {
        self.velocity = DVec3::ZERO;
    }

    /// Lets `dt` seconds pass. `suckers` says of each arm whether it holds what it gets.
    pub(super) fn step(&mut self, dt: f64, arms: &[&dyn Body], suckers: &[bool], solids: &[Solid]) {
        let sucks = |arm: usize| suckers.get(arm).copied().unwrap_or_default();
        self.held = self.held.filter(|arm| sucks(*arm));
        if self.held.is_none() {
            let near = |arm: &usize| arms[*arm].tip().0.distance(self.position) < self.shown.radius + SUCTION;
            self.held = (0..arms.len()).filter(|arm| sucks(*arm)).find(near);
        }
        if let Some(arm) = self.held {
            let (tip, orientation) = arms[arm].tip();
            self.position = tip + orientation * DVec3::Z * self.shown.radius;
            self.velocity = arms[arm].tip_velocity().clamp_length_max(FASTEST);
            self.alone = Some(0.0);
            self.passes = PASSES;
            return;
        }
        let steps = (dt / LONGEST_STEP).ceil().clamp(1.0, MOST_STEPS);
        let h = (dt / steps).min(LONGEST_STEP);
        for _ in 0..steps as u32 {
            self.drift(h, solids);
        }
        self.passes -= dt;
        if self.passes <= 0.0 {
            self.be_pushed(dt, arms);
        }
        if let Some(alone) = &mut self.alone {
            *alone += dt;
            if *alone > BACK_AFTER && !self.floats {
                (self.position, self.velocity, self.alone) = (self.home, DVec3::ZERO, None);
            }
        }
    }

    fn drift(&mut self, h: f64, solids: &[Solid]) {
        if self.alone.is_none() {
            return;
        }
        if self.floats {
            self.velocity *= (-h / WATER_DRAG).exp();
            self.position += (self.home - self.position) * (1.0 - (-h / WATER_RETURN).exp());
        } else {
            self.velocity.y -= GRAVITY * h;
        }
        self.position += self.velocity * h;
        for solid in solids {
            let Some(touch) = solid.touch(self.position, self.shown.radius) else { continue };
            self.position += touch.normal * touch.depth;
            let into = self.velocity.dot(touch.normal);
            if into < 0.0 {
                self.velocity -= (1.0 + BOUNCE) * into * touch.normal;
            }
        }
    }

    /// Arms push it out of their way.
    fn be_pushed(&mut self, dt: f64, arms: &[&dyn Body]) {
        for (ends, radius) in arms.iter().flat_map(|arm| segments(*arm)) {
            let arm = Solid::Capsule { ends, radius };
            if let Some(touch) = arm.touch(self.position, self.shown.radius) {
                let push = touch.normal * touch.depth;
                self.position += push;
                self.velocity = (push / dt.max(LONGEST_STEP)).clamp_length_max(2.0);
                self.alone = Some(0.0);
            }
        }
    }
}
