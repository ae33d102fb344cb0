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
    /// It diverged: nothing moves it any more, and what was shown last stays, there for balls and other arms too.
    fault: bool,
    /// As it was before the last step.
    last: Option<((DVec3, DQuat), Vec<DVec3>)>,
}

impl SoftArm {
    /// A straight arm at rest along the z axis of `clamp`.
    pub(super) fn new(material: Material, gains: Gains, base: DVec3, clamp: DQuat) -> Self {
        Self { rod: Rod::new(material, base, clamp), clamp, gains, fault: false, last: None }
    }
}

impl Body for SoftArm {
    fn step(&mut self, dt: f64, pull: Option<Pull>, solids: &[Solid]) {
        if self.fault {
            return;
        }
        let (tip, nodes) = self.last.get_or_insert_with(|| (self.rod.tip(), Vec::new()));
        *tip = self.rod.tip();
        nodes.clear();
        nodes.extend_from_slice(self.rod.nodes());
        self.rod.step(dt, &self.gains, pull, solids);
        if !self.rod.is_finite() {
            self.fault = true;
            self.rod = Rod::new(self.rod.material().clone(), self.rod.base(), self.clamp);
        }
    }

    fn tip(&self) -> (DVec3, DQuat) {
        match &self.last {
            Some((tip, _)) if self.fault => *tip,
            _ => self.rod.tip(),
        }
    }

    fn tip_velocity(&self) -> DVec3 {
        self.rod.tip_velocity()
    }

    fn nodes(&self) -> &[DVec3] {
        match &self.last {
            Some((_, nodes)) if self.fault => nodes,
            _ => self.rod.nodes(),
        }
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
        let (good, there) = (state.clone(), (arm.tip(), arm.nodes().to_vec()));
        assert!(!good.fault);
        // No input does this: the target is checked before it comes here.
        let impossible = Pull { position: DVec3::NAN, orientation: DQuat::IDENTITY };
        arm.step(0.005, Some(impossible), &[]);
        for _ in 0..10 {
            arm.step(0.005, None, &[]);
            arm.show(&mut state);
            assert_eq!(state, ArmState { fault: true, ..good.clone() });
            assert_eq!((arm.tip(), arm.nodes().to_vec()), there, "what others touch is what they see");
            assert!(arm.tip_velocity() == DVec3::ZERO && arm.touches().is_empty());
        }
    }
}
