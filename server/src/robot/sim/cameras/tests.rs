//! Pictures of the world, without the thread.

use super::*;
use crate::robot::sim::model;
use crate::robot::{ArmCommand, BaseCommand, Command};
use crate::sensors::{Camera, camera};

const SIZE: (u32, u32) = (160, 120);
const NOW: MonoTime = MonoTime::from_nanos(1);

fn eye(index: usize) -> (Eye, Camera) {
    let (writer, camera) = camera(CAMERAS[index]);
    (Eye::new(writer, mounts()[index], SIZE), camera)
}

fn picture(index: usize) -> Arc<CameraFrame> {
    let world = World::new(&model::description());
    let mut studio = Studio::new(&world, SIZE, false);
    let (mut eye, camera) = eye(index);
    eye.capture(&mut studio, &world, NOW);
    camera.latest().unwrap()
}

/// Where a point of the world appears in a frame: column, row and distance along the optical axis.
fn project(frame: &CameraFrame, point: DVec3) -> (f64, f64, f64) {
    let p = Transform::from(frame.extrinsics.unwrap()).inverse().point(point);
    let k = frame.intrinsics.unwrap();
    (k.cx + k.fx * p.x / p.z, k.cy + k.fy * p.y / p.z, p.z)
}

fn at(frame: &CameraFrame, point: DVec3) -> ([u8; 3], f32) {
    let (x, y, _) = project(frame, point);
    let index = y as usize * SIZE.0 as usize + x as usize;
    (frame.image.data().as_chunks().0[index], frame.depth.as_ref().unwrap()[index])
}

/// The middle of an object's upper side.
fn top_of(object: usize) -> DVec3 {
    let world = World::new(&model::description());
    let object = &world.objects()[object];
    object.at.translation + DVec3::Z * object.reach(DVec3::Z)
}

#[test]
fn intrinsics_extrinsics_and_depth_tell_where_a_cube_is() {
    for index in [0, 1] {
        let frame = picture(index);
        let (_, depth) = at(&frame, top_of(1));
        let (_, _, expected) = project(&frame, top_of(1));
        assert!((f64::from(depth) - expected).abs() < 0.01, "{depth} {expected}");
    }
}

#[test]
fn things_have_their_colours() {
    let frame = picture(0);
    let ([r, g, b], _) = at(&frame, top_of(0));
    assert!(r > 150 && g < 120 && b < 120, "a red cube: {r} {g} {b}");
    let ([r, g, b], _) = at(&frame, top_of(1));
    assert!(b > 150 && r < 120, "a blue cube: {r} {g} {b}");
}

#[test]
fn the_overhead_pair_sees_with_the_distance_of_eyes() {
    let (left, right) = (picture(0), picture(1));
    let shift = project(&left, top_of(0)).0 - project(&right, top_of(0)).0;
    let depth = project(&left, top_of(0)).2;
    assert!((shift - 0.064 * left.intrinsics.unwrap().fx / depth).abs() < 1e-6, "{shift}");
    assert!(shift > 0.0, "a near thing lies farther right for the left eye");
}

#[test]
fn a_wrist_camera_moves_with_its_arm_and_sees_the_fingertips() {
    let world = World::new(&model::description());
    for (camera, arm) in [(2, 0), (3, 1)] {
        let frame = picture(camera);
        let gripper = world.arms()[arm].frames().gripper();
        assert!(frame.extrinsics.unwrap().position().distance(gripper.translation) < 0.12);
        let (x, y, z) = project(&frame, gripper.point(DVec3::NEG_Z * model::FINGERTIP));
        assert!((x - 80.0).abs() < 1.0 && (50.0..110.0).contains(&y) && z > 0.1, "{x} {y} {z}");
        let left_finger = gripper.point(DVec3::new(0.054, 0.0, -model::FINGERTIP + 0.01));
        let (_, depth) = at(&frame, left_finger);
        assert!((f64::from(depth) - project(&frame, left_finger).2).abs() < 0.02, "the finger is drawn where it is");
    }
}

#[test]
fn the_room_has_no_holes() {
    for (index, name) in CAMERAS.iter().enumerate() {
        let frame = picture(index);
        assert!(frame.depth.as_ref().unwrap().iter().all(|d| d.is_finite() && *d > 0.0), "{name}");
    }
}

#[test]
fn pictures_are_the_same_each_time() {
    for index in 0..CAMERAS.len() {
        let (one, other) = (picture(index), picture(index));
        assert_eq!(one.image, other.image);
        assert_eq!(one.depth, other.depth);
    }
}

#[test]
fn a_stamped_picture_carries_its_capture_time() {
    let world = World::new(&model::description());
    let mut studio = Studio::new(&world, SIZE, true);
    let (mut eye, camera) = eye(0);
    let captured = clock::now();
    eye.capture(&mut studio, &world, captured);
    let frame = camera.latest().unwrap();
    let read = stamp::read(160, 120, |x, y| frame.image.data()[(y * 160 + x) * 3]).unwrap();
    let expected = stamp::millis(clock::unix_time(frame.captured));
    assert!(read.wrapping_sub(expected).wrapping_add(1) <= 2, "{read} {expected}: within the rounding of the offset");
}

#[test]
fn frames_are_dropped_and_counted_while_readers_hold_all_buffers() {
    let world = World::new(&model::description());
    let mut studio = Studio::new(&world, SIZE, false);
    let (mut eye, camera) = eye(2);
    let mut held = Vec::new();
    for _ in 0..FRAMES_HELD + 2 {
        eye.capture(&mut studio, &world, NOW);
        held.push(camera.latest());
    }
    assert_eq!(camera.dropped(), 2);
    held.clear();
    eye.capture(&mut studio, &world, NOW);
    assert_eq!(camera.dropped(), 2);
}

#[test]
fn a_resting_camera_has_no_picture() {
    let world = World::new(&model::description());
    let mut studio = Studio::new(&world, SIZE, false);
    let (mut eye, camera) = eye(2);
    eye.capture(&mut studio, &world, NOW);
    eye.rest();
    assert!(camera.latest().is_none());
}

/// The world after the base has followed this for so long and stands again.
fn driven(base: BaseCommand, seconds: f64) -> World {
    let description = model::description();
    let mut world = World::new(&description);
    let arms = description.arms.iter().map(|a| ArmCommand { joints: a.rest.clone(), gripper: 1.0 }).collect();
    let command = Command { arms, base: Some(base) };
    for tick in 0..=(seconds * 100.0) as u64 {
        world.advance(&description, MonoTime::from_nanos(tick * 10_000_000), &command).unwrap();
    }
    world
}

const AWAY: BaseCommand = BaseCommand { vx: -0.1, vy: 0.1, wz: -0.2, lift: 0.1 };

/// What a camera sees that was made just now.
fn fresh_picture(index: usize, world: &World) -> Arc<CameraFrame> {
    let mut studio = Studio::new(world, SIZE, false);
    let (mut eye, camera) = eye(index);
    eye.capture(&mut studio, world, NOW);
    camera.latest().unwrap()
}

#[test]
fn a_robot_that_has_driven_sees_the_same_things_from_another_place() {
    let world = driven(AWAY, 1.0);
    for index in [0, 1] {
        let (before, after) = (picture(index), fresh_picture(index, &world));
        assert!(after.extrinsics.unwrap().position().distance(before.extrinsics.unwrap().position()) > 0.1);
        let (was, is) = (project(&before, top_of(1)), project(&after, top_of(1)));
        assert!((was.0 - is.0).hypot(was.1 - is.1) > 5.0, "{was:?} {is:?}");
        for frame in [before, after] {
            let ([r, g, b], depth) = at(&frame, top_of(1));
            assert!(b > 150 && r < 120, "a blue cube: {r} {g} {b}");
            assert!((f64::from(depth) - project(&frame, top_of(1)).2).abs() < 0.01);
        }
    }
}

#[test]
fn a_wrist_camera_rides_on_the_base() {
    let world = driven(AWAY, 1.0);
    for (camera, arm) in [(2, 0), (3, 1)] {
        let frame = fresh_picture(camera, &world);
        let (x, y, z) = project(&frame, world.gripper(arm).point(DVec3::NEG_Z * model::FINGERTIP));
        assert!((x - 80.0).abs() < 1.0 && (50.0..110.0).contains(&y) && z > 0.1, "{x} {y} {z}");
    }
}

#[test]
fn the_room_has_no_holes_wherever_the_robot_drives() {
    let turned = |wz: f64, vx: f64, vy: f64| BaseCommand { vx, vy, wz, lift: 0.15 };
    for way in [turned(0.3, -0.5, 0.0), turned(-0.4, -0.4, 0.3), turned(0.05, 0.0, -0.5), turned(0.0, -0.1, 0.5)] {
        let world = driven(way, 8.0);
        for (index, name) in CAMERAS.iter().enumerate() {
            let frame = fresh_picture(index, &world);
            assert!(frame.depth.as_ref().unwrap().iter().all(|d| d.is_finite() && *d > 0.0), "{name} {way:?}");
        }
    }
}

#[test]
fn pictures_are_true_while_the_base_moves_and_smooth_again_when_it_has_stood() {
    let mut studio = Studio::new(&driven(AWAY, 0.0), SIZE, false);
    let (mut left, camera) = eye(0);
    for tick in 1..=4 {
        let world = driven(AWAY, 0.1 * f64::from(tick));
        studio.begin(&world);
        left.capture(&mut studio, &world, NOW);
        let (moving, standing) = (camera.latest().unwrap(), fresh_picture(0, &world));
        assert_eq!(moving.depth, standing.depth, "nothing old is seen");
        assert_eq!(moving.extrinsics, standing.extrinsics);
        assert_ne!(moving.image, standing.image, "edges are smooth at rest only");
    }
    let world = driven(AWAY, 0.4);
    for _ in 0..STANDS_AFTER {
        assert_ne!(camera.latest().unwrap().image, fresh_picture(0, &world).image);
        studio.begin(&world);
        left.capture(&mut studio, &world, NOW);
    }
    assert_eq!(camera.latest().unwrap().image, fresh_picture(0, &world).image);
}

#[test]
fn of_all_cameras_one_at_a_time_draws_its_backdrop() {
    let world = driven(AWAY, 1.0);
    let mut studio = Studio::new(&world, SIZE, false);
    let mut eyes: Vec<_> = (0..CAMERAS.len()).map(eye).collect();
    let mut made = Vec::new();
    for _ in 0..3 {
        studio.begin(&world);
        for (eye, _) in &mut eyes {
            eye.capture(&mut studio, &world, NOW);
        }
        made.push(eyes.iter().map(|(eye, _)| eye.backdrop.is_some()).collect::<Vec<_>>());
    }
    let expected = [[true, false, false, false], [true, true, false, false], [true, true, false, false]];
    assert_eq!(made, expected, "wrist cameras have none");
}
