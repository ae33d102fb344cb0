//! The world in virtual time.

mod driving;

use std::time::Duration;

use glam::DQuat;
use nalgebra::{DMatrix, DVector};

use super::super::model;
use super::super::object::TABLE;
use super::*;

const TICK: Duration = Duration::from_nanos(1_000_000_000 / 120);
const LEFT: usize = 0;
const RED_CUBE: usize = 0;

/// A world with its clock, and what the arms are told.
struct Bench {
    description: Description,
    world: World,
    now: MonoTime,
    command: Command,
}

impl Bench {
    fn new() -> Self {
        let description = model::description();
        let arms = description.arms.iter().map(|a| ArmCommand { joints: a.rest.clone(), gripper: 1.0 }).collect();
        let world = World::new(&description);
        let command = Command { arms, base: Some(BaseCommand::default()) };
        Self { description, world, now: MonoTime::from_nanos(5_000_000_000), command }
    }

    fn tick(&mut self) -> Applied {
        self.now = self.now + TICK;
        self.world.advance(&self.description, self.now, &self.command).unwrap()
    }

    fn run(&mut self, seconds: f64) {
        for _ in 0..(seconds * 120.0) as usize {
            self.tick();
        }
    }

    /// Brings the left fingers' pads to a point, pointing steeply down.
    fn reach_for(&mut self, point: DVec3) {
        let down = Transform {
            rotation: DQuat::from_rotation_y(-0.4) * DQuat::from_rotation_z(std::f64::consts::FRAC_PI_2),
            translation: DVec3::ZERO,
        };
        let target = Transform { translation: point + down.rotation * DVec3::Z * (FINGERTIP - PAD), ..down };
        let arm = &self.description.arms[LEFT];
        let mut angles = self.command.arms[LEFT].joints.clone();
        for _ in 0..400 {
            let frames = ArmFrames::at(arm, &angles);
            let linear = target.translation - frames.gripper().translation;
            let angular = (target.rotation * frames.gripper().rotation.conjugate()).to_scaled_axis();
            let error = DVector::from_iterator(6, linear.to_array().into_iter().chain(angular.to_array()));
            let columns: Vec<f64> =
                frames.jacobian().flat_map(|t| [t.linear.to_array(), t.angular.to_array()].concat()).collect();
            let jacobian = DMatrix::from_column_slice(6, 7, &columns);
            let damped = &jacobian * jacobian.transpose() + DMatrix::identity(6, 6) * 1e-3;
            let step = jacobian.transpose() * damped.try_inverse().unwrap() * error;
            for ((angle, step), joint) in angles.iter_mut().zip(step.iter()).zip(&arm.joints) {
                *angle = (*angle + step.clamp(-0.1, 0.1)).clamp(joint.lower, joint.upper);
            }
        }
        let reached = ArmFrames::at(arm, &angles).gripper().translation;
        assert!(reached.distance(target.translation) < 1e-3, "{point} is out of reach: {reached}");
        self.command.arms[LEFT].joints = angles;
    }

    fn gripper(&mut self, opening: f64) {
        self.command.arms[LEFT].gripper = opening;
        self.run(0.6);
    }

    fn object(&self, index: usize) -> DVec3 {
        self.world.objects()[index].at.translation
    }

    /// Takes the red cube and lifts it 20 cm.
    fn holding_the_red_cube() -> Self {
        let mut bench = Self::new();
        let cube = bench.object(RED_CUBE);
        bench.reach_for(cube);
        bench.run(2.0);
        bench.gripper(0.0);
        bench.reach_for(cube + DVec3::Z * 0.2);
        bench.run(2.0);
        bench
    }
}

#[test]
fn a_cube_is_grasped_and_carried() {
    let mut bench = Bench::holding_the_red_cube();
    let lifted = bench.object(RED_CUBE);
    assert!((lifted.z - TABLE.max.z - 0.225).abs() < 0.005, "{lifted}");
    let opening = bench.world.arms()[LEFT].opening();
    assert!((0.45..0.55).contains(&opening), "the fingers stop at the cube's 5 cm: {opening}");
    assert!(bench.world.picked_up());

    let place = DVec3::new(0.6, 0.32, 0.95);
    bench.reach_for(place);
    bench.run(2.0);
    assert!(bench.object(RED_CUBE).distance(place) < 0.01, "{}", bench.object(RED_CUBE));
}

#[test]
fn a_thing_counts_as_picked_up_from_ten_centimetres_on_until_all_are_put_back() {
    let mut bench = Bench::new();
    let cube = bench.object(RED_CUBE);
    bench.reach_for(cube);
    bench.run(2.0);
    bench.gripper(0.0);
    bench.reach_for(cube + DVec3::Z * 0.08);
    bench.run(2.0);
    assert!(!bench.world.picked_up());
    bench.reach_for(cube + DVec3::Z * 0.12);
    bench.run(2.0);
    assert!(bench.world.picked_up());
    bench.gripper(1.0);
    bench.run(1.0);
    assert!(bench.world.picked_up(), "dropped again, which ends nothing");
    bench.world.put_back();
    assert!(!bench.world.picked_up());
}

#[test]
fn a_held_cube_keeps_its_pose_in_the_gripper() {
    let mut bench = Bench::holding_the_red_cube();
    let in_gripper = |b: &Bench| b.world.arms()[LEFT].frames().gripper().inverse() * b.world.objects()[RED_CUBE].at;
    let before = in_gripper(&bench);
    bench.command.arms[LEFT].joints[6] += 0.6;
    bench.run(1.0);
    let after = in_gripper(&bench);
    assert!(before.translation.distance(after.translation) < 1e-9);
    assert!(before.rotation.angle_between(after.rotation) < 1e-6);
}

#[test]
fn a_cube_let_go_falls_flat_to_the_table() {
    let mut bench = Bench::holding_the_red_cube();
    bench.gripper(1.0);
    bench.run(1.0);
    assert!((bench.object(RED_CUBE).z - TABLE.max.z - 0.025).abs() < 1e-6, "{}", bench.object(RED_CUBE));
    assert_eq!(bench.world.held().count(), 0);
}

#[test]
fn a_cube_can_be_stacked_on_another() {
    let mut bench = Bench::holding_the_red_cube();
    let below = bench.object(4);
    bench.reach_for(below + DVec3::Z * 0.06);
    bench.run(2.0);
    bench.gripper(1.0);
    bench.run(1.0);
    assert!((bench.object(RED_CUBE).z - (TABLE.max.z + 0.04 + 0.025)).abs() < 1e-6, "{}", bench.object(RED_CUBE));
}

#[test]
fn a_slightly_looser_command_does_not_drop() {
    let mut bench = Bench::holding_the_red_cube();
    let opening = bench.world.arms()[LEFT].opening();
    bench.gripper(opening + 0.02);
    assert_eq!(bench.world.held().count(), 1);
    bench.gripper(opening + 0.1);
    assert_eq!(bench.world.held().count(), 0);
}

#[test]
fn fingers_that_close_beside_a_thing_hold_nothing() {
    let mut bench = Bench::new();
    let cube = bench.object(RED_CUBE);
    bench.reach_for(cube + DVec3::new(0.0, 0.12, 0.02));
    bench.run(2.0);
    bench.gripper(0.0);
    assert_eq!(bench.world.arms()[LEFT].opening(), 0.0);
    assert_eq!(bench.world.held().count(), 0);
    assert_eq!(bench.object(RED_CUBE), cube);
}

#[test]
fn closed_fingers_that_run_into_a_thing_do_not_take_it() {
    let mut bench = Bench::new();
    bench.gripper(0.0);
    bench.reach_for(bench.object(RED_CUBE));
    bench.run(2.0);
    bench.reach_for(bench.object(RED_CUBE) + DVec3::Z * 0.2);
    bench.run(2.0);
    assert!((bench.object(RED_CUBE).z - TABLE.max.z - 0.025).abs() < 1e-6);
}

#[test]
fn a_thing_off_centre_is_pushed_to_the_middle_while_the_fingers_close() {
    let mut bench = Bench::new();
    bench.reach_for(bench.object(RED_CUBE) + DVec3::Y * 0.015);
    bench.run(2.0);
    bench.command.arms[LEFT].gripper = 0.0;
    let mut last = bench.object(RED_CUBE);
    while bench.world.held().count() == 0 {
        bench.tick();
        let here = bench.object(RED_CUBE);
        assert!(here.distance(last) < 0.005, "it slides, it does not jump");
        last = here;
    }
    let in_gripper = bench.world.arms()[LEFT].frames().gripper().inverse().point(last);
    assert!(in_gripper.x.abs() < 0.002, "{in_gripper}");
}

#[test]
fn reset_puts_everything_back_even_out_of_a_gripper() {
    let mut bench = Bench::holding_the_red_cube();
    bench.world.put_back();
    bench.run(0.5);
    assert_eq!(bench.world.objects(), World::new(&bench.description).objects());
}

#[test]
fn joints_obey_their_limits_and_say_so() {
    let mut bench = Bench::new();
    bench.tick();
    bench.command.arms[LEFT].joints[3] = 9.0;
    assert_eq!(bench.tick().limited, Some(HoldReason::Limit));
    bench.run(3.0);
    let elbow = bench.world.arms()[LEFT].joints()[3];
    assert!((elbow - bench.description.arms[LEFT].joints[3].upper).abs() < 1e-3, "{elbow}");
}

#[test]
fn a_joint_moves_no_faster_than_it_may_and_says_when_it_lags() {
    let mut bench = Bench::new();
    bench.tick();
    bench.command.arms[LEFT].joints[0] += 1.5;
    let highest = bench.description.arms[LEFT].joints[0].max_velocity;
    assert_eq!(bench.tick().limited, Some(HoldReason::Velocity));
    let mut last = bench.world.arms()[LEFT].joints()[0];
    for _ in 0..240 {
        bench.tick();
        let here = bench.world.arms()[LEFT].joints()[0];
        assert!((here - last).abs() <= highest * TICK.as_secs_f64() + 1e-9);
        last = here;
    }
    assert!((last - bench.command.arms[LEFT].joints[0]).abs() < 1e-3);
    assert_eq!(bench.tick().limited, None);
}

#[test]
fn the_gripper_takes_time_to_close() {
    let mut bench = Bench::new();
    bench.tick();
    bench.command.arms[LEFT].gripper = 0.0;
    bench.run(0.1);
    let opening = bench.world.arms()[LEFT].opening();
    assert!((opening - 0.75).abs() < 0.03, "{opening}");
}

#[test]
fn nothing_moves_before_the_second_command_nor_for_a_time_that_does_not_pass() {
    let mut bench = Bench::new();
    let rest = bench.world.arms()[LEFT].joints();
    bench.command.arms[LEFT].joints[0] += 0.5;
    bench.tick();
    bench.world.advance(&bench.description, bench.now, &bench.command).unwrap();
    assert_eq!(bench.world.arms()[LEFT].joints(), rest);
}

#[test]
fn a_long_pause_counts_as_a_short_one() {
    let mut bench = Bench::new();
    bench.tick();
    bench.command.arms[LEFT].joints[0] += 2.0;
    bench.now = bench.now + Duration::from_secs(3600);
    bench.tick();
    let moved = bench.world.arms()[LEFT].joints()[0] - bench.description.arms[LEFT].rest[0];
    assert!(moved > 0.3 && moved < 2.6 * MAX_PAUSE, "{moved}");
}

#[test]
fn the_same_commands_give_the_same_world() {
    let end = || {
        let mut bench = Bench::holding_the_red_cube();
        bench.gripper(1.0);
        (bench.world.arms()[LEFT].joints(), bench.world.objects().to_vec())
    };
    assert_eq!(end(), end());
}

#[test]
fn a_command_that_does_not_fit_the_robot_is_refused_and_moves_nothing() {
    let bench = Bench::new();
    let mut world = bench.world.clone();
    let mut refused = |change: fn(&mut Command), text: &str| {
        let mut command = bench.command.clone();
        change(&mut command);
        let error = world.advance(&bench.description, bench.now, &command).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    refused(|c| c.arms.truncate(1), "1 arms; the robot has 2");
    refused(|c| c.arms[1].joints.truncate(3), "3 joint targets for arm right");
    refused(|c| c.arms[0].joints[2] = f64::NAN, "arm left is not a finite");
    refused(|c| c.arms[0].gripper = f64::INFINITY, "arm left is not a finite");
    refused(|c| c.base = Some(BaseCommand { wz: f64::NAN, ..BaseCommand::default() }), "of the base is not a finite");
}

#[test]
fn joints_read_between_two_commands_are_where_the_arms_are_then() {
    let mut bench = Bench::new();
    bench.run(0.1);
    bench.command.arms[LEFT].joints[0] += 0.3;
    bench.command.arms[LEFT].gripper = 0.5;
    for _ in 0..20 {
        bench.tick();
        let (now, then) = (bench.now, bench.now + TICK);
        let world = bench.world.clone();
        let at_once = world.readings(&bench.description, now);
        assert_eq!(at_once[LEFT].joints, world.arms()[LEFT].joints());
        let later = world.readings(&bench.description, then);
        assert_ne!(later[LEFT], at_once[LEFT]);
        // The same command goes on: the world comes to what was read ahead.
        let mut ahead = world;
        ahead.advance(&bench.description, then, &bench.command).unwrap();
        for (read, real) in later[LEFT].joints.iter().zip(ahead.arms()[LEFT].joints()) {
            assert!((read - real).abs() < 1e-12, "{read} {real}");
        }
        assert!((later[LEFT].gripper - ahead.arms()[LEFT].opening()).abs() < 1e-12);
    }
    let long_after = bench.world.readings(&bench.description, bench.now + Duration::from_secs(60));
    let bounded = bench.world.readings(&bench.description, bench.now + Duration::from_millis(250));
    assert_eq!(long_after, bounded, "a robot without commands stands still in the end");
}
