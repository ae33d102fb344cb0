//! The back end's contract: who moves what, who owns what, and what never gets into a scene.

mod contract;
mod properties;
mod publishers;
mod vectors;

use std::sync::{Arc, Mutex};

use waldo_protocol::field::{
    ArmCommand, ArmState, CharacterMode, HandlingConfig, MultiArmCommand, SceneState, Sphere, Transform, arm_id,
};

use super::*;
use crate::field::sim::{Physics, Simulation};

const TICK: f64 = 0.005;

/// What a simulation was told.
#[derive(Clone, Debug, PartialEq)]
enum Call {
    Command { arm: String, x: f64, previous: Option<f64> },
    Frame(f64),
    Inactive(String),
    Step(f64),
    Freeze,
}

fn simulated(physics: Physics) -> MultiArmPassThroughBackend {
    MultiArmPassThroughBackend::simulated(physics, HandlingConfig::default())
}

type Calls = Arc<Mutex<Vec<Call>>>;

/// Writes down what it is told, and shows what it is given.
struct Recorder {
    user: String,
    calls: Calls,
    states: Vec<ArmState>,
    spheres: Vec<Sphere>,
}

impl Recorder {
    fn note(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }
}

impl Simulation for Recorder {
    fn handle_command(&mut self, arm: usize, command: &ArmCommand, previous: Option<&ArmCommand>) {
        let x = |command: &ArmCommand| command.target.translation[0];
        self.note(Call::Command { arm: arm_id(&self.user, arm), x: x(command), previous: previous.map(x) });
        // A test makes it diverge by wanting the impossible.
        self.states[arm].tip.translation[0] = x(command);
        self.spheres[0].translation[0] = x(command);
    }

    fn handle_frame_command(&mut self, command: &MultiArmCommand) {
        self.note(Call::Frame(command.timestamp));
    }

    fn handle_command_inactive(&mut self, arm: usize) {
        self.note(Call::Inactive(arm_id(&self.user, arm)));
    }

    fn step(&mut self, dt: f64) {
        self.note(Call::Step(dt));
    }

    fn freeze(&mut self) {
        self.note(Call::Freeze);
    }

    fn arm_states(&self) -> &[ArmState] {
        &self.states
    }

    fn sphere_entities(&self) -> &[Sphere] {
        &self.spheres
    }
}

fn recorded() -> (MultiArmPassThroughBackend, Calls) {
    let calls = Calls::default();
    let shared = Arc::clone(&calls);
    let backend = MultiArmPassThroughBackend::with_simulations(move |user, mode| {
        let states = mode.arm_ids(user).into_iter().map(|id| ArmState::new(id, Transform::IDENTITY));
        Box::new(Recorder {
            user: user.to_owned(),
            calls: Arc::clone(&shared),
            states: states.collect(),
            spheres: vec![Sphere::new(format!("{user}_ball"), user, [0.0; 3], 0.1)],
        })
    });
    (backend, calls)
}

fn taken(calls: &Calls) -> Vec<Call> {
    std::mem::take(&mut calls.lock().unwrap())
}

/// Inactive handling since the last look.
fn let_go(calls: &Calls) -> Vec<String> {
    let inactive = |call| if let Call::Inactive(arm) = call { Some(arm) } else { None };
    taken(calls).into_iter().filter_map(inactive).collect()
}

fn to(arm: &str, x: f64) -> ArmCommand {
    ArmCommand { active: true, ..ArmCommand::inactive(arm, Transform::at([x, 1.2, 0.3])) }
}

/// A command that sends those arms to that x.
fn all_to(arms: &[&str], x: f64) -> MultiArmCommand {
    MultiArmCommand::new(x, arms.iter().map(|arm| to(arm, x)))
}
