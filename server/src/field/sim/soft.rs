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

    fn thickness(&self) -> f64 {
        self.rod.radii().last().unwrap_or_default()
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
