//! Watches what a robot is told, tick by tick: whatever is asked of it, no command may break its limits.

use proptest::prelude::*;

use super::*;
use crate::control::SourceKind;
use crate::robot::Description;

/// What is known of the commands so far.
pub(crate) struct Watch {
    description: Description,
    before: Vec<Vec<f64>>,
    velocities: Vec<[f64; 7]>,
    /// Ticks since each joint was at an end of its range.
    since_end: [[u8; 7]; 2],
    /// A move to rest led this arm out of its workspace.
    astray: [bool; 2],
}

impl Watch {
    pub(crate) fn new(bench: &Bench) -> Self {
        Self {
            description: model::description(),
            before: bench.pilot.status().joints,
            velocities: vec![[0.0; 7]; 2],
            since_end: [[9; 7]; 2],
            astray: [false; 2],
        }
    }

    /// Looks at the command of the tick that was just done.
    pub(crate) fn look(&mut self, bench: &Bench) -> Result<(), TestCaseError> {
        let (stopped, led) = {
            let mut arbiter = bench.arbiter.lock().unwrap();
            let people = [arbiter.targets(bench.now).is_some(), arbiter.field_targets().is_some()];
            let wishes = [people[0], people[1], arbiter.joint_targets(bench.now).is_some()];
            let led = wishes.iter().filter(|wish| **wish).count();
            prop_assert!(led <= 1, "two lead the arms at once");
            let kind = arbiter.lease().driver.map(|driver| driver.kind);
            let kinds = [SourceKind::LocalHuman, SourceKind::FieldUser, SourceKind::Policy];
            // Operators far away lead arms as field users do.
            let kind = if kind == Some(SourceKind::RemoteHuman) { Some(SourceKind::FieldUser) } else { kind };
            prop_assert!(wishes.iter().zip(kinds).all(|(wish, of)| !wish || kind == Some(of)), "not who has the lease");
            (arbiter.stopped(), led == 1)
        };
        prop_assert!(!(stopped && led), "nobody leads arms that are stopped");
        let resetting = bench.hold() == Some(HoldReason::Resetting);
        let now = bench.command();
        for (i, arm) in self.description.arms.iter().enumerate() {
            prop_assert!((0.0..=1.0).contains(&now.arms[i].gripper));
            for (j, joint) in arm.joints.iter().enumerate() {
                let (before, velocity_before) = (self.before[i][j], self.velocities[i][j]);
                let angle = now.arms[i].joints[j];
                prop_assert!((joint.lower..=joint.upper).contains(&angle), "{}: {angle}", joint.name);
                let velocity = (angle - before) * 120.0;
                prop_assert!(velocity.abs() <= joint.max_velocity * 1.001, "{}: {velocity} rad/s", joint.name);
                let acceleration = (velocity - velocity_before) * 120.0;
                // At the end of its range a joint stands, however it came there.
                let at_end = [joint.lower, joint.upper].contains(&angle);
                self.since_end[i][j] = if at_end { 0 } else { self.since_end[i][j].saturating_add(1) };
                prop_assert!(
                    self.since_end[i][j] < 3 || acceleration.abs() <= joint.max_acceleration * 1.001,
                    "{}: {acceleration} rad/s²",
                    joint.name
                );
                let brakes = velocity.abs() <= velocity_before.abs() + 1e-9;
                prop_assert!(brakes || !stopped, "a stop only brakes: {} {velocity}", joint.name);
                prop_assert!(brakes || led || resetting, "{} moves and nobody leads it", joint.name);
                (self.velocities[i][j], self.before[i][j]) = (velocity, angle);
            }
            let gripper = forward(arm, &now.arms[i].joints).position();
            let inside = gripper.clamp(arm.workspace_min, arm.workspace_max);
            // A move to rest may lead where others may not, and a stop may end it there.
            self.astray[i] = resetting || (self.astray[i] && gripper != inside);
            prop_assert!(self.astray[i] || gripper.distance(inside) < 0.02, "{gripper}");
        }
        Ok(())
    }
}
