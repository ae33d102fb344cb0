//! The base under the simulated arms: how it drives, and what it stops at.

use std::f64::consts::TAU;

use glam::{DQuat, DVec2, DVec3, Vec3Swizzles};

use super::model::{FINGERTIP, FOREARM, HAND, MOUNT, SHOULDER, UPPER_ARM};
use super::object::TABLE;
use crate::robot::kinematics::Transform;
use crate::robot::{BaseCommand, Lift, MobileBase};

/// Two opposite corners of the room, metres in the world.
pub(super) const ROOM: [DVec3; 2] = [DVec3::new(-2.5, -3.0, 0.0), DVec3::new(4.5, 3.0, 2.8)];

/// The base stays so far from the walls that no arm reaches one, metres.
const FROM_WALL: f64 = SHOULDER.y + UPPER_ARM + FOREARM + HAND + MOUNT + FINGERTIP + 0.05;

/// Radius of the body at the height of the table top, metres.
const BODY: f64 = 0.16;

/// Where the base stands and how high its lift is. In the beginning the frames of base and world are one.
///
/// It is at once as fast as it is told to be. It stops at the border of the floor on which no arm reaches a wall, and
/// slides along the table's edge: an upright cylinder around its origin is kept out of the table top, no more. The flat
/// foot may stand under the table, arms collide with nothing, and things on the floor are no obstacle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BaseState {
    position: DVec2,
    yaw: f64,
    lift: f64,
}

impl BaseState {
    /// In the world's origin, the lift as near to height zero as it goes.
    pub(super) fn new(base: Option<&MobileBase>) -> Self {
        let lift = base.and_then(|base| base.lift.as_ref());
        Self { position: DVec2::ZERO, yaw: 0.0, lift: lift.map_or(0.0, |lift| within(0.0, lift)) }
    }

    /// What stands on the floor, to world.
    pub(super) fn foot(self) -> Transform {
        Transform { rotation: DQuat::from_rotation_z(self.yaw), translation: self.position.extend(0.0) }
    }

    /// Base to world: the foot raised by the lift.
    pub(super) fn transform(self) -> Transform {
        Transform { translation: self.position.extend(self.lift), ..self.foot() }
    }

    /// Height of the lift, metres.
    pub(super) fn lift(self) -> f64 {
        self.lift
    }

    /// Moves for `dt` seconds. True if something on the floor was in the way.
    pub(super) fn step(&mut self, base: &MobileBase, command: BaseCommand, dt: f64) -> bool {
        if let Some(lift) = &base.lift {
            let rise = command.lift.clamp(-lift.max_speed, lift.max_speed) * dt;
            self.lift = within(self.lift + rise, lift);
        }
        let turn = command.wz.clamp(-base.max_turn, base.max_turn) * dt;
        let way = DVec2::new(command.vx, command.vy).clamp_length_max(base.max_speed) * dt;
        // The direction in the middle of the turn: a steady turn drives a circle, however long the steps.
        let middle = self.yaw + turn / 2.0;
        self.yaw = (self.yaw + turn) % TAU;
        if way == DVec2::ZERO {
            return false;
        }
        let wanted = self.position + DVec2::from_angle(middle).rotate(way);
        self.position = free(wanted);
        self.position != wanted
    }
}

fn within(height: f64, lift: &Lift) -> f64 {
    height.max(lift.lower).min(lift.upper)
}

/// The nearest place that the base can reach from where it just was; its steps are far smaller than its body.
fn free(wanted: DVec2) -> DVec2 {
    let [min, max] = ROOM.map(DVec3::xy);
    let on_floor = wanted.clamp(min + FROM_WALL, max - FROM_WALL);
    let edge = on_floor.clamp(TABLE.min.xy(), TABLE.max.xy());
    let away = on_floor - edge;
    if away.length() < BODY { edge + away.normalize_or(DVec2::NEG_X) * BODY } else { on_floor }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::robot::sim::model;

    const STEP: f64 = 0.004;

    fn base() -> MobileBase {
        model::description().base.unwrap()
    }

    /// Where a command leads to, and whether anything was in the way in the end.
    fn driven(mut state: BaseState, command: BaseCommand, seconds: f64) -> (BaseState, bool) {
        let mut blocked = false;
        for _ in 0..(seconds / STEP).round() as usize {
            blocked = state.step(&base(), command, STEP);
        }
        (state, blocked)
    }

    fn begin() -> BaseState {
        BaseState::new(Some(&base()))
    }

    #[test]
    fn velocities_are_those_of_the_body() {
        let back = BaseCommand { vx: -0.4, ..BaseCommand::default() };
        let (state, blocked) = driven(begin(), back, 1.0);
        assert!(state.transform().translation.distance(DVec3::new(-0.4, 0.0, 0.0)) < 1e-9 && !blocked);
        let (turned, _) = driven(state, BaseCommand { wz: 1.0, ..BaseCommand::default() }, std::f64::consts::FRAC_PI_2);
        assert!((turned.transform().rotation * DVec3::X).distance(DVec3::Y) < 2e-3, "counter-clockwise");
        let (side, _) = driven(turned, BaseCommand { vy: 0.2, ..BaseCommand::default() }, 1.0);
        assert!(side.transform().translation.distance(DVec3::new(-0.6, 0.0, 0.0)) < 1e-3, "left is −x now");
    }

    #[test]
    fn driving_while_turning_is_a_circle() {
        let start = driven(begin(), BaseCommand { vx: -0.5, ..BaseCommand::default() }, 1.0).0;
        let circle = BaseCommand { vx: 0.2, wz: 1.0, ..BaseCommand::default() };
        let (half, _) = driven(start, circle, std::f64::consts::PI);
        let across = half.transform().translation - start.transform().translation;
        assert!(across.distance(DVec3::Y * 0.4) < 1e-3, "{across}");
    }

    #[test]
    fn the_lift_raises_what_is_above_the_foot_and_ends_at_its_limits() {
        let up = BaseCommand { lift: 9.0, ..BaseCommand::default() };
        let (state, blocked) = driven(begin(), up, 1.0);
        assert!((state.lift() - 0.15).abs() < 1e-9, "no faster than it may: {state:?}");
        assert!(!blocked);
        let (top, _) = driven(state, up, 5.0);
        assert_eq!((top.lift(), top.transform().translation.z, top.foot().translation.z), (0.4, 0.4, 0.0));
        assert_eq!(driven(top, BaseCommand { lift: -0.1, ..BaseCommand::default() }, 9.0).0.lift(), 0.0);
    }

    #[test]
    fn it_stops_at_the_table_says_so_and_gets_away_again() {
        let forward = BaseCommand { vx: 0.5, ..BaseCommand::default() };
        let (at_table, blocked) = driven(begin(), forward, 3.0);
        assert!(blocked);
        assert!((at_table.transform().translation.x - (TABLE.min.x - BODY)).abs() < 1e-9, "{at_table:?}");
        let standing = driven(at_table, BaseCommand::default(), 1.0);
        assert_eq!(standing, (at_table, false), "nothing is in the way of who wants nothing");
        let (away, blocked) = driven(at_table, BaseCommand { vx: -0.5, ..BaseCommand::default() }, 0.2);
        assert!(!blocked && away.transform().translation.x < at_table.transform().translation.x - 0.09);
    }

    #[test]
    fn no_command_exceeds_the_highest_speed_in_any_direction() {
        let (state, _) = driven(begin(), BaseCommand { vx: -3.0, vy: 3.0, wz: 0.0, lift: 0.0 }, 1.0);
        assert!((state.transform().translation.length() - 0.5).abs() < 1e-9, "{state:?}");
    }

    proptest! {
        #[test]
        fn wherever_it_is_driven_it_stays_on_the_floor_out_of_the_table_and_does_not_jump(
            ways in prop::collection::vec((-1.0f64..1.0, -1.0f64..1.0, -1.0f64..1.0, 1u32..400), 1..20),
        ) {
            let mut state = begin();
            for (vx, vy, wz, steps) in ways {
                for _ in 0..steps {
                    let before = state.transform().translation;
                    state.step(&base(), BaseCommand { vx, vy, wz, lift: 0.0 }, 0.005);
                    let here = state.transform().translation;
                    prop_assert!(here.distance(before) < 0.006);
                    let edge = here.xy().clamp(TABLE.min.xy(), TABLE.max.xy());
                    prop_assert!(here.xy().distance(edge) > BODY - 1e-9, "{here}");
                    prop_assert!((here.xy() - ROOM[0].xy()).min_element() > 1.1);
                    prop_assert!((ROOM[1].xy() - here.xy()).min_element() > 1.1);
                }
            }
        }
    }
}
