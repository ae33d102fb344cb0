//! What arms do in each character mode, with and without physics.

mod ball;
mod body;
mod characters;
mod glb;
mod kinematic;
mod octopus;
mod pair;
mod rod;
mod scenery;
mod soft;
mod solid;

use glam::{DQuat, DVec3};
use waldo_protocol::field::{
    ArmCommand, ArmState, CharacterMode, HandlingConfig, Haptic, Layout, Mesh, MultiArmCommand, Sphere, Transform,
};

use self::body::Body;
use self::kinematic::KinematicArm;
use self::octopus::Octopus;
use self::pair::PairSimulation;
use self::soft::SoftArm;

/// The simulation of one user: all arms of a character and what belongs to them.
///
/// Arms are numbered as the ids that were given out at registration. What it shows keeps its ids from start to end; what
/// is not there at a moment is not visible. It steps only with what it was told, reads no clock and never blocks.
pub trait Simulation: Send {
    /// The newest command of an arm, and the one of the step before if there was one: an edge is a difference between
    /// the two.
    fn handle_command(&mut self, arm: usize, command: &ArmCommand, previous: Option<&ArmCommand>);

    /// The newest command of the user, once per step after those of the arms.
    fn handle_frame_command(&mut self, command: &MultiArmCommand) {
        let _ = command;
    }

    /// There is no command for an arm any more; called once.
    fn handle_command_inactive(&mut self, arm: usize);

    /// Lets `dt` seconds pass; never less than 0.1 ms.
    fn step(&mut self, dt: f64);

    /// Every motion ends here and now, and the shapes stay. Afterwards arms are eased to their targets.
    fn freeze(&mut self);

    /// The arms, and whatever else looks like one. Those that were given out come first, in their order.
    fn arm_states(&self) -> &[ArmState];

    /// Meshes of this user.
    fn mesh_entities(&self) -> &[Mesh] {
        &[]
    }

    /// Balls of this user.
    fn sphere_entities(&self) -> &[Sphere] {
        &[]
    }

    /// What the arms feel now.
    fn haptic_events(&self) -> &[Haptic] {
        &[]
    }

    /// Whether limits held the target of an arm back in the last step.
    fn clamped(&self, arm: usize) -> bool {
        let _ = arm;
        false
    }
}

/// What moves the built-in arms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Physics {
    /// Elastic rods with weight, pulled at their tips.
    #[default]
    Soft,
    /// None: tips follow their targets with a lag of 50 ms, along smooth curves.
    Kinematic,
}

impl Physics {
    fn arm(self, mode: CharacterMode, base: DVec3, clamp: DQuat) -> Box<dyn Body> {
        match self {
            Self::Soft => Box::new(SoftArm::new(characters::material(mode), characters::gains(mode), base, clamp)),
            Self::Kinematic => {
                let radii = characters::tapered(characters::material(mode).radius, mode.elements());
                Box::new(KinematicArm::new(base, clamp, mode.length(), radii))
            }
        }
    }

    /// The built-in simulation of a user of that mode.
    ///
    /// `handling` is how the arms of a pair follow; octopuses walk by themselves.
    pub fn simulation(self, user: &str, mode: CharacterMode, handling: HandlingConfig) -> Box<dyn Simulation> {
        match mode.layout() {
            Layout::Linear => Box::new(PairSimulation::new(user, mode, self, handling)),
            Layout::Octo => Box::new(Octopus::new(user, mode, self)),
        }
    }
}

/// The arms that are given out to a user, still without a shape.
fn states(user: &str, mode: CharacterMode) -> Vec<ArmState> {
    let state =
        |id: String| ArmState { owner_user_id: Some(user.to_owned()), ..ArmState::new(id, Transform::IDENTITY) };
    mode.arm_ids(user).into_iter().map(state).collect()
}

#[cfg(test)]
mod tests;
