//! One source in two codecs.

use waldo_server::video::Codec;

use super::*;

/// Bit 0 of a VP8 frame is zero in keyframes (RFC 6386, 9.1), which then tell their size.
fn size_of(frame: &EncodedFrame) -> Option<(u16, u16)> {
    let side = |at| u16::from_le_bytes([frame.data[at], frame.data[at + 1]]) & 0x3fff;
    (frame.data[0] & 1 == 0 && frame.data[3..6] == [0x9d, 0x01, 0x2a]).then(|| (side(6), side(8)))
}

#[tokio::test]
async fn each_viewer_gets_the_codec_it_asked_for_of_the_same_pictures() {
    let (writer, feed) = camera_feed();
    let (mut h264, mut vp8) = (feed.subscribe(), feed.subscribe_in(Codec::Vp8));
    until("the camera is watched", || writer.watched()).await;
    publish(&writer, plain(64, 48, RED));
    let (one, other) = (next(&mut h264).await, next(&mut vp8).await);
    assert_close(Eyes::new().see(&one).1, RED);
    assert!(other.keyframe);
    assert_eq!(size_of(&other), Some((64, 48)));
    assert_eq!((one.captured, one.media_time), (other.captured, other.media_time));
    publish(&writer, plain(128, 96, BLUE));
    let larger = async {
        loop {
            let frame = next(&mut vp8).await;
            if size_of(&frame) == Some((128, 96)) {
                return frame;
            }
        }
    };
    assert!(timeout(LIMIT, larger).await.expect("the size changes").keyframe);
}

#[tokio::test]
async fn vp8_alone_is_encoded_and_asked_for_keyframes_alone() {
    let feed = callable_feed("c", || Some(plain(64, 48, RED)));
    let mut viewer = feed.subscribe_in(Codec::Vp8);
    assert!(next(&mut viewer).await.keyframe);
    while next(&mut viewer).await.keyframe {}
    viewer.request_keyframe();
    next_keyframe(&mut viewer).await;
    let mut late = feed.subscribe();
    let frame = next_keyframe(&mut late).await;
    assert_close(Eyes::new().see(&frame).1, RED);
}

#[tokio::test]
async fn a_stream_that_was_encoded_elsewhere_stays_h264() {
    let (_sender, source) = VideoSource::encoded();
    assert_eq!(Feed::new("c", source).codecs(), [Codec::H264]);
    assert_eq!(camera_feed().1.codecs(), [Codec::H264, Codec::Vp8]);
}
