//! How the arms of an octopus walk: each tip stands until the body has left it behind, then it takes a step.

use glam::DVec3;
use waldo_protocol::field::CharacterMode;

use crate::field::sim::body::Body;
use crate::field::sim::rod::Pull;
use crate::field::sim::scenery::SEABED;
use crate::field::sim::solid::Solid;
use crate::field::sim::{Physics, characters};

/// How far from its base a tip stands, m.
const STANCE: f64 = 0.27;
/// A tip that is farther from where it should stand takes a step, m.
const STRIDE: f64 = 0.07;
/// A step takes that long, seconds, goes that high, m, and lands where the body needs it so much later, seconds.
const SWING: f64 = 0.3;
const LIFT: f64 = 0.06;
const AHEAD: f64 = 0.4;
/// How fast a tip reaches for something, m/s.
const REACHING: f64 = 0.5;

pub(super) struct Leg {
    pub(super) body: Box<dyn Body>,
    pub(super) base: DVec3,
    outward: DVec3,
    /// Where the tip is pulled to.
    foot: DVec3,
    swing: Option<Swing>,
}

#[derive(Clone, Copy)]
struct Swing {
    from: DVec3,
    to: DVec3,
    elapsed: f64,
}

impl Leg {
    pub(super) fn new(base: DVec3, outward: DVec3, mode: CharacterMode, physics: Physics) -> Self {
        let body = physics.arm(mode, base, characters::radial_clamp(outward));
        let foot = body.tip().0;
        Self { body, base, outward, foot, swing: None }
    }

    /// The body has moved.
    pub(super) fn carry(&mut self, base: DVec3, velocity: DVec3) {
        self.base = base;
        self.body.move_base(base, velocity);
    }

    pub(super) fn follow_foot(&mut self, dt: f64, solids: &[Solid]) {
        let pull = Pull { position: self.foot, orientation: characters::radial_clamp(self.outward) };
        self.body.step(dt, Some(pull), solids);
    }

    fn home(&self) -> DVec3 {
        let mut home = self.base + self.outward * STANCE;
        home.y = SEABED + self.body.radii().last().copied().unwrap_or_default();
        home
    }

    fn step_foot(&mut self, dt: f64, velocity: DVec3, may_swing: bool) {
        let home = self.home();
        if self.swing.is_none() && may_swing && self.foot.distance(home) > STRIDE {
            self.swing = Some(Swing { from: self.foot, to: home + velocity * AHEAD, elapsed: 0.0 });
        }
        if let Some(swing) = &mut self.swing {
            swing.elapsed += dt;
            let share = (swing.elapsed / SWING).min(1.0);
            self.foot = swing.from.lerp(swing.to, share) + DVec3::Y * (LIFT * (std::f64::consts::PI * share).sin());
            if share >= 1.0 {
                self.swing = None;
            }
        }
    }

    fn reach(&mut self, dt: f64, target: DVec3) {
        self.swing = None;
        self.foot += (target - self.foot).clamp_length_max(REACHING * dt);
    }
}

/// Moves all feet; `reaching` has what arms reach for instead of walking. Neighbours never step at the same time.
pub(super) fn step_feet(legs: &mut [Leg], dt: f64, velocity: DVec3, reaching: &[Option<DVec3>]) {
    let count = legs.len();
    for index in 0..count {
        if let Some(target) = reaching.get(index).copied().flatten() {
            legs[index].reach(dt, target);
            continue;
        }
        let swings = |neighbour: usize| legs[neighbour % count].swing.is_some();
        let may_swing = !swings(index + 1) && !swings(index + count - 1);
        legs[index].step_foot(dt, velocity, may_swing);
    }
}
