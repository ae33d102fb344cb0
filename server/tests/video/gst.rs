//! An element of GStreamer in place of the built-in encoder.

use super::*;

/// The element signs its keyframes; the built-in encoder would take over silently if it failed.
fn is_of_x264(keyframe: &EncodedFrame) -> bool {
    keyframe.data.windows(4).any(|text| text == b"x264")
}

#[tokio::test]
async fn viewers_see_colours_and_sizes_of_what_an_element_encodes() {
    let (writer, feed) = camera_feed();
    feed.set_h264_encoder("gst:x264enc".parse().unwrap());
    let mut viewer = feed.subscribe();
    until("the camera is watched", || writer.watched()).await;
    publish(&writer, plain(64, 48, RED));
    let first = next(&mut viewer).await;
    assert!(first.keyframe && is_of_x264(&first));
    let mut eyes = Eyes::new();
    assert_close(eyes.see(&first).1, RED);
    publish(&writer, plain(64, 48, BLUE));
    let following = next(&mut viewer).await;
    assert!(!following.keyframe);
    assert_close(eyes.see(&following).1, BLUE);
    publish(&writer, plain(320, 240, RED));
    let larger = next_keyframe(&mut viewer).await;
    assert!(is_of_x264(&larger));
    let (size, colour) = eyes.see(&larger);
    assert_eq!(size, (320, 240));
    assert_close(colour, RED);
}

#[tokio::test]
async fn the_built_in_encoder_goes_on_where_an_element_fails() {
    let feed = callable_feed("c", || Some(plain(64, 48, RED)));
    feed.set_h264_encoder("gst:there_is_no_such_element".parse().unwrap());
    let frame = next(&mut feed.subscribe()).await;
    assert!(frame.keyframe && !is_of_x264(&frame));
    assert_close(Eyes::new().see(&frame).1, RED);
}
