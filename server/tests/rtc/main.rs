//! Peer connections, seen by a real WebRTC peer in the same process, over loopback.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod codecs;
mod network;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use waldo_server::rtc::{Network, PosePeer, VideoPeer, Viewer};
use waldo_server::sensors::{Camera, CameraWriter, RgbImage, camera};
use waldo_server::video::{Feed, VideoSource};
use webrtc::data_channel::DataChannelEvent;

use self::client::{Client, in_time};

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

fn feed(name: &str, (width, height): (u32, u32), rgb: [u8; 3]) -> Feed {
    let image = RgbImage::new(width, height, rgb.repeat((width * height) as usize)).unwrap();
    Feed::new(name, VideoSource::Callable(Box::new(move || Some(image.clone()))))
}

fn camera_feed() -> (CameraWriter, Camera, Feed) {
    let (writer, reader) = camera("c");
    let feed = Feed::new("c", VideoSource::Camera(reader.clone()));
    (writer, reader, feed)
}

fn assert_close(seen: [u8; 3], expected: [u8; 3]) {
    assert!(seen.iter().zip(expected).all(|(s, e)| s.abs_diff(e) < 24), "{seen:?}, not {expected:?}");
}

#[tokio::test]
async fn each_camera_arrives_under_its_mid() {
    let feeds = [feed("overhead_left", (64, 48), RED), feed("overhead_right", (128, 96), BLUE)];
    let (peer, offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
    let names = [("0", "overhead_left"), ("1", "overhead_right")].map(|(mid, name)| (mid.into(), name.into()));
    assert_eq!(offer.tracks, BTreeMap::from(names));
    let mut client = Client::connect(&peer, &offer).await;
    let mut tracks = client.tracks(2).await;
    for (mid, size, colour) in [("0", (64, 48), RED), ("1", (128, 96), BLUE)] {
        let seen = tracks.get_mut(mid).unwrap().frame().await;
        assert_eq!(seen.size, size);
        assert_close(seen.middle, colour);
    }
}

#[tokio::test]
async fn the_offer_is_sendonly_h264_in_one_bundle_with_all_candidates_inside() {
    let feeds = [feed("a b", (64, 48), RED), feed("c", (64, 48), RED)];
    let (_peer, offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
    let lines: Vec<&str> = offer.sdp.lines().collect();
    let count = |line: &str| lines.iter().filter(|l| l.starts_with(line)).count();
    assert_eq!(count("m=video "), 2, "{}", offer.sdp);
    assert_eq!(count("m="), 2);
    assert_eq!(count("a=sendonly"), 2);
    assert_eq!(count("a=setup:actpass"), 2);
    assert_eq!(count("a=rtcp-mux"), 2);
    assert_eq!(count("a=group:BUNDLE 0 1"), 1);
    assert_eq!((count("a=mid:0"), count("a=mid:1")), (1, 1));
    for line in ["a=rtpmap:102 H264/90000", "a=rtpmap:103 rtx/90000", "a=fmtp:103 apt=102", "a=rtcp-fb:102 nack pli"] {
        assert_eq!(count(line), 2, "{line} in {}", offer.sdp);
    }
    assert!(offer.sdp.contains("packetization-mode=1"));
    assert!(offer.sdp.contains("profile-level-id=42e01f"));
    assert!(lines.iter().any(|l| l.starts_with("a=candidate:") && l.contains(" 127.0.0.1 ")), "{}", offer.sdp);
    assert!(count("a=end-of-candidates") > 0, "{}", offer.sdp);
}

#[tokio::test]
async fn a_receiver_that_lost_a_picture_gets_a_keyframe() {
    let feeds = [feed("c", (64, 48), RED)];
    let (peer, offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
    let mut client = Client::connect(&peer, &offer).await;
    let track = &mut client.tracks(1).await.remove("0").unwrap();
    assert!(track.frame().await.keyframe);
    let wait = async {
        while track.frame().await.keyframe {}
        track.request_keyframe().await;
        while !track.frame().await.keyframe {}
    };
    in_time("a keyframe", wait).await;
}

#[tokio::test]
async fn a_second_client_sees_the_camera_and_the_first_goes_on() {
    let feeds = [feed("c", (64, 48), RED)];
    let (first_peer, first_offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
    let mut first_client = Client::connect(&first_peer, &first_offer).await;
    let mut first = first_client.tracks(1).await.remove("0").unwrap();
    first.frame().await;
    let (second_peer, second_offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
    let mut second_client = Client::connect(&second_peer, &second_offer).await;
    let mut second = second_client.tracks(1).await.remove("0").unwrap();
    assert_close(second.frame().await.middle, RED);
    second_peer.close().await;
    for _ in 0..5 {
        assert_close(first.frame().await.middle, RED);
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_an_error_and_a_right_one_still_works() {
    let feeds = [feed("c", (64, 48), RED)];
    let (peer, offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
    let (mut client, answer) = Client::of(&offer.sdp).await;
    let without = |word: &str| answer.lines().filter(|l| !l.contains(word)).map(|l| format!("{l}\r\n")).collect();
    let wrong: [String; 10] = [
        String::new(),
        "not a session description".into(),
        "v=0\r\n".into(),
        answer[..answer.len() / 2].into(),
        "x".repeat(1 << 20),
        answer.replace("a=mid:0", "a=mid:7"),
        without("fingerprint"),
        without("ice-ufrag"),
        without("rtpmap"),
        answer.replace("m=video 9", "m=video 0"),
    ];
    for wrong in &wrong {
        let error = peer.answer(wrong.clone()).await.expect_err(wrong).to_string();
        assert!(error.len() < 300, "{error}");
    }
    peer.answer(answer.clone()).await.unwrap();
    assert_close(client.tracks(1).await.get_mut("0").unwrap().frame().await.middle, RED);
    assert!(peer.answer(answer).await.is_err(), "a second answer");
}

#[tokio::test]
async fn an_answer_to_the_offer_before_does_not_pass_for_one_to_this() {
    let feeds = [feed("c", (64, 48), RED)];
    let network = Network::default();
    let (_replaced, first_offer) = VideoPeer::offer(&network, &feeds, &Viewer::default()).await.unwrap();
    let (peer, offer) = VideoPeer::offer(&network, &feeds, &Viewer { offer: 1, ..Viewer::default() }).await.unwrap();
    let (_first_client, late) = Client::of(&first_offer.sdp).await;
    let error = peer.answer(late).await.unwrap_err().to_string();
    assert!(error.contains("payload type"), "{error}");
    let mut client = Client::connect(&peer, &offer).await;
    assert_close(client.tracks(1).await.get_mut("0").unwrap().frame().await.middle, RED);
}

#[tokio::test]
async fn a_camera_is_watched_from_the_answer_until_the_peer_is_gone() {
    let (writer, _, feed) = camera_feed();
    let (peer, offer) =
        VideoPeer::offer(&Network::default(), std::slice::from_ref(&feed), &Viewer::default()).await.unwrap();
    assert!(!writer.watched());
    let client = Client::connect(&peer, &offer).await;
    in_time("the camera is watched", async {
        while !writer.watched() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    drop(peer);
    in_time("nobody watches", async {
        while writer.watched() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    drop(client);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_peer() {
    let feeds = [feed("c", (64, 48), RED)];
    let (peer, offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
    let mut client = Client::connect(&peer, &offer).await;
    client.tracks(1).await.remove("0").unwrap().frame().await;
    client.peer.close().await.unwrap();
    in_time("the peer notices", peer.closed()).await;
}

#[tokio::test]
async fn connections_leave_no_sockets_behind() {
    let sockets = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        files.filter(|f| std::fs::read_link(f.path()).is_ok_and(|l| l.to_string_lossy().contains("socket"))).count()
    };
    let feeds = [feed("a", (64, 48), RED), feed("b", (64, 48), BLUE)];
    let cycle = async |dropped: bool| {
        let (peer, offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
        let mut client = Client::connect(&peer, &offer).await;
        client.tracks(2).await.remove("0").unwrap().frame().await;
        client.peer.close().await.unwrap();
        if dropped { drop(peer) } else { peer.close().await }
    };
    cycle(false).await;
    let before = sockets();
    for number in 0..12 {
        cycle(number % 2 == 0).await;
    }
    // Peers that nobody answers.
    for _ in 0..5 {
        drop(VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap());
    }
    in_time("all sockets are closed", async {
        while sockets() > before {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_end_of_all_feeds_ends_the_peer() {
    let feeds = [feed("a", (64, 48), RED), feed("b", (64, 48), BLUE)];
    let (peer, offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
    let mut client = Client::connect(&peer, &offer).await;
    client.tracks(2).await.remove("1").unwrap().frame().await;
    drop(feeds);
    in_time("the peer ends", peer.closed()).await;
}

#[tokio::test]
async fn nothing_to_show_is_no_offer() {
    assert!(VideoPeer::offer(&Network::default(), &[], &Viewer::default()).await.is_err());
}

#[tokio::test]
async fn the_pose_offer_is_one_data_channel_section() {
    let (_peer, sdp) = PosePeer::offer(&Network::default(), |_| {}).await.unwrap();
    let has = |line: &str| sdp.lines().any(|l| l == line);
    assert_eq!(sdp.lines().filter(|l| l.starts_with("m=")).collect::<Vec<_>>().len(), 1, "{sdp}");
    assert!(sdp.contains("m=application 9 UDP/DTLS/SCTP webrtc-datachannel"), "{sdp}");
    assert!(has("a=sctp-port:5000") && has("a=max-message-size:262144") && has("a=setup:actpass"), "{sdp}");
}

#[tokio::test]
async fn pose_messages_arrive_as_text_and_everything_else_is_ignored() {
    let (text, mut texts) = mpsc::channel(16);
    let (peer, sdp) =
        PosePeer::offer(&Network::default(), move |message| text.try_send(message.to_owned()).unwrap()).await.unwrap();
    let (mut client, answer) = Client::of(&sdp).await;
    peer.answer(answer).await.unwrap();
    let channel = in_time("the channel", client.channels.recv()).await.unwrap();
    assert_eq!(channel.label().await.unwrap(), "pose");
    assert!(!channel.ordered().await.unwrap());
    assert_eq!(channel.protocol().await.unwrap(), "");
    in_time("the channel opens", async {
        while !matches!(channel.poll().await, Some(DataChannelEvent::OnOpen) | None) {}
    })
    .await;
    channel.send("binary".as_bytes().into()).await.unwrap();
    channel.send_text("first").await.unwrap();
    assert_eq!(in_time("a message", texts.recv()).await.unwrap(), "first");
    channel.send_text("second").await.unwrap();
    assert_eq!(in_time("a message", texts.recv()).await.unwrap(), "second");
    channel.close().await.unwrap();
    in_time("the peer notices", peer.closed()).await;
}
