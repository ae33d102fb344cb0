//! An arm with physics.

use glam::{DQuat, DVec3};
use waldo_protocol::field::ArmState;

use super::body::{Body, show_shape};
use super::rod::{Gains, Material, Pull, Rod};
use super::solid::{Solid, Touch};

pub(super) struct SoftArm {
    rod: Rod,
    clamp: DQuat,
    gains: Gains,
    /// It diverged: nothing moves it any more, and what was shown last stays.
    fault: bool,
}

impl SoftArm {
    /// A straight arm at rest along the z axis of `clamp`.
    pub(super) fn new(material: Material, gains: Gains, base: DVec3, clamp: DQuat) -> Self {
        Self { rod: Rod::new(material, base, clamp), clamp, gains, fault: false }
    }
}

impl Body for SoftArm {
    fn step(&mut self, dt: f64, pull: Option<Pull>, solids: &[Solid]) {
        if self.fault {
            return;
        }
        self.rod.step(dt, &self.gains, pull, solids);
        if !self.rod.is_finite() {
            self.fault = true;
            self.rod = Rod::new(self.rod.material().clone(), self.rod.base(), self.clamp);
        }
    }

    fn tip(&self) -> (DVec3, DQuat) {
        self.rod.tip()
    }

    fn tip_velocity(&self) -> DVec3 {
        self.rod.tip_velocity()
    }

    fn nodes(&self) -> &[DVec3] {
        self.rod.nodes()
    }

    fn radii(&self) -> &[f64] {
        self.rod.radii()
    }

    fn touches(&self) -> &[Touch] {
        self.rod.touches()
    }

    fn move_base(&mut self, base: DVec3, velocity: DVec3) {
        self.rod.move_base(base, velocity);
    }

    fn set_length(&mut self, length: f64) {
        self.rod.set_length(length);
    }

    fn freeze(&mut self) {
        self.rod.freeze();
    }

    fn show(&self, state: &mut ArmState) {
        state.fault = self.fault;
        if !self.fault {
            show_shape(state, self.rod.nodes(), self.rod.orientations(), self.rod.radii(), self.rod.touches());
        }
    }
}

#[cfg(test)]
mod tests {
    use waldo_protocol::field::{CharacterMode, Transform};

    use super::*;
    use crate::field::sim::characters;

    #[test]
    fn an_arm_that_diverges_keeps_its_last_finite_look_and_says_so() {
        let mode = CharacterMode::Spirobs;
        let (material, gains) = (characters::material(mode), characters::gains(mode));
        let mut arm = SoftArm::new(material, gains, DVec3::Y, characters::pair_clamp(mode));
        let mut state = ArmState::new("u_arm_0", Transform::IDENTITY);
        for _ in 0..50 {
            arm.step(0.005, None, &[]);
        }
        arm.show(&mut state);
        let good = state.clone();
        assert!(!good.fault);
        // No input does this: the target is checked before it comes here.
        let impossible = Pull { position: DVec3::NAN, orientation: DQuat::IDENTITY };
        arm.step(0.005, Some(impossible), &[]);
        for _ in 0..10 {
            arm.step(0.005, None, &[]);
            arm.show(&mut state);
            assert_eq!(state, ArmState { fault: true, ..good.clone() });
            assert!(arm.tip().0.is_finite() && arm.tip_velocity().is_finite());
        }
    }
}
