//! The back end that holds the scene: users with their arms, and the simulation of each.

use std::collections::{BTreeMap, BTreeSet};

use waldo_protocol::field::{ArmCommand, CharacterMode, HandlingConfig, Limits, MultiArmCommand, SceneState};

use super::{BackendError, FieldBackend, bounds, merge, pass_through};
use crate::field::sim::{Physics, Simulation};

/// No simulation is stepped by less, seconds.
const SHORTEST_STEP: f64 = 0.0001;

type MakeSimulation = dyn Fn(&str, CharacterMode) -> Box<dyn Simulation> + Send;

/// Users, their arms and what they bring, meshes and overlays of publishers, and one simulation per user.
///
/// Without simulations it passes commands through: the tip of an arm is where an active command wants it.
///
/// ```
/// use waldo_protocol::field::{ArmCommand, CharacterMode, MultiArmCommand, Transform};
/// use waldo_server::field::{FieldBackend, MultiArmPassThroughBackend};
///
/// let mut backend = MultiArmPassThroughBackend::new();
/// let arms = backend.register_user("amy", CharacterMode::TwoCr)?;
/// let wanted = ArmCommand { active: true, ..ArmCommand::inactive(&arms[0], Transform::at([0.1, 1.2, 0.3])) };
/// backend.step(0.005, &[("amy", &MultiArmCommand::new(0.0, [wanted]))]);
/// assert_eq!(backend.scene().arms["amy_arm_0"].tip, Transform::at([0.1, 1.2, 0.3]));
/// # Ok::<(), waldo_server::field::BackendError>(())
/// ```
pub struct MultiArmPassThroughBackend {
    scene: SceneState,
    users: BTreeMap<String, User>,
    clamped: BTreeSet<String>,
    stopped: bool,
    make: Option<Box<MakeSimulation>>,
    limits: Option<Limits>,
}

struct User {
    mode: CharacterMode,
    arm_ids: Vec<String>,
    simulation: Option<Box<dyn Simulation>>,
    /// The command of the step before, by the index of the arm.
    previous: Vec<Option<ArmCommand>>,
    /// After a stop a grip is still to be released.
    waits: bool,
}

impl Default for MultiArmPassThroughBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl MultiArmPassThroughBackend {
    /// An empty scene whose arms have no simulation.
    pub fn new() -> Self {
        Self {
            scene: SceneState::default(),
            users: BTreeMap::new(),
            clamped: BTreeSet::new(),
            stopped: false,
            make: None,
            limits: None,
        }
    }

    /// An empty scene; `make` gets user id and mode, and builds the simulation of each user who joins. Its first arms are
    /// those of [`CharacterMode::arm_ids`], in that order.
    pub fn with_simulations(make: impl Fn(&str, CharacterMode) -> Box<dyn Simulation> + Send + 'static) -> Self {
        Self { make: Some(Box::new(make)), ..Self::new() }
    }

    /// An empty scene with the built-in simulations.
    pub fn simulated(physics: Physics, handling: HandlingConfig) -> Self {
        let limits = Some(handling.limits);
        Self { limits, ..Self::with_simulations(move |user, mode| physics.simulation(user, mode, handling)) }
    }

    /// As [`FieldBackend::register_user`], with the mode's name.
    ///
    /// # Errors
    /// An unknown mode, no room.
    pub fn register_user_named(&mut self, user: &str, mode: &str) -> Result<Vec<String>, BackendError> {
        let mode = CharacterMode::from_name(mode).ok_or_else(|| BackendError::UnsupportedMode(mode.to_owned()))?;
        self.register_user(user, mode)
    }

    /// The mode of a user who is there.
    pub fn user_mode(&self, user: &str) -> Option<CharacterMode> {
        self.users.get(user).map(|user| user.mode)
    }

    /// One step with one command for the arms of anybody, or with none: then nothing is applied and nobody lets go.
    /// Whoever has arms and none of them in the command lets go of all. Returns a snapshot.
    ///
    /// The service uses [`FieldBackend::step`], which keeps users apart.
    pub fn step_command(&mut self, dt: f64, command: Option<&MultiArmCommand>) -> SceneState {
        if let Some(command) = command {
            for user in self.users.values_mut() {
                let seen = user.arm_ids.iter().any(|arm| command.commands.contains_key(arm));
                user.apply(&mut self.scene, seen.then_some(command), self.stopped || user.waits);
            }
        }
        self.pass(dt);
        self.scene.clone()
    }

    /// Time passes for everything that moves by itself.
    fn pass(&mut self, dt: f64) {
        let dt = if dt.is_finite() { dt } else { 0.0 };
        self.scene.timestamp = (self.scene.timestamp + dt.max(0.0)).min(f64::MAX);
        self.scene.haptics.clear();
        self.clamped.clear();
        for (name, user) in &mut self.users {
            let Some(simulation) = &mut user.simulation else { continue };
            if self.stopped || user.waits {
                // What the last step felt is over.
                merge::merge_still(&mut self.scene, name, simulation.as_ref());
                continue;
            }
            simulation.step(dt.max(SHORTEST_STEP));
            merge::merge(&mut self.scene, name, simulation.as_ref());
            let clamped = user.arm_ids.iter().enumerate().filter(|(arm, _)| simulation.clamped(*arm));
            self.clamped.extend(clamped.map(|(_, id)| id.clone()));
        }
    }
}

impl User {
    /// What a user's command, or its absence, does to the user's arms.
    fn apply(&mut self, scene: &mut SceneState, command: Option<&MultiArmCommand>, stopped: bool) {
        for (arm, id) in self.arm_ids.iter().enumerate() {
            let previous = &mut self.previous[arm];
            match command.and_then(|command| command.commands.get(id)) {
                Some(command) => {
                    match &mut self.simulation {
                        // Nothing is applied, but a button that stays held is no press afterwards.
                        _ if stopped => {}
                        Some(simulation) => simulation.handle_command(arm, command, previous.as_ref()),
                        None => {
                            if let Some(state) = scene.arms.get_mut(id) {
                                pass_through::apply(state, command);
                            }
                        }
                    }
                    *previous = Some(command.clone());
                }
                None => {
                    if previous.take().is_some()
                        && let Some(simulation) = &mut self.simulation
                    {
                        simulation.handle_command_inactive(arm);
                    }
                }
            }
        }
        if let (Some(simulation), Some(command)) = (&mut self.simulation, command)
            && !stopped
        {
            simulation.handle_frame_command(command);
        }
    }
}

impl FieldBackend for MultiArmPassThroughBackend {
    fn register_user(&mut self, user: &str, mode: CharacterMode) -> Result<Vec<String>, BackendError> {
        if let Some(there) = self.users.get(user) {
            return Ok(there.arm_ids.clone());
        }
        bounds::room(self.users.len() + 1, bounds::USERS, "users")?;
        let arm_ids = mode.arm_ids(user);
        let simulation = self.make.as_ref().map(|make| make(user, mode));
        match &simulation {
            Some(simulation) => merge::merge(&mut self.scene, user, simulation.as_ref()),
            None => {
                for (id, base) in arm_ids.iter().zip(mode.bases()) {
                    self.scene.arms.insert(id.clone(), pass_through::at_rest(id, user, base));
                }
            }
        }
        self.scene.user_arms.insert(user.to_owned(), arm_ids.clone());
        let previous = vec![None; arm_ids.len()];
        self.users.insert(user.to_owned(), User { mode, arm_ids: arm_ids.clone(), simulation, previous, waits: false });
        Ok(arm_ids)
    }

    fn remove_user(&mut self, user: &str) {
        let Some(gone) = self.users.remove(user) else { return };
        self.scene.user_arms.remove(user);
        self.scene.arms.retain(|_, arm| arm.owner_user_id.as_deref() != Some(user));
        self.scene.spheres.retain(|_, sphere| sphere.owner_id != user);
        self.scene.haptics.retain(|haptic| !gone.arm_ids.contains(&haptic.arm_id));
        self.clamped.retain(|arm| !gone.arm_ids.contains(arm));
        self.remove_owner(user);
    }

    fn step(&mut self, dt: f64, commands: &[(&str, &MultiArmCommand)]) {
        for (name, user) in &mut self.users {
            let command = commands.iter().find(|(whose, _)| whose == name).map(|(_, command)| *command);
            user.apply(&mut self.scene, command, self.stopped || user.waits);
        }
        self.pass(dt);
    }

    fn scene(&self) -> &SceneState {
        &self.scene
    }

    fn scene_mut(&mut self) -> &mut SceneState {
        &mut self.scene
    }

    fn clamped(&self) -> &BTreeSet<String> {
        &self.clamped
    }

    fn limits(&self) -> Option<Limits> {
        self.limits
    }

    fn let_go(&mut self, user: &str, command: &MultiArmCommand) {
        if let Some(user) = self.users.get_mut(user) {
            let still = self.stopped || user.waits;
            user.apply(&mut self.scene, Some(command), still);
        }
    }

    fn stop(&mut self, stopped: bool) {
        if stopped && !self.stopped {
            for simulation in self.users.values_mut().filter_map(|user| user.simulation.as_mut()) {
                simulation.freeze();
            }
        }
        self.stopped = stopped;
    }

    fn wait(&mut self, user: &str, waits: bool) {
        let Some(user) = self.users.get_mut(user) else { return };
        if waits
            && !user.waits
            && !self.stopped
            && let Some(simulation) = &mut user.simulation
        {
            simulation.freeze();
        }
        user.waits = waits;
    }
}
