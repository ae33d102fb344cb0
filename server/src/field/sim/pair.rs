//! The characters with two arms side by side.

use std::f64::consts::FRAC_PI_3;

use glam::{DMat3, DQuat, DVec3};
use waldo_protocol::field::{
    ArmCommand, ArmHandling, ArmState, CharacterMode, GrowingInput, HandlingConfig, Haptic, Mesh, PRIMARY, SECONDARY,
    Sphere, ThrowingInput,
};

use super::ball::{Ball, balls};
use super::body::{Body, pull_to, segments, tip_pose};
use super::rod::Pull;
use super::solid::Solid;
use super::{Physics, Simulation, characters, scenery};

/// Metres per second by which a rod grows, and its shortest and longest.
const GROWTH: f64 = 0.15;
const SHORTEST: f64 = 0.2;
const LONGEST: f64 = 1.4;
/// How far a stick bends a tip, radians.
const BEND: f64 = FRAC_PI_3;
/// A wave runs along an arm within this, seconds, and widens it by that share. No more than so many at once.
const WAVE: f64 = 1.0;
const WAVE_HEIGHT: f64 = 0.4;
const WAVES: usize = 8;
/// Share of the way to the base that a pull of the base takes from a target.
const BASE_PULL: f64 = 0.35;
/// Overlap that is felt as strongly as can be, m.
const FULL_TOUCH: f64 = 0.006;

pub(super) struct PairSimulation {
    mode: CharacterMode,
    arms: Vec<PairArm>,
    balls: Vec<Ball>,
    solids: Vec<Solid>,
    states: Vec<ArmState>,
    meshes: Vec<Mesh>,
    spheres: Vec<Sphere>,
    haptics: Vec<Haptic>,
}

struct PairArm {
    body: Box<dyn Body>,
    base: DVec3,
    handling: ArmHandling,
    growing: GrowingInput,
    throwing: ThrowingInput,
    length: f64,
    /// For how long each wave has run, seconds.
    waves: Vec<f64>,
}

impl PairSimulation {
    pub(super) fn new(user: &str, mode: CharacterMode, physics: Physics, handling: HandlingConfig) -> Self {
        let clamp = characters::pair_clamp(mode);
        let arms = mode.bases().into_iter().map(|base| {
            let base = DVec3::from_array(base.translation);
            let body = physics.arm(mode, base, clamp);
            let director = DMat3::from_quat(clamp).transpose();
            PairArm {
                handling: ArmHandling::new(handling, director, tip_pose(body.tip())),
                body,
                base,
                growing: GrowingInput::default(),
                throwing: ThrowingInput::default(),
                length: mode.length(),
                waves: Vec::new(),
            }
        });
        let mut pair = Self {
            mode,
            arms: arms.collect(),
            balls: balls(mode, user),
            solids: scenery::solids(mode),
            states: super::states(user, mode),
            meshes: scenery::meshes(mode, user),
            spheres: Vec::new(),
            haptics: Vec::new(),
        };
        pair.show();
        pair
    }

    /// Solids that an arm may touch besides what stands around: the other arm, where arms feel.
    fn other_arm(&self, arm: usize) -> Vec<Solid> {
        if self.mode != CharacterMode::Spirobs {
            return Vec::new();
        }
        let others = self.arms.iter().enumerate().filter(|(other, _)| *other != arm);
        let segments = others.flat_map(|(_, other)| segments(other.body.as_ref()));
        segments.map(|(ends, radius)| Solid::Capsule { ends, radius }).collect()
    }

    fn show(&mut self) {
        for (arm, state) in self.arms.iter().zip(&mut self.states) {
            arm.body.show(state);
            arm.widen(&mut state.radii);
        }
        self.spheres.clear();
        self.spheres.extend(self.balls.iter_mut().map(|ball| ball.shown().clone()));
        let strongest = match self.mode {
            CharacterMode::Spirobs => 1.0,
            CharacterMode::NoelC4 => 0.5,
            _ => return,
        };
        self.haptics.clear();
        for (arm, state) in self.arms.iter().zip(&self.states) {
            let depth = arm.body.touches().iter().map(|touch| touch.depth).fold(0.0, f64::max);
            let intensity = strongest * (depth / FULL_TOUCH).min(1.0);
            self.haptics.push(Haptic { arm_id: state.arm_id.clone(), active: intensity > 0.0, intensity });
        }
    }
}

impl PairArm {
    /// Where the tip is pulled to in this tick.
    fn pull(&mut self, dt: f64) -> Option<Pull> {
        let mut pull = pull_to(self.handling.follow(dt, tip_pose(self.body.tip()))?);
        // A stick that is no number bends nothing.
        let [right, back] = self.growing.bend.map(|stick| if stick.is_nan() { 0.0 } else { stick.clamp(-1.0, 1.0) });
        pull.orientation *= DQuat::from_scaled_axis(DVec3::new(back, right, 0.0) * BEND);
        if self.throwing.base_pull {
            pull.position = pull.position.lerp(self.base, BASE_PULL);
        }
        Some(pull)
    }

    fn grow(&mut self, dt: f64) {
        let way = f64::from(self.growing.grow) - f64::from(self.growing.retract);
        let length = (self.length + way * GROWTH * dt).clamp(SHORTEST, LONGEST);
        if length != self.length {
            self.length = length;
            self.body.set_length(length);
        }
        self.waves.retain_mut(|elapsed| {
            *elapsed += dt;
            *elapsed < WAVE
        });
    }

    /// Draws the waves that run along the arm.
    fn widen(&self, radii: &mut [f64]) {
        let elements = radii.len() as f64;
        for (index, radius) in radii.iter_mut().enumerate() {
            let place = (index as f64 + 0.5) / elements;
            let heights = self.waves.iter().map(|elapsed| (-((place - elapsed / WAVE) / 0.1).powi(2)).exp());
            *radius *= 1.0 + WAVE_HEIGHT * heights.fold(0.0, f64::max);
        }
    }
}

impl Simulation for PairSimulation {
    fn handle_command(&mut self, arm: usize, command: &ArmCommand, previous: Option<&ArmCommand>) {
        let Some(arm) = self.arms.get_mut(arm) else { return };
        match self.mode {
            CharacterMode::TwoGcr => {
                arm.growing = GrowingInput::of(command, previous);
                if arm.growing.wave && arm.waves.len() < WAVES {
                    arm.waves.push(0.0);
                }
                // A growing rod always follows: its buttons mean something else.
                let free = |command: &ArmCommand| {
                    let mut command = command.clone();
                    command.buttons.retain(|button, _| button != PRIMARY && button != SECONDARY);
                    command
                };
                arm.handling.handle(&free(command), previous.map(free).as_ref());
            }
            CharacterMode::CathyThrow => {
                arm.throwing = ThrowingInput::of(command);
                arm.handling.handle(command, previous);
            }
            _ => {
                arm.handling.handle(command, previous);
            }
        }
    }

    fn handle_command_inactive(&mut self, arm: usize) {
        if let Some(arm) = self.arms.get_mut(arm) {
            arm.growing = GrowingInput::default();
            arm.throwing = ThrowingInput::default();
            arm.handling.inactive();
        }
    }

    fn step(&mut self, dt: f64) {
        for index in 0..self.arms.len() {
            let other = self.other_arm(index);
            let arm = &mut self.arms[index];
            arm.grow(dt);
            let pull = arm.pull(dt);
            let fixed = self.solids.len();
            self.solids.extend(other);
            arm.body.step(dt, pull, &self.solids);
            self.solids.truncate(fixed);
        }
        let bodies: Vec<&dyn Body> = self.arms.iter().map(|arm| arm.body.as_ref()).collect();
        let suckers: Vec<bool> = self.arms.iter().map(|arm| arm.throwing.sucker || arm.growing.suction).collect();
        for ball in &mut self.balls {
            ball.step(dt, &bodies, &suckers, &self.solids);
        }
        self.show();
    }

    fn freeze(&mut self) {
        for arm in &mut self.arms {
            arm.body.freeze();
            arm.handling.restart(tip_pose(arm.body.tip()));
        }
        self.balls.iter_mut().for_each(Ball::freeze);
    }

    fn arm_states(&self) -> &[ArmState] {
        &self.states
    }

    fn mesh_entities(&self) -> &[Mesh] {
        &self.meshes
    }

    fn sphere_entities(&self) -> &[Sphere] {
        &self.spheres
    }

    fn haptic_events(&self) -> &[Haptic] {
        &self.haptics
    }

    fn clamped(&self, arm: usize) -> bool {
        self.arms.get(arm).is_some_and(|arm| arm.handling.clamped())
    }
}
