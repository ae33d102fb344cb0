//! From pose frames to robot commands, in virtual time.

mod bench;
mod cart;
mod faults;
mod field;
mod programs;
mod watch;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use glam::{DQuat, DVec3};
use proptest::prelude::*;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Controller, Hands, HoldReason, PlayoutConfig, PlayoutProfile, VrFrame};

use super::pilot::Pilot;
use super::{Admission, Arbiter};
use crate::clock;
use crate::robot::Command;
use crate::robot::kinematics::forward;
use crate::robot::sim::{SimOptions, SimRobot, model};
use crate::sensors::SensorHub;

use bench::{A, B, Failure, moved};
pub(crate) use bench::{Bench, TICK, frame, squeezed};
pub(super) use bench::{FakeRobot, pose, rest_command};
pub(crate) use watch::Watch;

#[track_caller]
fn assert_moves(at: VrFrame, by: [f64; 3], turned: DQuat, gripper_by: [f64; 3], gripper_turned: DQuat) {
    for (position, orientation) in Bench::response(at, DVec3::from(by), turned) {
        assert!(position.distance(DVec3::from(gripper_by)) < 1e-5, "moved {position}, not {gripper_by:?}");
        let off = orientation.angle_between(gripper_turned);
        assert!(off < 1e-4, "turned off by {off} rad");
    }
}

#[test]
fn pushing_along_the_ray_moves_the_gripper_along_its_approach() {
    assert_moves(frame(), [0.0, 0.0, -0.1], DQuat::IDENTITY, [0.0, 0.0, -0.1], DQuat::IDENTITY);
}

#[test]
fn sideways_motion_is_turned_about_the_ray() {
    assert_moves(frame(), [0.1, 0.0, 0.0], DQuat::IDENTITY, [-0.1, 0.0, 0.0], DQuat::IDENTITY);
    assert_moves(frame(), [0.0, 0.1, 0.0], DQuat::IDENTITY, [0.0, -0.1, 0.0], DQuat::IDENTITY);
}

#[test]
fn rotations_are_turned_about_the_ray() {
    let angle = 30f64.to_radians();
    let still = [0.0; 3];
    assert_moves(frame(), still, DQuat::from_rotation_z(angle), still, DQuat::from_rotation_z(angle));
    assert_moves(frame(), still, DQuat::from_rotation_x(angle), still, DQuat::from_rotation_x(-angle));
    assert_moves(frame(), still, DQuat::from_rotation_y(angle), still, DQuat::from_rotation_y(-angle));
}

#[test]
fn it_does_not_matter_where_the_operator_faces() {
    let turned = moved(DVec3::new(2.0, 0.3, -1.0), DQuat::from_rotation_y(2.4) * DQuat::from_rotation_x(-0.5));
    assert_moves(turned, [0.0, 0.0, -0.1], DQuat::IDENTITY, [0.0, 0.0, -0.1], DQuat::IDENTITY);
    assert_moves(turned, [0.05, 0.0, 0.0], DQuat::IDENTITY, [-0.05, 0.0, 0.0], DQuat::IDENTITY);
}

#[test]
fn nothing_moves_before_somebody_engages() {
    let mut start = rest_command();
    start.arms[0].joints[1] = -0.55; // outside of its limits, pushed there by hand
    let expected = start.clone();
    let mut bench = Bench::with(|robot| robot.start = Ok(start));
    bench.drive(A, &moved(DVec3::X, DQuat::IDENTITY), 0.5);
    bench.drive(A, &moved(DVec3::Y, DQuat::from_rotation_x(1.0)), 0.5);
    assert!(bench.script.lock().unwrap().commands.iter().all(|c| *c == expected));
}

#[test]
fn the_frame_that_engages_moves_nothing_and_a_still_hand_keeps_the_arm_still() {
    let mut bench = Bench::new();
    bench.drive(A, &frame(), 0.1);
    bench.send(A, &squeezed(frame()));
    bench.ticks(0.1);
    assert!(bench.engaged());
    assert_eq!(bench.command(), rest_command());
    bench.drive(A, &squeezed(frame()), 1.0);
    assert_eq!(bench.command().arms[0].joints, rest_command().arms[0].joints);
}

#[test]
fn grippers_follow_the_triggers_only_while_engaged() {
    let pulled = |grip: f64, frame: VrFrame| VrFrame { left: Controller { grip, ..frame.left }, ..frame };
    let mut bench = Bench::new();
    bench.drive(A, &pulled(0.1, frame()), 0.1);
    assert_eq!(bench.command().arms[0].gripper, 0.5);
    bench.engage(A, &frame());
    bench.drive(A, &pulled(0.2, frame()), 0.1);
    assert_eq!((bench.command().arms[0].gripper, bench.command().arms[1].gripper), (0.2, 1.0));
    bench.drive(A, &squeezed(pulled(0.2, frame())), 0.1);
    bench.drive(A, &pulled(0.9, frame()), 0.1);
    assert!(!bench.engaged());
    assert_eq!(bench.command().arms[0].gripper, 0.2);
}

#[test]
fn letting_go_holds_and_engaging_again_starts_from_there() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    let there = moved(DVec3::new(0.0, 0.05, -0.05), DQuat::IDENTITY);
    bench.drive(A, &there, 1.0);
    bench.drive(A, &squeezed(there), 0.02);
    let held = bench.command();
    assert_ne!(held, rest_command());
    bench.drive(A, &moved(DVec3::new(0.3, 0.2, 0.1), DQuat::from_rotation_z(1.0)), 0.5);
    assert_eq!(bench.command(), held);
    bench.engage(A, &moved(DVec3::new(-0.2, 0.2, 0.1), DQuat::from_rotation_z(1.0)));
    assert_eq!(bench.command(), held);
}

#[test]
fn silence_holds_and_held_grips_do_not_engage_again() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    bench.drive(A, &moved(DVec3::Z * -0.03, DQuat::IDENTITY), 0.5);
    bench.ticks(0.6);
    assert!(!bench.engaged());
    assert_eq!(bench.hold(), Some(HoldReason::LinkStale));
    assert_eq!(bench.script.lock().unwrap().holds, [HoldReason::LinkStale]);
    let held = bench.command();
    bench.drive(A, &squeezed(moved(DVec3::Y * 0.2, DQuat::IDENTITY)), 1.0);
    assert_eq!(bench.command(), held);
    assert_eq!(bench.hold(), Some(HoldReason::ReleaseGrips));
}

#[test]
fn a_closed_socket_makes_the_arms_brake_at_once_and_hold() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    bench.drive(A, &moved(DVec3::Z * -0.3, DQuat::IDENTITY), 0.05);
    bench.arbiter.lock().unwrap().on_closed(bench.now, A, &mut bench.events);
    let lost = bench.command();
    bench.ticks(0.1);
    let held = bench.command();
    bench.ticks(0.5);
    assert_eq!(bench.command(), held);
    for (arm, (lost, held)) in model::description().arms.iter().zip(lost.arms.iter().zip(&held.arms)) {
        for (joint, (lost, held)) in arm.joints.iter().zip(lost.joints.iter().zip(&held.joints)) {
            // What it takes to brake from full speed, and one tick.
            let way = joint.max_velocity.powi(2) / (2.0 * joint.max_acceleration) + joint.max_velocity / 120.0;
            assert!((held - lost).abs() <= way, "{}: {lost} {held}", joint.name);
        }
    }
    assert_eq!(bench.hold(), Some(HoldReason::LinkStale));
}

#[test]
fn a_second_client_does_not_drive() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    let away = moved(DVec3::new(0.2, 0.2, -0.2), DQuat::from_rotation_z(0.5));
    for step in 0..120 {
        bench.send(A, &frame());
        let pressed = VrFrame { reset: step == 60, ..squeezed(away) };
        assert_eq!(bench.send(B, if step % 2 == 0 { &pressed } else { &away }), Admission::Watching);
        bench.tick();
    }
    assert!(bench.engaged());
    assert_eq!(bench.command().arms[0].joints, rest_command().arms[0].joints);
    assert_eq!(bench.script.lock().unwrap().resets, 0);
}

#[test]
fn a_reset_brings_the_arms_to_rest_and_blocks_engaging_until_then() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    bench.drive(A, &moved(DVec3::new(0.05, 0.05, -0.08), DQuat::IDENTITY), 1.0);
    let away = bench.command();
    bench.send(A, &VrFrame { reset: true, ..frame() });
    bench.tick();
    assert_eq!((bench.hold(), bench.engaged()), (Some(HoldReason::Resetting), false));
    assert_eq!(bench.command(), away);
    bench.drive(A, &frame(), 0.5);
    bench.drive(A, &squeezed(frame()), 1.5);
    assert_eq!((bench.hold(), bench.engaged()), (Some(HoldReason::ReleaseGrips), false));
    for (at, rest) in bench.command().arms.iter().zip(rest_command().arms) {
        assert_eq!((&at.joints, at.gripper), (&rest.joints, 1.0));
    }
    let script = bench.script.lock().unwrap();
    assert_eq!((script.resets, script.holds.as_slice()), (1, [HoldReason::ReleaseGrips].as_slice()));
    drop(script);
    bench.engage(A, &frame());
    assert_eq!(bench.arbiter.lock().unwrap().resets(), 1);
}

#[test]
fn a_second_reset_during_the_move_changes_nothing() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    bench.drive(A, &moved(DVec3::new(0.05, 0.05, -0.08), DQuat::IDENTITY), 1.0);
    for _ in 0..2 {
        bench.drive(A, &VrFrame { reset: true, ..frame() }, 0.5);
        bench.drive(A, &frame(), 0.3);
    }
    assert_eq!(bench.hold(), None, "the first move is done after 1.5 s");
    assert_eq!(bench.script.lock().unwrap().resets, 1);
}

#[test]
fn a_lost_controller_holds_its_arm_and_does_not_jump_when_it_returns() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    bench.drive(A, &moved(DVec3::Z * -0.05, DQuat::IDENTITY), 1.0);
    let held = bench.command();
    let lost = |f: VrFrame| VrFrame { left: Controller { tracked: false, ..f.left }, ..f };
    let drifted = moved(DVec3::new(0.3, 0.1, -0.1), DQuat::from_rotation_y(0.4));
    bench.drive(A, &lost(VrFrame { right: moved(DVec3::Z * -0.05, DQuat::IDENTITY).right, ..drifted }), 0.3);
    assert_eq!(bench.command().arms[0].joints, held.arms[0].joints);
    let hold = bench.arbiter.lock().unwrap().hold(bench.now).unwrap();
    assert_eq!((hold.reason, hold.hand), (HoldReason::TrackingLost, Hands::Left));
    bench.drive(A, &VrFrame { right: moved(DVec3::Z * -0.05, DQuat::IDENTITY).right, ..drifted }, 0.5);
    assert!(bench.engaged());
    assert_eq!(bench.command(), held);
}

#[test]
fn a_hand_that_is_suddenly_elsewhere_for_good_is_followed_within_the_limits_of_the_arms() {
    for profile in [PlayoutProfile::Compatible, PlayoutProfile::LowDelay] {
        let mut bench = Bench::with_playout(PlayoutConfig { profile, ..PlayoutConfig::default() });
        let (begin, mut commands) = (bench.now, Vec::new());
        let mut drive = |bench: &mut Bench, frame: VrFrame, seconds: f64| {
            for _ in 0..(seconds * 120.0) as usize {
                let t = Some(bench.now.since(begin).as_secs_f64() * 1e3);
                bench.drive(A, &VrFrame { t, ..frame }, 1.0 / 120.0);
                commands.push(bench.command());
            }
        };
        drive(&mut bench, frame(), 0.5);
        drive(&mut bench, squeezed(frame()), 0.1);
        drive(&mut bench, frame(), 0.5);
        let before = bench.gripper(0);
        drive(&mut bench, moved(DVec3::Z * -0.15, DQuat::IDENTITY), 3.0);
        let after = bench.gripper(0);
        assert!(bench.engaged());
        let way = before.orientation().conjugate() * (after.position() - before.position());
        assert!(way.distance(DVec3::Z * -0.15) < 1e-3, "{profile:?}: {way}");
        for (i, arm) in model::description().arms.iter().enumerate() {
            for (j, joint) in arm.joints.iter().enumerate() {
                let velocity = |n: usize| (commands[n].arms[i].joints[j] - commands[n - 1].arms[i].joints[j]) * 120.0;
                for n in 2..commands.len() {
                    let acceleration = (velocity(n) - velocity(n - 1)) * 120.0;
                    assert!(velocity(n).abs() <= joint.max_velocity * 1.001, "{profile:?}, {}", joint.name);
                    assert!(acceleration.abs() <= joint.max_acceleration * 1.001, "{profile:?}, {}", joint.name);
                }
            }
        }
    }
}

/// The most that a joint may move in one tick, however long the pause before it.
#[track_caller]
fn assert_small_step(before: &Command, after: &Command) {
    for (arm, (before, after)) in model::description().arms.iter().zip(before.arms.iter().zip(&after.arms)) {
        for (joint, (before, after)) in arm.joints.iter().zip(before.joints.iter().zip(&after.joints)) {
            assert!((before - after).abs() <= joint.max_velocity * 0.016 + 1e-12, "{}", joint.name);
        }
    }
}

#[test]
fn a_pause_of_the_loop_does_not_become_a_leap() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    let before = bench.command();
    bench.now = bench.now + Duration::from_millis(400);
    bench.send(A, &moved(DVec3::Z * -0.3, DQuat::IDENTITY));
    bench.tick();
    assert_ne!(before, bench.command());
    assert_small_step(&before, &bench.command());
    bench.drive(A, &moved(DVec3::Z * -0.1, DQuat::IDENTITY), 1.0);
    bench.drive(A, &VrFrame { reset: true, ..frame() }, 0.5);
    let before = bench.command();
    bench.now = bench.now + Duration::from_millis(400);
    bench.tick();
    assert_ne!(before, bench.command());
    assert_small_step(&before, &bench.command());
}

#[test]
fn the_simulated_robot_follows_the_hands_and_returns_to_rest() {
    let hub = SensorHub::default();
    let arbiter = Arc::new(Mutex::new(Arbiter::default()));
    let mut now = MonoTime::from_nanos(1_000_000_000);
    let robot = SimRobot::new(SimOptions::default());
    let mut pilot = Pilot::start(Box::new(robot), &hub, Arc::clone(&arbiter), now).unwrap();
    let mut drive = |frame: VrFrame, seconds: f64| {
        for _ in 0..(seconds * 120.0) as usize {
            arbiter.lock().unwrap().on_frame(now, A, &frame, &mut Vec::new());
            now = now + TICK;
            pilot.tick(now, &mut Vec::new());
        }
        let commanded = clock::now();
        let measured = loop {
            match hub.proprio() {
                Some(reading) if reading.measured > commanded => break reading,
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        (pilot.status(), [0, 1].map(|i| forward(&model::description().arms[i], &measured.arms[i].joints)))
    };
    let (_, rest) = drive(frame(), 0.1);
    drive(squeezed(frame()), 0.1);
    drive(frame(), 0.1);
    let (status, away) = drive(moved(DVec3::Z * -0.1, DQuat::IDENTITY), 2.0);
    for (arm, (rest, away)) in rest.iter().zip(&away).enumerate() {
        let expected = rest.position() + rest.orientation() * (DVec3::Z * -0.1);
        assert!(away.position().distance(expected) < 1e-3, "{away:?}");
        assert!(status.grippers[arm].position().distance(expected) < 1e-5);
    }
    let (_, back) = drive(VrFrame { reset: true, ..frame() }, 4.0);
    for (rest, back) in rest.iter().zip(&back) {
        assert!(back.position().distance(rest.position()) < 1e-3, "{back:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_hands_do_commands_stay_within_the_limits_of_the_joints_and_the_workspace(
        deeds in prop::collection::vec((prop::array::uniform3(-0.6f64..0.6), 0u8..12, 1u8..20), 1..25),
    ) {
        let description = model::description();
        let mut bench = Bench::new();
        bench.engage(A, &frame());
        let (mut before, mut velocities) = (bench.command(), vec![[0.0; 7]; 2]);
        for (by, button, ticks) in deeds {
            let hands = moved(DVec3::from(by), DQuat::from_rotation_y(by[0]));
            let sent = match button {
                0 => squeezed(hands),
                1 => VrFrame { reset: true, ..hands },
                _ => hands,
            };
            for tick in 0..ticks {
                // Some ticks find no new frame, and one stream falls silent.
                if tick % 3 != 0 {
                    bench.send(A, &sent);
                }
                bench.tick();
                let now = bench.command();
                for (i, arm) in description.arms.iter().enumerate() {
                    for (j, joint) in arm.joints.iter().enumerate() {
                        let angle = now.arms[i].joints[j];
                        let velocity = (angle - before.arms[i].joints[j]) * 120.0;
                        prop_assert!(velocity.abs() <= joint.max_velocity * 1.001, "{}: {velocity} rad/s", joint.name);
                        let acceleration = (velocity - velocities[i][j]) * 120.0;
                        // At the end of its range a joint stands, however it came there.
                        let ends = [joint.lower, joint.upper];
                        let at_end = ends.iter().any(|end| [angle, before.arms[i].joints[j]].contains(end));
                        prop_assert!(
                            at_end || acceleration.abs() <= joint.max_acceleration * 1.001,
                            "{}: {acceleration} rad/s²", joint.name
                        );
                        prop_assert!((joint.lower..=joint.upper).contains(&angle));
                        velocities[i][j] = velocity;
                    }
                    let gripper = forward(arm, &now.arms[i].joints).position();
                    let inside = gripper.clamp(arm.workspace_min, arm.workspace_max);
                    // The way between two postures inside bends out a little.
                    prop_assert!(gripper.distance(inside) < 0.02, "{gripper}");
                }
                before = now;
            }
        }
    }
}
