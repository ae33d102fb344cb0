//! What arms do in each character mode, with and without physics.

use waldo_protocol::field::{ArmCommand, ArmState, Haptic, Mesh, MultiArmCommand, Sphere};

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
