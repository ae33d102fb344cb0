//! The forms of sources, and what becomes of their viewers when they fail.

use bytes::Bytes;
use openh264::OpenH264API;
use openh264::encoder::{Encoder, EncoderConfig};
use openh264::formats::{RgbSliceU8, YUVBuffer};
use waldo_server::video::BadAccessUnit;

use super::*;

#[tokio::test]
async fn a_pushed_picture_arrives_with_its_capture_time_and_stays_when_the_sender_is_gone() {
    let (sender, source) = VideoSource::pushed();
    let feed = Feed::new("c", source);
    assert!(!sender.watched());
    let mut viewer = feed.subscribe();
    until("somebody watches", || sender.watched()).await;
    let captured = clock::now();
    sender.push(plain(64, 48, RED), captured);
    let frame = next(&mut viewer).await;
    assert_eq!(frame.captured, captured);
    let mut eyes = Eyes::new();
    assert_close(eyes.see(&frame).1, RED);
    drop(sender);
    let repeated = next(&mut viewer).await;
    assert_eq!(repeated.captured, captured);
    assert_close(eyes.see(&repeated).1, RED);
}

#[tokio::test]
async fn of_pushed_pictures_the_newest_wins() {
    let (sender, source) = VideoSource::pushed();
    let feed = Feed::new("c", source);
    for colour in [BLUE, BLUE, RED] {
        sender.push(plain(64, 48, colour), clock::now());
    }
    let mut viewer = feed.subscribe();
    let mut eyes = Eyes::new();
    assert_close(eyes.see(&next(&mut viewer).await).1, RED);
    assert_close(eyes.see(&next(&mut viewer).await).1, RED);
}

#[tokio::test]
async fn a_viewer_who_comes_back_to_a_source_that_has_gone_silent_sees_its_last_picture() {
    let (writer, feed) = camera_feed();
    publish(&writer, plain(64, 48, RED));
    next(&mut feed.subscribe()).await;
    // As a camera does that goes to rest.
    writer.clear();
    until("nobody watches", || !writer.watched()).await;
    for _ in 0..2 {
        let frame = next(&mut feed.subscribe()).await;
        assert!(frame.keyframe);
        assert_close(Eyes::new().see(&frame).1, RED);
    }
    drop(writer);
    assert_close(Eyes::new().see(&next(&mut feed.subscribe()).await).1, RED);
}

#[tokio::test]
async fn a_function_that_does_not_return_keeps_its_last_picture_for_old_and_new_viewers() {
    let (release, wait) = std::sync::mpsc::sync_channel::<()>(0);
    let mut calls = 0;
    let feed = callable_feed("stuck", move || {
        calls += 1;
        if calls > 1 {
            let _ = wait.recv();
        }
        Some(plain(64, 48, RED))
    });
    let other = callable_feed("other", || Some(plain(64, 48, BLUE)));
    let mut viewer = feed.subscribe();
    let mut eyes = Eyes::new();
    let first = next(&mut viewer).await;
    assert_close(eyes.see(&first).1, RED);
    let repeated = next(&mut viewer).await;
    assert_eq!(repeated.captured, first.captured);
    let late = next(&mut feed.subscribe()).await;
    assert!(late.keyframe);
    assert_close(Eyes::new().see(&late).1, RED);
    assert_close(Eyes::new().see(&next(&mut other.subscribe()).await).1, BLUE);
    // Ending the feed waits for nobody; the call returns later, or never.
    drop(feed);
    let end = async { while viewer.next().await.is_some() {} };
    timeout(LIMIT, end).await.expect("the viewer is told");
    drop(release);
}

fn sides() -> (CameraWriter, CameraWriter, Feed) {
    let ((left_writer, left), (right_writer, right)) = (camera("left"), camera("right"));
    (left_writer, right_writer, Feed::new("overhead_sbs", VideoSource::SideBySide(left, right)))
}

/// Waits for a frame that looks like this.
async fn until_seen(viewer: &mut Subscription, eyes: &mut Eyes, looks_right: impl Fn(&Halves) -> bool) -> EncodedFrame {
    let wait = async {
        loop {
            let frame = next(viewer).await;
            if looks_right(&eyes.see_halves(&frame)) {
                return frame;
            }
        }
    };
    timeout(LIMIT, wait).await.expect("that picture comes")
}

fn is(seen: [u8; 3], expected: [u8; 3]) -> bool {
    seen.iter().zip(expected).all(|(s, e)| s.abs_diff(e) < 24)
}

#[tokio::test]
async fn two_cameras_side_by_side_are_one_picture_as_old_as_the_older_one() {
    let (left, right, feed) = sides();
    let mut viewer = feed.subscribe();
    until("both are watched", || left.watched() && right.watched()).await;
    let before = clock::now();
    publish(&left, plain(64, 48, RED));
    let between = clock::now();
    publish(&right, plain(64, 48, BLUE));
    let frame = next(&mut viewer).await;
    assert!(before <= frame.captured && frame.captured <= between);
    let seen = Eyes::new().see_halves(&frame);
    assert_eq!(seen.size, (128, 48));
    assert_close(seen.left, RED);
    assert_close(seen.right, BLUE);
}

#[tokio::test]
async fn one_of_two_cameras_may_come_late_go_or_change_its_size() {
    let (left, right, feed) = sides();
    let mut viewer = feed.subscribe();
    let mut eyes = Eyes::new();
    publish(&right, plain(64, 48, BLUE));
    let both_blue = |seen: &Halves| seen.size == (128, 48) && is(seen.left, BLUE) && is(seen.right, BLUE);
    until_seen(&mut viewer, &mut eyes, both_blue).await;
    publish(&left, plain(64, 48, RED));
    until_seen(&mut viewer, &mut eyes, |seen| is(seen.left, RED) && is(seen.right, BLUE)).await;
    drop(right);
    publish(&left, plain(64, 48, [255; 3]));
    until_seen(&mut viewer, &mut eyes, |seen| is(seen.left, [255; 3]) && is(seen.right, BLUE)).await;
    publish(&left, plain(128, 96, RED));
    let larger = |seen: &Halves| seen.size == (256, 96) && is(seen.left, RED) && is(seen.right, RED);
    assert!(until_seen(&mut viewer, &mut eyes, larger).await.keyframe);
}

/// Access units of plain pictures.
struct Stream {
    encoder: Encoder,
    size: (usize, usize),
}

impl Stream {
    fn new() -> Self {
        Self::of(64, 48)
    }

    fn of(width: usize, height: usize) -> Self {
        let config = EncoderConfig::new().skip_frames(false);
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config).unwrap();
        Self { encoder, size: (width, height) }
    }

    fn next(&mut self, rgb: [u8; 3], keyframe: bool) -> Bytes {
        if keyframe {
            self.encoder.force_intra_frame();
        }
        let pixels = rgb.repeat(self.size.0 * self.size.1);
        let picture = YUVBuffer::from_rgb8_source(RgbSliceU8::new(&pixels, self.size));
        self.encoder.encode(&picture).unwrap().to_vec().into()
    }
}

#[tokio::test]
async fn a_pre_encoded_stream_passes_as_it_is_from_a_keyframe_on() {
    let (sender, source) = VideoSource::encoded();
    let feed = Feed::new("c", source);
    let mut stream = Stream::new();
    assert!(!sender.watched() && !sender.take_keyframe_request());
    let (first, second) = (stream.next(RED, true), stream.next(RED, false));
    sender.push(first, clock::now()).unwrap();
    let mut viewer = feed.subscribe();
    assert!(sender.watched());
    sender.push(second, clock::now()).unwrap();
    until("a keyframe is asked for", || sender.take_keyframe_request()).await;
    assert!(!sender.take_keyframe_request(), "told once");
    let (key, captured) = (stream.next(BLUE, true), clock::now());
    sender.push(key.clone(), captured).unwrap();
    sender.push(stream.next(BLUE, false), clock::now()).unwrap();
    let frame = next(&mut viewer).await;
    assert_eq!((&frame.data, frame.keyframe, frame.captured), (&key, true, captured));
    let mut eyes = Eyes::new();
    assert_close(eyes.see(&frame).1, BLUE);
    let following = next(&mut viewer).await;
    assert!(!following.keyframe && following.media_time > frame.media_time);
    assert_close(eyes.see(&following).1, BLUE);
    drop(viewer);
    assert!(!sender.watched());
}

#[tokio::test]
async fn a_pre_encoded_keyframe_without_parameter_sets_can_be_decoded_and_nonsense_harms_nobody() {
    let (sender, source) = VideoSource::encoded();
    let feed = Feed::new("c", source);
    let mut viewer = feed.subscribe();
    let mut stream = Stream::new();
    let whole = stream.next(RED, true);
    let idr = whole.windows(4).position(|w| w[..3] == [0, 0, 1] && w[3] & 0x1f == 5).unwrap() - 1;
    let bare = whole.slice(idr..);
    assert_eq!(sender.push(bare.clone(), clock::now()), Err(BadAccessUnit::NoParameterSets));
    assert_eq!(sender.push(Bytes::from_static(b"no video"), clock::now()), Err(BadAccessUnit::NotAnnexB));
    sender.push(whole.slice(..idr), clock::now()).unwrap();
    sender.push(bare, clock::now()).unwrap();
    let frame = next(&mut viewer).await;
    assert!(frame.keyframe);
    assert_close(Eyes::new().see(&frame).1, RED);
}

#[tokio::test]
async fn the_author_of_a_stream_is_told_of_keyframe_requests_and_the_rate_and_may_leave() {
    let (sender, source) = VideoSource::encoded();
    let feed = Feed::new("c", source);
    let mut stream = Stream::new();
    let mut viewer = feed.subscribe();
    sender.push(stream.next(RED, true), clock::now()).unwrap();
    next(&mut viewer).await;
    viewer.request_keyframe();
    until("the request is due", || sender.take_keyframe_request()).await;
    assert_eq!(sender.target_bitrate(), None);
    feed.set_target_bitrate(std::num::NonZeroU32::new(123_456));
    assert_eq!(sender.target_bitrate(), Some(123_456));
    drop(sender);
    assert!(timeout(Duration::from_millis(50), viewer.next()).await.is_err(), "the track stays");
    drop(feed);
    assert!(timeout(LIMIT, viewer.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_pre_encoded_stream_that_changes_its_size_shows_it_to_old_and_new_viewers() {
    let (sender, source) = VideoSource::encoded();
    let feed = Feed::new("c", source);
    let (mut viewer, mut eyes) = (feed.subscribe(), Eyes::new());
    sender.push(Stream::new().next(RED, true), clock::now()).unwrap();
    assert_eq!(eyes.see(&next(&mut viewer).await).0, (64, 48));
    let mut larger = Stream::of(128, 96);
    sender.push(larger.next(BLUE, true), clock::now()).unwrap();
    let (size, colour) = eyes.see(&next(&mut viewer).await);
    assert_eq!(size, (128, 96));
    assert_close(colour, BLUE);
    let mut late = feed.subscribe();
    until("a keyframe is asked for", || sender.take_keyframe_request()).await;
    sender.push(larger.next(BLUE, true), clock::now()).unwrap();
    assert_eq!(Eyes::new().see(&next(&mut late).await).0, (128, 96));
}
