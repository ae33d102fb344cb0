//! The hub as robots and policies use it.

use std::time::Duration;

use super::newest::Newest;
use super::*;

mod declared;
mod log;

#[test]
fn cameras_are_listed_in_order_and_replaced_by_name() {
    let hub = SensorHub::default();
    let names = || hub.cameras().iter().map(|c| c.name().to_owned()).collect::<Vec<_>>();
    let _writers = (hub.add_camera("a"), hub.add_camera("b"));
    let first = hub.camera("a").unwrap();
    let second = hub.add_camera("a");
    assert_eq!(names(), ["a", "b"]);
    let watch = hub.camera("a").unwrap().watch();
    assert!(second.watched());
    drop(watch);
    assert_eq!(first.name(), "a", "who holds the earlier one may go on with it");
    assert!(hub.camera("c").is_none());
}

#[test]
fn whoever_follows_the_list_is_told_of_each_camera() {
    let hub = SensorHub::default();
    let mut changed = hub.cameras_changed();
    assert!(!changed.has_changed().unwrap());
    for name in ["a", "b", "a"] {
        let _writer = hub.add_camera(name);
        assert!(changed.has_changed().unwrap());
        changed.mark_unchanged();
    }
}

fn reading(t: u64) -> Proprioception {
    let arms = vec![ArmReading { joints: vec![1.0, 2.0], gripper: 0.5 }];
    Proprioception { arms, base: None, measured: MonoTime::from_nanos(t) }
}

#[test]
fn the_newest_reading_replaces_the_one_before() {
    let hub = SensorHub::default();
    assert!(hub.proprio().is_none());
    hub.publish_proprio(reading(1));
    hub.publish_proprio(reading(2));
    assert_eq!(hub.clone().proprio().unwrap().measured, MonoTime::from_nanos(2));
}

#[test]
fn arms_are_in_the_snapshot_by_their_names_unless_a_stream_of_that_name_was_declared() {
    let hub = SensorHub::default();
    assert_eq!(hub.snapshot(), Snapshot::default());
    hub.publish_proprio(reading(1));
    let names = || hub.snapshot().proprios.iter().map(|one| one.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(), ["arm0"]);
    hub.name_arms(["left_arm"]);
    hub.publish_proprio(reading(2));
    let seen = hub.snapshot().proprio("left_arm").unwrap().clone();
    assert_eq!((seen.n, seen.stamp), (2, Some(MonoTime::from_nanos(2))));
    assert_eq!(seen.values().collect::<Vec<_>>(), [1.0, 2.0, 0.5]);
    hub.declare_proprio(ProprioConfig::new("left_arm", 1)).unwrap();
    assert_eq!(hub.snapshot().proprio("left_arm").unwrap().bytes.len(), 4);
    assert_eq!(names(), ["left_arm"]);
}

fn frame(hub_frame: u64) -> CameraFrame {
    CameraFrame {
        image: RgbImage::new(4, 2, vec![7; 24]).unwrap(),
        depth: Some([2.5f32; 8].into()),
        intrinsics: None,
        extrinsics: None,
        captured: MonoTime::from_nanos(hub_frame * 1_000_000),
    }
}

#[test]
fn a_camera_made_for_video_is_in_the_snapshot_with_its_depth_and_number() {
    let hub = SensorHub::default();
    let writer = hub.add_camera("c");
    let before = hub.snapshot().cameras.remove(0);
    assert_eq!((before.n, before.stamp, before.image.shape(), before.depth), (0, None, &[0, 0, 3][..], None));
    writer.publish(frame(1));
    writer.publish(frame(2));
    let seen = hub.snapshot().camera("c").unwrap().clone();
    assert_eq!((seen.n, seen.stamp), (2, Some(MonoTime::from_nanos(2_000_000))));
    assert_eq!((seen.image.shape(), seen.image.bytes()), (&[2, 4, 3][..], &[7; 24][..].into()));
    assert_eq!(seen.depth.unwrap().bytes()[..4], 2.5f32.to_le_bytes());
    writer.clear();
    let resting = hub.snapshot().cameras.remove(0);
    assert_eq!((resting.n, resting.stamp, resting.image.is_empty()), (2, None, true));
    writer.publish(frame(3));
    assert_eq!(hub.snapshot().cameras[0].n, 3, "the number goes on");
}

#[test]
fn a_snapshot_lends_its_buffers_only_as_long_as_it_lives() {
    let hub = SensorHub::default();
    let writer = hub.add_camera("c");
    let mut pool = FramePool::new(8, 2);
    let mut publish = || {
        let Some(buffers) = pool.take() else { return false };
        let (rgb, depth) = pool.lend(buffers);
        writer.publish(CameraFrame { image: RgbImage::new(4, 2, rgb).unwrap(), depth: Some(depth), ..frame(1) });
        true
    };
    assert!((0..10).all(|_| publish()), "two buffers are enough for a hub without readers");
    let snapshot = hub.snapshot();
    assert!(publish() && !publish(), "a snapshot holds one, the hub another");
    drop(snapshot);
    assert!(publish());
}

#[test]
fn a_reader_that_stops_while_it_looks_makes_no_writer_wait() {
    let slot = Newest::new(0, ());
    let stopped = [(); 3].map(|()| {
        let reader = slot.stopped_reader();
        let next = **reader.as_ref().unwrap() + 1;
        slot.writing().replace(next);
        reader
    });
    assert_eq!(*slot.load(), 3);
    drop(stopped);
    (4..20).for_each(|value| slot.writing().replace(value));
    assert_eq!(*slot.load(), 19);
}

#[test]
fn what_is_replaced_is_let_go_at_once() {
    let slot = Newest::new(Arc::new(()), ());
    let first = Arc::downgrade(&slot.load());
    slot.writing().replace(Arc::new(()));
    assert!(first.upgrade().is_none());
}

#[tokio::test]
async fn a_watch_keeps_cameras_awake_follows_new_ones_and_waits_for_all() {
    const LONG: Duration = Duration::from_secs(60);
    let hub = SensorHub::default();
    let (a, b) = (hub.add_camera("a"), hub.add_camera("b"));
    let mut watch = hub.watch(Some(&["a", "later"]));
    assert_eq!((a.watched(), b.watched()), (true, false));
    assert!(!watch.all_awake(Duration::ZERO).await);
    a.publish(frame(1));
    assert!(watch.all_awake(LONG).await);
    let later = hub.add_camera("later");
    let first = async {
        while !later.watched() {
            tokio::task::yield_now().await;
        }
        later.publish(frame(1));
    };
    let (awake, ()) = tokio::join!(watch.all_awake(LONG), first);
    assert!(awake && watch.snapshot().camera("later").unwrap().n == 1);
    drop(watch);
    assert!(![&a, &b, &later].iter().any(|writer| writer.watched()));
}

#[test]
fn frames_are_aligned_while_somebody_asks_and_earlier_ones_are_kept_no_longer() {
    let hub = SensorHub::default();
    let (a, b, _silent) = (hub.add_camera("a"), hub.add_camera("b"), hub.add_camera("silent"));
    let aligner = hub.aligner();
    for ms in [33, 67, 100] {
        a.publish(frame(ms));
    }
    for ms in [36, 70] {
        b.publish(frame(ms));
    }
    let stamps = |snapshot: Snapshot| {
        let ms = |one: &CameraSnapshot| one.stamp.map(|stamp| stamp.as_nanos() / 1_000_000);
        (snapshot.cameras.iter().map(ms).collect::<Vec<_>>(), snapshot.aligned)
    };
    let within = |ms| stamps(aligner.snapshot(|_| true, Duration::from_millis(ms)));
    assert_eq!(within(5), (vec![Some(67), Some(70), None], true));
    assert_eq!(within(30), (vec![Some(100), Some(70), None], true));
    assert_eq!(within(1), (vec![Some(100), Some(70), None], false), "none fit: the newest");
    let only_a = stamps(aligner.snapshot(|name| name == "a", Duration::ZERO));
    assert_eq!(only_a, (vec![Some(100)], true));
    let at = |ms: u64, tolerance| {
        let time = MonoTime::from_nanos(ms * 1_000_000);
        stamps(aligner.snapshot_at(|name| name != "silent", time, Duration::from_millis(tolerance)))
    };
    assert_eq!(at(35, 2), (vec![Some(33), Some(36)], true));
    assert_eq!(at(35, 1), (vec![Some(33), Some(36)], false));

    for ms in [133, 167, 200] {
        a.publish(frame(ms));
    }
    assert_eq!(hub.camera("a").unwrap().newest().earlier.len(), 4, "no more than that");
    drop(aligner);
    a.publish(frame(233));
    assert!(hub.camera("a").unwrap().newest().earlier.is_empty());
}
