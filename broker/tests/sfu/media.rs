//! Pictures and voices.

use std::time::Duration;

use str0m::media::MediaKind;
use str0m::rtp::RtpPacket;
use waldo_broker::sfu::embedded::Embedded;
use waldo_broker::sfu::{Engine, EngineError, PeerKind, Track, VideoStatus};

use crate::peer::{Happening, Peer, Wanted};
use crate::{Pair, engine, join};

/// Sends this many packets of one track, marked and numbered in their first four bytes, about 2 ms apart.
pub(crate) async fn stream(peer: &Peer, kind: MediaKind, count: u32) {
    for index in 0..count {
        let sent = peer.with(move |link| {
            let mut payload = index.to_be_bytes().to_vec();
            payload.resize(1100, 0x41);
            link.send_packet(kind, 5000 + (index / 4) * 3000, index % 4 == 3, &payload)
        });
        assert!(sent.await, "the track cannot be sent");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn packet(peer: &mut Peer) -> Box<RtpPacket> {
    peer.next(|happening| match happening {
        Happening::Packet { packet, .. } => Some(packet),
        _ => None,
    })
    .await
}

pub(crate) async fn track(peer: &Peer, kind: MediaKind) -> Track {
    let mid = peer.with(move |link| link.mid(kind)).await.expect("an m-section");
    Track { mid: mid.to_string(), name: "camera".to_owned() }
}

/// The next packets are the robot's, in order and without a gap, in numbers of the receiver's own.
pub(crate) async fn expect_picture(receiver: &mut Peer, count: usize) {
    let mut last: Option<Box<RtpPacket>> = None;
    for _ in 0..count {
        let packet = packet(receiver).await;
        assert_eq!(packet.payload.len(), 1100);
        if let Some(last) = &last {
            let index = |packet: &RtpPacket| u32::from_be_bytes(packet.payload[..4].try_into().unwrap());
            assert_eq!(index(&packet), index(last) + 1);
            assert_eq!(*packet.seq_no, *last.seq_no + 1);
            assert_eq!(packet.header.marker, index(&packet) % 4 == 3);
            let step = packet.header.timestamp.wrapping_sub(last.header.timestamp);
            assert_eq!(step, if index(&packet) % 4 == 0 { 3000 } else { 0 });
            assert_eq!(packet.header.ssrc, last.header.ssrc);
        }
        last = Some(packet);
    }
}

pub(crate) async fn attach(engine: &Embedded, pair: &Pair) -> Option<String> {
    let track = track(&pair.robot, MediaKind::Video).await;
    let attached = engine.attach_video(&pair.robot_id, &track, &pair.operator_id).await;
    assert_eq!(attached.status, VideoStatus::Ok);
    attached.offer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_comes_in_the_section_that_the_operator_offered() {
    for vp8 in [false, true] {
        let engine = engine();
        let robot = Wanted { vp8, ..Wanted::robot() };
        let (robot, robot_id) = join(&engine, PeerKind::Robot, "a", Peer::offering(&robot)).await;
        let (operator, operator_id) = join(&engine, PeerKind::Operator, "a", Peer::operator()).await;
        let mut pair = Pair { robot, robot_id, operator, operator_id };
        pair.bridge(&engine, 1).await;
        assert_eq!(attach(&engine, &pair).await, None);
        let ((), ()) = tokio::join!(stream(&pair.robot, MediaKind::Video, 100), expect_picture(&mut pair.operator, 80));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_without_a_video_section_gets_one_offered() {
    let engine = engine();
    let (robot, robot_id) = join(&engine, PeerKind::Robot, "a", Peer::robot()).await;
    let (operator, operator_id) = join(&engine, PeerKind::Operator, "a", Peer::offering(&Wanted::default())).await;
    let mut pair = Pair { robot, robot_id, operator, operator_id };
    pair.bridge(&engine, 1).await;
    let offer = attach(&engine, &pair).await.expect("an offer");
    let answer = pair.operator.answer(&offer).await;
    // One that does not fit leaves the way open for the one that does.
    let wrong = answer.replace("a=mid:", "a=mid:x");
    let refused = engine.submit_answer(&pair.operator_id, &wrong).await;
    assert!(matches!(refused, Err(EngineError::Malformed(_))), "{refused:?}");
    engine.submit_answer(&pair.operator_id, &answer).await.unwrap();
    assert!(engine.submit_answer(&pair.operator_id, &answer).await.is_err(), "no second answer is waited for");
    let ((), ()) = tokio::join!(stream(&pair.robot, MediaKind::Video, 100), expect_picture(&mut pair.operator, 80));

    // The next bridge needs no other section.
    tokio::time::sleep(Duration::from_millis(100)).await;
    pair.operator.happened();
    pair.bridge(&engine, 2).await;
    assert_eq!(attach(&engine, &pair).await, None);
    let ((), ()) = tokio::join!(stream(&pair.robot, MediaKind::Video, 60), expect_picture(&mut pair.operator, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_bridge_shows_the_picture_in_the_same_section_without_a_gap() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    let mut last: Option<u64> = None;
    for generation in 1..4 {
        let bridge = pair.bridge(&engine, generation).await;
        assert_eq!(attach(&engine, &pair).await, None);
        stream(&pair.robot, MediaKind::Video, 40).await;
        for _ in 0..40 {
            let number = *packet(&mut pair.operator).await.seq_no;
            assert_eq!(number, last.map_or(number, |last| last + 1), "bridge {generation}");
            last = Some(number);
        }
        engine.close_bridge(&pair.robot_id, &pair.operator_id, &bridge).await.unwrap();
        // Nobody sees these, so that nobody may miss them.
        for _ in 0..400 {
            pair.robot.with(|link| link.send_packet(MediaKind::Video, 1, true, &[0; 100])).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_robot_is_asked_for_a_key_frame_when_somebody_starts_to_watch() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    stream(&pair.robot, MediaKind::Video, 10).await;
    pair.robot.happened();
    pair.bridge(&engine, 1).await;
    attach(&engine, &pair).await;
    stream(&pair.robot, MediaKind::Video, 10).await;
    pair.robot.next(|happening| matches!(happening, Happening::KeyFrame).then_some(())).await;

    // And when a receiver asks for one.
    packet(&mut pair.operator).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    pair.robot.happened();
    pair.operator.with(|link| link.ask_for_key_frame()).await;
    pair.robot.next(|happening| matches!(happening, Happening::KeyFrame).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_s_voice_reaches_the_robot() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    pair.bridge(&engine, 1).await;
    let voice = track(&pair.operator, MediaKind::Audio).await;
    assert_eq!(engine.attach_audio(&pair.operator_id, &voice, &pair.robot_id).await, None);
    stream(&pair.operator, MediaKind::Audio, 30).await;
    for _ in 0..20 {
        assert_eq!(packet(&mut pair.robot).await.payload.len(), 1100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_without_an_audio_section_gets_one_offered() {
    let engine = engine();
    let robot = Wanted { media: Wanted::robot().media[..1].to_vec(), ..Wanted::default() };
    let (robot, robot_id) = join(&engine, PeerKind::Robot, "a", Peer::offering(&robot)).await;
    let (operator, operator_id) = join(&engine, PeerKind::Operator, "a", Peer::operator()).await;
    let mut pair = Pair { robot, robot_id, operator, operator_id };
    pair.bridge(&engine, 1).await;
    let voice = track(&pair.operator, MediaKind::Audio).await;
    let offer = engine.attach_audio(&pair.operator_id, &voice, &pair.robot_id).await.expect("an offer");
    let answer = pair.robot.answer(&offer).await;
    engine.submit_answer(&pair.robot_id, &answer).await.unwrap();
    stream(&pair.operator, MediaKind::Audio, 30).await;
    for _ in 0..20 {
        packet(&mut pair.robot).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_without_a_camera_is_named_as_such() {
    let engine = engine();
    let (robot, robot_id) = join(&engine, PeerKind::Robot, "a", Peer::offering(&Wanted::default())).await;
    let (_operator, operator_id) = join(&engine, PeerKind::Operator, "a", Peer::operator()).await;
    let track = Track { mid: "0".to_owned(), name: "camera".to_owned() };
    let attached = engine.attach_video(&robot_id, &track, &operator_id).await;
    assert_eq!((attached.status, attached.offer), (VideoStatus::NoPublishedTrack, None));
    drop(robot);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_robot_is_told_what_its_operator_can_take_and_not_what_a_viewer_can() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    let (mut viewer, viewer_id) = join(&engine, PeerKind::Viewer, "a", Peer::viewer()).await;
    pair.bridge(&engine, 1).await;
    attach(&engine, &pair).await;
    let track = track(&pair.robot, MediaKind::Video).await;
    engine.attach_video(&pair.robot_id, &track, &viewer_id).await;
    stream(&pair.robot, MediaKind::Video, 10).await;
    packet(&mut pair.operator).await;
    packet(&mut viewer).await;

    viewer.with(|link| link.take_at_most(100_000)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    pair.operator.with(|link| link.take_at_most(700_000)).await;
    let told = pair.robot.next(|happening| match happening {
        Happening::Bitrate(bitrate) => Some(bitrate),
        _ => None,
    });
    let told = told.await;
    assert!((690_000..=710_000).contains(&told), "{told}");
}
