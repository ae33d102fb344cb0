//! The octopuses: they walk by themselves to where they are sent. No arm follows a controller.

mod errand;
mod gait;

use glam::DVec3;
use waldo_protocol::field::{
    ArmCommand, ArmState, CharacterMode, Mesh, MultiArmCommand, Sphere, TRIGGER_CLICK, Transform, newly_pressed,
    octo_bases,
};

use self::errand::Errand;
use self::gait::Leg;
use super::body::Body;
use super::kinematic::KinematicArm;
use super::rod::Pull;
use super::scenery::{self, SEABED_MAX, SEABED_MIN};
use super::solid::Solid;
use super::{Physics, Simulation, characters};

/// Where an octopus begins: its arms leave the body at this height.
const START: DVec3 = DVec3::new(0.0, 0.0, -0.5);
/// The arms that carry the inputs of the hands.
const HANDS: std::ops::RangeInclusive<usize> = 0..=1;
const RIGHT_HAND: usize = 1;
const LEGS: usize = 8;
/// How quickly the body takes up a speed, seconds.
const INERTIA: f64 = 0.2;
/// The head: how high, m; how wide at its ends and in the middle, m; how far it leans against the speed, seconds.
const HEAD: f64 = 0.22;
const HEAD_RADII: [f64; 2] = [0.035, 0.05];
const LEAN: f64 = 0.5;
/// Breaths per second, and how much wider the head becomes by one.
const BREATH: f64 = 0.4;
const BREATH_DEPTH: f64 = 0.05;
/// Time that one call may let pass, seconds.
const LONGEST_STEP: f64 = 0.1;

pub(super) struct Octopus {
    centre: DVec3,
    velocity: DVec3,
    legs: Vec<Leg>,
    head: KinematicArm,
    /// Seconds, for breathing.
    age: f64,
    errand: Errand,
    solids: Vec<Solid>,
    states: Vec<ArmState>,
    meshes: Vec<Mesh>,
    spheres: Vec<Sphere>,
}

impl Octopus {
    pub(super) fn new(user: &str, mode: CharacterMode, physics: Physics) -> Self {
        let mut states = super::states(user, mode);
        if mode == CharacterMode::CathyForaging {
            let head = ArmState::new(format!("{user}_head"), Transform::IDENTITY);
            states.push(ArmState { owner_user_id: Some(user.to_owned()), ..head });
        }
        let elements = mode.elements();
        let bulge = |index: usize| (std::f64::consts::PI * (index as f64 + 0.5) / elements as f64).sin();
        let [ends, middle] = HEAD_RADII;
        let radii = (0..elements).map(|index| ends + (middle - ends) * bulge(index)).collect();
        let mut octopus = Self {
            centre: START,
            velocity: DVec3::ZERO,
            legs: bases(START).map(|base| Leg::new(base, (base - START).normalize(), mode, physics)).collect(),
            head: KinematicArm::new(START, characters::upward(), HEAD, radii),
            age: 0.0,
            errand: Errand::new(user, mode),
            solids: scenery::solids(mode),
            states,
            meshes: scenery::meshes(mode, user),
            spheres: Vec::new(),
        };
        octopus.show();
        octopus
    }

    fn show(&mut self) {
        let bodies = self.legs.iter().map(|leg| leg.body.as_ref()).chain([&self.head as &dyn Body]);
        for (body, state) in bodies.zip(&mut self.states) {
            body.show(state);
        }
        let breath = 1.0 + BREATH_DEPTH * (std::f64::consts::TAU * BREATH * self.age).sin();
        if let Some(head) = self.states.last_mut() {
            head.radii.iter_mut().for_each(|radius| *radius *= breath);
        }
        self.errand.show(&mut self.spheres);
    }
}

/// Where the arms of an octopus leave the body.
fn bases(centre: DVec3) -> impl Iterator<Item = DVec3> {
    octo_bases(LEGS, centre.to_array()).into_iter().map(|base| DVec3::from_array(base.translation))
}

impl Simulation for Octopus {
    fn handle_command(&mut self, arm: usize, command: &ArmCommand, previous: Option<&ArmCommand>) {
        if HANDS.contains(&arm) && newly_pressed(command, previous, TRIGGER_CLICK) {
            self.errand.point(&command.target);
        }
    }

    fn handle_frame_command(&mut self, command: &MultiArmCommand) {
        let right = self.states.get(RIGHT_HAND).and_then(|hand| command.commands.get(&hand.arm_id));
        self.errand.steer(right.map(|hand| hand.joystick), command.head_pose.as_ref());
    }

    fn handle_command_inactive(&mut self, arm: usize) {
        if arm == RIGHT_HAND {
            self.errand.steer(None, None);
        }
    }

    fn step(&mut self, dt: f64) {
        let dt = dt.min(LONGEST_STEP);
        self.age += dt;
        let wanted = self.errand.velocity(self.centre);
        self.velocity += (wanted - self.velocity) * (1.0 - (-dt / INERTIA).exp());
        let before = self.centre;
        let ground = |xz: [f64; 2]| DVec3::new(xz[0], START.y, xz[1]);
        self.centre = (before + self.velocity * dt).clamp(ground(SEABED_MIN), ground(SEABED_MAX));
        self.velocity = (self.centre - before) / dt;

        let reaching = self.errand.reaching(&self.legs);
        for (leg, base) in self.legs.iter_mut().zip(bases(self.centre)) {
            leg.carry(base, self.velocity);
        }
        gait::step_feet(&mut self.legs, dt, self.velocity, &reaching);
        for leg in &mut self.legs {
            leg.follow_foot(dt, &self.solids);
        }
        self.errand.advance(dt, self.centre, &self.legs, &reaching);

        self.head.move_base(self.centre, self.velocity);
        let lean = self.velocity * LEAN;
        let top = self.centre + DVec3::new(-lean.x, HEAD, -lean.z);
        self.head.step(dt, Some(Pull { position: top, orientation: characters::upward() }), &[]);
        self.show();
    }

    fn freeze(&mut self) {
        self.velocity = DVec3::ZERO;
        self.errand.steer(None, None);
        self.legs.iter_mut().for_each(|leg| leg.body.freeze());
        self.head.freeze();
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
}
