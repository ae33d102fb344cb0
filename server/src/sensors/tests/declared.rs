//! Cameras and streams that are declared and written by name.

use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;
use crate::clock;

fn hub() -> SensorHub {
    let hub = SensorHub::default();
    hub.declare_camera(CameraConfig { has_depth: true, ..CameraConfig::new("wrist", 2, 4) }).unwrap();
    hub.declare_proprio(ProprioConfig::new("joints", 3)).unwrap();
    hub
}

fn wrist(hub: &SensorHub) -> CameraSnapshot {
    hub.snapshot().camera("wrist").unwrap().clone()
}

#[test]
fn defaults_are_as_documented() {
    let config = CameraConfig::new("c", 480, 640);
    assert_eq!((config.channels, config.has_depth), (3, false));
    assert_eq!((config.image_dtype, config.depth_dtype), (Dtype::Uint8, Dtype::Float32));
    assert_eq!(config.intrinsics, [1., 0., 0., 0., 1., 0., 0., 0., 1.]);
    assert_eq!(config.extrinsics, [1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1.]);
    assert_eq!(ProprioConfig::new("p", 3).dtype, Dtype::Float32);
}

#[test]
fn everything_is_zero_before_the_first_reading_and_matrices_are_those_declared() {
    let hub = hub();
    let (k, t) = ([9.0; 9], [8.0; 16]);
    let declared = CameraConfig { intrinsics: k, extrinsics: t, ..CameraConfig::new("head", 1, 1) };
    hub.declare_camera(declared).unwrap();
    let seen = hub.snapshot();
    let names: Vec<_> = seen.cameras.iter().map(|camera| &*camera.name).collect();
    assert_eq!(names, ["wrist", "head"], "in the order of declaration");
    let wrist = &seen.cameras[0];
    assert_eq!((wrist.n, wrist.stamp), (0, None));
    assert_eq!((wrist.image.shape(), wrist.image.bytes()), (&[2, 4, 3][..], &[0; 24][..].into()));
    let depth = wrist.depth.as_ref().unwrap();
    assert_eq!((depth.shape(), depth.bytes()), (&[2, 4][..], &[0; 32][..].into()));
    assert_eq!((seen.cameras[1].intrinsics, seen.cameras[1].extrinsics), (k, t));
    assert_eq!(seen.cameras[1].depth, None);
    assert_eq!(seen.proprio("joints").unwrap().values().collect::<Vec<_>>(), [0.0; 3]);
}

#[test]
fn only_a_picture_stamps_and_counts_and_the_rest_stays_as_it_was() {
    let hub = hub();
    let before = clock::now();
    hub.update_depth("wrist", &[1.5f32; 8]).unwrap();
    hub.update_intrinsics("wrist", &[2.0; 9]).unwrap();
    hub.update_extrinsics("wrist", &[3.0; 16]).unwrap();
    let seen = wrist(&hub);
    assert_eq!((seen.n, seen.stamp, seen.intrinsics, seen.extrinsics), (0, None, [2.0; 9], [3.0; 16]));
    hub.update_image("wrist", &[4u8; 24]).unwrap();
    let first = wrist(&hub);
    assert!(first.n == 1 && first.stamp.unwrap() >= before && first.stamp.unwrap() <= clock::now());
    assert_eq!((first.intrinsics, first.extrinsics, &first.depth), ([2.0; 9], [3.0; 16], &seen.depth));
    hub.update_depth("wrist", &[2.5f32; 8]).unwrap();
    let amended = wrist(&hub);
    assert_eq!((amended.n, amended.stamp, &amended.image), (1, first.stamp, &first.image));
    assert_ne!(amended.depth, first.depth);
}

#[test]
fn a_whole_frame_brings_its_capture_time_and_keeps_matrices_that_it_does_not_bring() {
    let hub = hub();
    let captured = MonoTime::from_nanos(123);
    let depth = [1.0f32; 8];
    hub.update_frame("wrist", &[1u8; 24], Some((&depth).into()), Some(&[2.0; 9]), None, Some(captured)).unwrap();
    hub.update_frame("wrist", &[5u8; 24], Some((&depth).into()), None, Some(&[3.0; 16]), Some(captured)).unwrap();
    let seen = wrist(&hub);
    assert_eq!((seen.n, seen.stamp), (2, Some(captured)));
    assert_eq!((seen.intrinsics, seen.extrinsics, seen.image.bytes()[0]), ([2.0; 9], [3.0; 16], 5));
    let torn = hub.update_frame("wrist", &[1u8; 24], None, None, None, None).unwrap_err();
    assert_eq!(torn, HubError::DepthMissing { name: "wrist".into() });
}

#[test]
fn a_camera_that_failed_has_a_picture_without_pixels_until_the_next_one() {
    let hub = hub();
    hub.update_image("wrist", &[4u8; 24]).unwrap();
    hub.update_failed("wrist").unwrap();
    let failed = wrist(&hub);
    assert_eq!((failed.n, failed.image.shape(), failed.depth), (2, &[0, 0, 3][..], None));
    assert!(hub.camera("wrist").unwrap().latest().is_none(), "nothing for video");
    hub.update_image("wrist", &[4u8; 24]).unwrap();
    assert_eq!(wrist(&hub).image.shape(), [2, 4, 3]);
    // One that is known to be missing from the beginning.
    hub.declare_camera(CameraConfig::new("gone", 0, 0)).unwrap();
    hub.update_image("gone", &[0u8; 0]).unwrap();
    assert_eq!(hub.snapshot().camera("gone").unwrap().n, 1);
}

#[test]
fn names_that_are_taken_and_impossible_sizes_are_refused() {
    let hub = hub();
    let _added = hub.add_camera("added");
    for name in ["wrist", "added"] {
        let error = hub.declare_camera(CameraConfig::new(name, 2, 2)).unwrap_err();
        assert_eq!(error, HubError::DuplicateCamera { name: name.into() });
    }
    let error = hub.declare_proprio(ProprioConfig::new("joints", 9)).unwrap_err();
    assert_eq!(error, HubError::DuplicateProprio { name: "joints".into() });
    let two = CameraConfig { channels: 2, ..CameraConfig::new("two", 2, 2) };
    assert!(matches!(hub.declare_camera(two), Err(HubError::Channels { channels: 2, .. })));
    for (height, width) in [(1 << 16, 1 << 16), (u32::MAX, u32::MAX)] {
        let error = hub.declare_camera(CameraConfig::new("huge", height, width)).unwrap_err();
        assert!(matches!(error, HubError::TooMuch { .. }), "{error}");
    }
    assert!(matches!(hub.declare_proprio(ProprioConfig::new("huge", usize::MAX)), Err(HubError::TooMuch { .. })));
    assert_eq!(hub.snapshot().cameras.len(), 2);
    // Names of the field with `__` and `::` are names as any other.
    hub.declare_camera(CameraConfig::new("robot__head::left", 2, 2)).unwrap();
}

#[test]
fn a_refused_write_names_what_was_given_and_what_is_there_and_changes_nothing() {
    let hub = hub();
    let before = hub.snapshot();
    let none = None;
    for (result, text) in [
        (hub.update_image("wirst", &[0u8; 24]), "no camera `wirst` was declared; there is `wrist`"),
        (hub.update_failed("wirst"), "no camera `wirst` was declared; there is `wrist`"),
        (hub.update_proprio("arm", &[0f32; 3]), "no proprioception stream `arm` was declared; there is `joints`"),
        (hub.update_image("wrist", &[0u8; 1]), "`wrist`: its picture has shape [2, 4, 3], got [1]"),
        (
            hub.update_image("wrist", (&[4, 2, 3][..], &[0u8; 24][..])),
            "`wrist`: its picture has shape [2, 4, 3], got [4, 2, 3]",
        ),
        (hub.update_image("wrist", &[0f64; 24]), "`wrist`: its picture has elements of type uint8, got float64"),
        (hub.update_depth("wrist", &[0f32; 7]), "`wrist`: its depth has shape [2, 4], got [7]"),
        (hub.update_depth("wrist", &[0u16; 8]), "`wrist`: its depth has elements of type float32, got uint16"),
        (
            hub.update_frame("wrist", &[0u8; 24], Some((&[0f32; 9]).into()), none, None, None),
            "`wrist`: its depth has shape [2, 4], got [9]",
        ),
        (hub.update_proprio("joints", &[0f32; 4]), "`joints`: its reading has shape [3], got [4]"),
        (hub.update_proprio("joints", &[0i32; 3]), "`joints`: its reading has elements of type float32, got int32"),
    ] {
        assert_eq!(result.unwrap_err().to_string(), text);
    }
    hub.declare_camera(CameraConfig::new("flat", 2, 2)).unwrap();
    assert_eq!(hub.update_depth("flat", &[0f32; 4]), Err(HubError::NoDepth { name: "flat".into() }));
    let after = hub.snapshot();
    assert_eq!((&after.cameras[0], &after.proprios), (&before.cameras[0], &before.proprios));
}

#[test]
fn every_element_type_is_kept_in_pictures_and_becomes_float32_in_streams() {
    let hub = SensorHub::default();
    let ir = CameraConfig { channels: 1, image_dtype: Dtype::Uint16, ..CameraConfig::new("ir", 1, 2) };
    hub.declare_camera(CameraConfig { has_depth: true, depth_dtype: Dtype::Float16, ..ir }).unwrap();
    let depth = Values::raw(Dtype::Float16, &[0, 0x3c, 0, 0x40]);
    hub.update_frame("ir", &[1u16, 0x203], Some(depth), None, None, None).unwrap();
    let seen = hub.snapshot().cameras.remove(0);
    assert_eq!((seen.image.dtype(), &seen.image.bytes()[..]), (Dtype::Uint16, &[1, 0, 3, 2][..]));
    assert_eq!(seen.depth.unwrap().dtype(), Dtype::Float16);

    hub.declare_proprio(ProprioConfig { dtype: Dtype::Int64, ..ProprioConfig::new("ticks", 2) }).unwrap();
    hub.update_proprio("ticks", &[-3i64, 1 << 40]).unwrap();
    hub.declare_proprio(ProprioConfig::new("joints", 2)).unwrap();
    hub.update_proprio("joints", &[0.1f64, -2.0]).unwrap();
    let seen = hub.snapshot();
    assert_eq!(seen.proprio("ticks").unwrap().values().collect::<Vec<_>>(), [-3.0, (1u64 << 40) as f32]);
    let joints = seen.proprio("joints").unwrap();
    assert!(joints.n == 1 && joints.stamp.is_some() && joints.values().eq([0.1, -2.0]));
}

#[test]
fn a_declared_camera_is_video_too() {
    let hub = hub();
    let mut watch = hub.camera("wrist").unwrap().watch();
    hub.update_image("wrist", &[9u8; 24]).unwrap();
    let frame = watch.next_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!((frame.image.width(), frame.image.height(), frame.image.data()[23]), (4, 2, 9));
    assert_eq!(Some(frame.captured), wrist(&hub).stamp);
    hub.update_extrinsics("wrist", &[1.0; 16]).unwrap();
    assert!(watch.next_timeout(Duration::ZERO).is_err(), "no new picture");
}

#[test]
fn pixels_are_copied_into_the_same_few_buffers_again_and_again() {
    let hub = hub();
    let mut places = std::collections::HashSet::new();
    for n in 0..100u8 {
        hub.update_frame("wrist", &[n; 24], Some((&[1f32; 8]).into()), None, None, None).unwrap();
        let seen = wrist(&hub);
        places.insert((seen.image.bytes().as_ptr(), seen.depth.unwrap().bytes().as_ptr()));
    }
    assert!(places.len() <= 3, "{}", places.len());
}

#[test]
fn frames_are_dropped_and_counted_while_readers_hold_all_buffers() {
    let hub = hub();
    let camera = hub.camera("wrist").unwrap();
    let mut held = Vec::new();
    for n in 0..40u8 {
        hub.update_image("wrist", &[n; 24]).unwrap();
        held.push(wrist(&hub));
    }
    assert_eq!((camera.dropped(), wrist(&hub).n), (8, 32));
    assert!(held.iter().take(32).enumerate().all(|(n, seen)| seen.image.bytes()[0] as usize == n), "kept as they were");
    drop(held);
    hub.update_image("wrist", &[99u8; 24]).unwrap();
    assert_eq!(wrist(&hub).n, 33);
}

#[test]
fn a_snapshot_never_shows_parts_of_two_whole_frames() {
    let hub = hub();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..2u8 {
            let (hub, ended) = (&hub, &ended);
            scope.spawn(move || {
                let mut n = writer;
                while !ended.load(Ordering::Relaxed) {
                    n = n.wrapping_add(2);
                    let (depth, k, t) = ([f32::from(n); 8], [f64::from(n); 9], [f64::from(n); 16]);
                    hub.update_frame("wrist", &[n; 24], Some((&depth).into()), Some(&k), Some(&t), None).unwrap();
                }
            });
        }
        let mut last = 0;
        for _ in 0..5000 {
            let seen = wrist(&hub);
            if seen.n == 0 {
                continue;
            }
            let n = seen.image.bytes()[0];
            assert!(seen.image.bytes().iter().all(|byte| *byte == n));
            assert_eq!((seen.intrinsics, seen.extrinsics), ([f64::from(n); 9], [f64::from(n); 16]));
            assert!(seen.depth.unwrap().bytes().chunks(4).all(|bytes| bytes == f32::from(n).to_le_bytes()));
            assert!(seen.n >= last);
            last = seen.n;
        }
        ended.store(true, Ordering::Relaxed);
    });
}
