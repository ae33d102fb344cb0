//! One camera with readers of this thread and others.

use std::thread;

use futures_util::FutureExt;

use super::*;

const LONG: Duration = Duration::from_secs(30);

fn frame(number: u64) -> CameraFrame {
    CameraFrame {
        image: RgbImage::new(2, 2, vec![0; 12]).unwrap(),
        depth: None,
        intrinsics: None,
        extrinsics: None,
        captured: MonoTime::from_nanos(number),
    }
}

/// The number of the next frame if it is there already; the outer option says whether the wait is over.
fn poll(watch: &mut CameraWatch) -> Option<Option<u64>> {
    watch.next().now_or_never().map(|f| f.map(|f| f.captured.as_nanos()))
}

#[test]
fn a_watch_begins_with_the_newest_frame_and_sees_each_newer_one_once() {
    let (writer, camera) = camera("c");
    writer.publish(frame(1));
    writer.publish(frame(2));
    let mut watch = camera.watch();
    assert_eq!(poll(&mut watch), Some(Some(2)));
    assert_eq!(poll(&mut watch), None);
    writer.publish(frame(3));
    writer.publish(frame(4));
    assert_eq!(poll(&mut watch), Some(Some(4)), "the one in between is skipped");
    assert_eq!(poll(&mut watch), None);
}

#[test]
fn a_frame_announced_twice_is_returned_once() {
    let (writer, camera) = camera("c");
    let mut watch = camera.watch();
    writer.publish(frame(1));
    assert_eq!(poll(&mut watch), Some(Some(1)));
    writer.published.send_replace(());
    assert_eq!(poll(&mut watch), None);
}

#[test]
fn a_watch_waits_for_the_first_frame() {
    let (writer, camera) = camera("c");
    let mut watch = camera.watch();
    assert_eq!(poll(&mut watch), None);
    assert!(camera.latest().is_none());
    writer.publish(frame(1));
    assert_eq!(poll(&mut watch), Some(Some(1)));
}

#[test]
fn a_cleared_camera_has_no_newest_frame_and_wakes_nobody() {
    let (writer, camera) = camera("c");
    writer.publish(frame(1));
    writer.clear();
    let mut watch = camera.watch();
    assert_eq!(poll(&mut watch), None);
    writer.publish(frame(2));
    assert_eq!(poll(&mut watch), Some(Some(2)));
}

#[test]
fn the_last_frame_is_delivered_before_the_end() {
    let (writer, camera) = camera("c");
    let mut watch = camera.watch();
    writer.publish(frame(1));
    drop(writer);
    assert_eq!(poll(&mut watch), Some(Some(1)));
    assert_eq!(poll(&mut watch), Some(None));
    assert_eq!(watch.next_timeout(LONG).unwrap_err(), NoFrame::Ended);
}

#[test]
fn every_watch_counts_until_it_is_dropped() {
    let (writer, camera) = camera("c");
    assert!(!writer.watched());
    let (a, b) = (camera.watch(), camera.clone().watch());
    drop(a);
    assert!(writer.watched());
    drop(b);
    assert!(!writer.watched());
}

#[test]
fn a_reader_keeps_the_frame_it_holds() {
    let (writer, camera) = camera("c");
    writer.publish(frame(1));
    let held = camera.latest().unwrap();
    writer.publish(frame(2));
    assert_eq!(held.captured.as_nanos(), 1);
}

#[test]
fn a_watch_does_not_hold_the_pixels_of_the_frame_it_returned() {
    let (writer, camera) = camera("c");
    let mut watch = camera.watch();
    writer.publish(frame(1));
    let returned = Arc::downgrade(&watch.next_timeout(LONG).unwrap());
    writer.publish(frame(2));
    assert!(returned.upgrade().is_none());
}

#[test]
fn a_blocking_wait_ends_with_a_frame_of_another_thread_or_its_end_or_in_time() {
    let (writer, camera) = camera("c");
    let mut watch = camera.watch();
    assert_eq!(watch.next_timeout(Duration::ZERO).unwrap_err(), NoFrame::TimedOut);
    let other = thread::spawn(move || {
        writer.publish(frame(5));
        writer
    });
    assert_eq!(watch.next_timeout(LONG).unwrap().captured.as_nanos(), 5);
    let writer = other.join().unwrap();
    let waiting = thread::spawn(move || watch.next_timeout(LONG).map(|f| f.captured));
    drop(writer);
    assert_eq!(waiting.join().unwrap(), Err(NoFrame::Ended));
}

#[test]
fn readers_of_many_threads_see_frames_in_order_and_the_last_one() {
    let (writer, camera) = camera("c");
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let mut watch = camera.watch();
            thread::spawn(move || {
                let mut seen = Vec::new();
                while let Ok(frame) = watch.next_timeout(LONG) {
                    seen.push(frame.captured);
                }
                seen
            })
        })
        .collect();
    for number in 1..=2000 {
        writer.publish(frame(number));
    }
    drop(writer);
    for reader in readers {
        let seen = reader.join().unwrap();
        assert!(seen.windows(2).all(|w| w[0] < w[1]), "in order, none twice");
        assert_eq!(seen.last(), Some(&MonoTime::from_nanos(2000)));
    }
}
