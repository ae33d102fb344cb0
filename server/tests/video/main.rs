//! Feeds: one encoder per camera, started and ended by its viewers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "gstreamer")]
mod gst;
mod sources;
#[cfg(feature = "vp8")]
mod vp8;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use openh264::decoder::Decoder;
use openh264::formats::YUVSource;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use waldo_server::clock;
use waldo_server::sensors::{CameraFrame, CameraWriter, RgbImage, camera};
use waldo_server::video::{EncodedFrame, Feed, Subscription, VideoSource};

const LIMIT: Duration = Duration::from_secs(20);

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const BLACK: [u8; 3] = [0, 0, 0];

fn plain(width: u32, height: u32, rgb: [u8; 3]) -> RgbImage {
    RgbImage::new(width, height, rgb.repeat((width * height) as usize)).unwrap()
}

fn publish(writer: &CameraWriter, image: RgbImage) {
    let captured = clock::now();
    writer.publish(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured });
}

fn camera_feed() -> (CameraWriter, Feed) {
    let (writer, reader) = camera("c");
    (writer, Feed::new("c", VideoSource::Camera(reader)))
}

fn callable_feed(name: &str, call: impl FnMut() -> Option<RgbImage> + Send + 'static) -> Feed {
    Feed::new(name, VideoSource::Callable(Box::new(call)))
}

async fn next(viewer: &mut Subscription) -> EncodedFrame {
    timeout(LIMIT, viewer.next()).await.expect("no frame in time").expect("the feed has ended")
}

async fn next_keyframe(viewer: &mut Subscription) -> EncodedFrame {
    loop {
        let frame = next(viewer).await;
        if frame.keyframe {
            return frame;
        }
    }
}

/// Sees so many frames, none of which may lack the one before it.
async fn watch(viewer: &mut Subscription, eyes: &mut Eyes, frames: usize) {
    for _ in 0..frames {
        eyes.see(&next(viewer).await);
    }
}

/// Waits until a condition on something that changes on another thread holds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// What a viewer sees after these frames: size and colour of the middle pixel.
struct Eyes(Decoder);

/// Colours a quarter and three quarters of the way along the middle row.
struct Halves {
    size: (usize, usize),
    left: [u8; 3],
    right: [u8; 3],
}

impl Eyes {
    fn new() -> Self {
        Self(Decoder::new().unwrap())
    }

    fn see(&mut self, frame: &EncodedFrame) -> ((usize, usize), [u8; 3]) {
        let (size, rgb) = self.decode(frame);
        (size, pixel(size, &rgb, size.0 / 2))
    }

    fn see_halves(&mut self, frame: &EncodedFrame) -> Halves {
        let (size, rgb) = self.decode(frame);
        Halves { size, left: pixel(size, &rgb, size.0 / 4), right: pixel(size, &rgb, size.0 * 3 / 4) }
    }

    fn decode(&mut self, frame: &EncodedFrame) -> ((usize, usize), Vec<u8>) {
        let picture = self.0.decode(&frame.data).unwrap().expect("one picture per frame");
        let (width, height) = picture.dimensions();
        let mut rgb = vec![0; width * height * 3];
        picture.write_rgb8(&mut rgb);
        ((width, height), rgb)
    }
}

/// A pixel of the middle row.
fn pixel((width, height): (usize, usize), rgb: &[u8], x: usize) -> [u8; 3] {
    let at = (height / 2 * width + x) * 3;
    [rgb[at], rgb[at + 1], rgb[at + 2]]
}

fn assert_close(seen: [u8; 3], expected: [u8; 3]) {
    assert!(seen.iter().zip(expected).all(|(s, e)| s.abs_diff(e) < 24), "{seen:?}, not {expected:?}");
}

#[tokio::test]
async fn a_camera_is_watched_and_encoded_only_while_somebody_looks() {
    let (writer, feed) = camera_feed();
    assert!(!writer.watched());
    for _ in 0..3 {
        let mut viewer = feed.subscribe();
        until("the camera is watched", || writer.watched()).await;
        publish(&writer, plain(64, 48, RED));
        let frame = next(&mut viewer).await;
        assert!(frame.keyframe);
        let (size, colour) = Eyes::new().see(&frame);
        assert_eq!(size, (64, 48));
        assert_close(colour, RED);
        drop(viewer);
        until("nobody watches the camera", || !writer.watched()).await;
    }
}

#[tokio::test]
async fn a_silent_camera_keeps_its_last_picture_with_its_capture_time() {
    let (writer, feed) = camera_feed();
    let mut viewer = feed.subscribe();
    until("the camera is watched", || writer.watched()).await;
    publish(&writer, plain(64, 48, RED));
    let first = next(&mut viewer).await;
    assert_eq!(first.media_time, first.captured);
    let repeated = next(&mut viewer).await;
    assert_eq!(repeated.captured, first.captured);
    assert!(repeated.media_time > first.media_time);
    drop(writer);
    let repeated_after_the_end = next(&mut viewer).await;
    assert_eq!(repeated_after_the_end.captured, first.captured);
}

#[tokio::test]
async fn before_the_first_picture_viewers_see_black() {
    let feed = callable_feed("c", || None);
    let frame = next(&mut feed.subscribe()).await;
    assert!(frame.keyframe);
    let (size, colour) = Eyes::new().see(&frame);
    assert_eq!(size, (640, 480));
    assert_close(colour, BLACK);
}

#[tokio::test]
async fn a_callable_that_has_nothing_or_panics_keeps_its_last_picture() {
    let mut calls = 0;
    let feed = callable_feed("c", move || {
        calls += 1;
        match calls {
            1 => Some(plain(64, 48, RED)),
            3 => panic!("expected in this test"),
            n if n < 30 => None,
            _ => Some(plain(64, 48, BLUE)),
        }
    });
    let mut viewer = feed.subscribe();
    let mut eyes = Eyes::new();
    assert_close(eyes.see(&next(&mut viewer).await).1, RED);
    assert_close(eyes.see(&next(&mut viewer).await).1, RED);
    let turns_blue = async {
        loop {
            let (_, [red, _, blue]) = eyes.see(&next(&mut viewer).await);
            if blue > 200 && red < 50 {
                break;
            }
        }
    };
    timeout(LIMIT, turns_blue).await.expect("the callable is still asked");
}

#[tokio::test]
async fn a_second_viewer_gets_a_keyframe_and_the_first_loses_nothing() {
    let feed = callable_feed("c", || Some(plain(64, 48, RED)));
    let mut first = feed.subscribe();
    let mut eyes = Eyes::new();
    eyes.see(&next(&mut first).await);
    let mut second = feed.subscribe();
    let (frame, ()) = tokio::join!(next(&mut second), watch(&mut first, &mut eyes, 20));
    assert!(frame.keyframe);
    Eyes::new().see(&frame);
}

#[tokio::test]
async fn a_keyframe_comes_on_request_also_from_a_silent_camera() {
    let (writer, feed) = camera_feed();
    let mut viewer = feed.subscribe();
    publish(&writer, plain(64, 48, RED));
    assert!(next(&mut viewer).await.keyframe);
    for _ in 0..2 {
        feed.request_keyframe();
        next_keyframe(&mut viewer).await;
        viewer.request_keyframe();
        next_keyframe(&mut viewer).await;
    }
}

#[tokio::test]
async fn a_viewer_that_does_not_fetch_disturbs_nobody_and_resumes_with_a_keyframe() {
    let feed = callable_feed("c", || Some(plain(64, 48, RED)));
    let mut quick = feed.subscribe();
    let mut slow = feed.subscribe();
    watch(&mut quick, &mut Eyes::new(), 60).await;
    let resumed = next(&mut slow).await;
    assert!(resumed.keyframe);
    Eyes::new().see(&resumed);
}

#[tokio::test]
async fn a_change_of_size_starts_over_with_a_keyframe() {
    let (writer, feed) = camera_feed();
    let mut viewer = feed.subscribe();
    let mut eyes = Eyes::new();
    publish(&writer, plain(64, 48, RED));
    assert_eq!(eyes.see(&next(&mut viewer).await).0, (64, 48));
    publish(&writer, plain(128, 96, BLUE));
    loop {
        let frame = next(&mut viewer).await;
        let (size, colour) = eyes.see(&frame);
        if size == (128, 96) {
            assert!(frame.keyframe);
            assert_close(colour, BLUE);
            break;
        }
    }
}

#[tokio::test]
async fn too_low_a_bitrate_makes_the_picture_smaller_and_rarer_until_there_is_more() {
    let feed = callable_feed("c", || Some(plain(640, 480, RED)));
    let mut viewer = feed.subscribe();
    let mut eyes = Eyes::new();
    assert_eq!(eyes.see(&next(&mut viewer).await).0, (640, 480));
    for (bps, size) in [(Some(40_000), (160, 120)), (None, (640, 480))] {
        feed.set_target_bitrate(bps.and_then(std::num::NonZeroU32::new));
        let changes = async {
            loop {
                let frame = next(&mut viewer).await;
                let (seen, colour) = eyes.see(&frame);
                assert_close(colour, RED);
                if seen == size {
                    assert!(frame.keyframe);
                    return;
                }
            }
        };
        timeout(LIMIT, changes).await.expect("the size changes");
    }
}

#[tokio::test]
async fn a_picture_that_cannot_be_encoded_does_not_end_the_feed() {
    let mut calls = 0;
    let feed = callable_feed("c", move || {
        calls += 1;
        Some(if calls < 4 { plain(8192, 2, RED) } else { plain(64, 48, BLUE) })
    });
    let frame = next(&mut feed.subscribe()).await;
    assert!(frame.keyframe);
    assert_close(Eyes::new().see(&frame).1, BLUE);
}

#[tokio::test]
async fn the_last_handle_ends_the_feed_for_its_viewers_and_frees_the_source() {
    let held = watch::Sender::new(());
    let mut source = held.subscribe();
    let feed = callable_feed("c", move || {
        let _ = &held;
        Some(plain(64, 48, RED))
    });
    let clone = feed.clone();
    let mut viewer = feed.subscribe();
    next(&mut viewer).await;
    drop(feed);
    clone.request_keyframe();
    next_keyframe(&mut viewer).await;
    drop(clone);
    let end = async { while viewer.next().await.is_some() {} };
    timeout(LIMIT, end).await.expect("the viewer is told");
    let freed = async { while source.changed().await.is_ok() {} };
    timeout(LIMIT, freed).await.expect("the source is dropped although the subscription is not");
}

#[tokio::test]
async fn without_viewers_the_encoders_thread_ends_and_a_callable_is_not_asked() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let feed = callable_feed("alone", move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Some(plain(64, 48, RED))
    });
    assert!(!thread_runs("alone"));
    let mut viewer = feed.subscribe();
    next(&mut viewer).await;
    assert!(thread_runs("alone"));
    drop(viewer);
    until("the encoder's thread ends", || !thread_runs("alone")).await;
    // A call that was due meanwhile may still be made.
    sleep(Duration::from_millis(100)).await;
    let asked = calls.load(Ordering::Relaxed);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(calls.load(Ordering::Relaxed), asked);
    let mut viewer = feed.subscribe();
    next(&mut viewer).await;
    until("it is asked again", || calls.load(Ordering::Relaxed) > asked).await;
}

fn thread_runs(name: &str) -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    // A thread that ends meanwhile has no name any more.
    tasks.flatten().any(|t| std::fs::read_to_string(t.path().join("comm")).is_ok_and(|comm| comm.trim() == name))
}
