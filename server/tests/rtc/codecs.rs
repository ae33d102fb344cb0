//! What becomes of clients that lack a codec.

use waldo_server::rtc::AnswerError;

use super::*;

/// How often each of these lines is in a session description.
#[cfg(feature = "vp8")]
fn count(sdp: &str, line: &str) -> usize {
    sdp.lines().filter(|l| l.starts_with(line)).count()
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_what_is_offered_is_known_by_its_answer() {
    let feeds = [feed("c", (64, 48), RED)];
    let (peer, offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
    let (_client, answer) = Client::of(&offer.sdp).await;
    let refused = answer.replace("m=video 9", "m=video 0");
    assert!(matches!(peer.answer(refused).await, Err(AnswerError::NoCodec)));
    peer.answer(answer).await.unwrap();
}

#[cfg(not(feature = "vp8"))]
#[tokio::test]
async fn without_vp8_a_client_that_has_nothing_else_gets_no_video() {
    let feeds = [feed("c", (64, 48), RED)];
    let (peer, offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
    let (_client, answer) = Client::with_vp8_alone(&offer.sdp).await;
    assert!(matches!(peer.answer(answer).await, Err(AnswerError::NoCodec)));
}

#[cfg(feature = "vp8")]
mod vp8 {
    use bytes::BytesMut;
    use rtc::rtp::codec::vp8::Vp8Packet;
    use rtc::rtp::packetizer::Depacketizer;
    use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

    use super::*;

    /// Size of the next keyframe (RFC 6386, 9.1).
    async fn keyframe(track: &dyn TrackRemote) -> (u16, u16) {
        let (mut frame, mut depacketizer) = (BytesMut::new(), Vp8Packet::default());
        loop {
            let event = in_time("a packet", track.poll()).await.expect("the track has ended");
            let TrackRemoteEvent::OnRtpPacket(packet) = event else { continue };
            frame.extend_from_slice(&depacketizer.depacketize(&packet.payload).unwrap());
            if !packet.header.marker {
                continue;
            }
            let frame = frame.split();
            if frame[0] & 1 == 0 && frame[3..6] == [0x9d, 0x01, 0x2a] {
                let side = |at| u16::from_le_bytes([frame[at], frame[at + 1]]) & 0x3fff;
                return (side(6), side(8));
            }
        }
    }

    #[tokio::test]
    async fn both_codecs_are_offered_and_a_client_with_both_gets_h264() {
        let (_sender, encoded) = VideoSource::encoded();
        let feeds = [feed("c", (64, 48), RED), Feed::new("encoded", encoded)];
        let (peer, offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
        let sections: Vec<&str> = offer.sdp.split("m=video ").skip(1).collect();
        assert_eq!(sections.len(), 2);
        for (section, vp8) in sections.iter().zip([1, 0]) {
            assert_eq!(count(section, "a=rtpmap:102 H264/90000"), 1, "{section}");
            assert_eq!(count(section, "a=rtpmap:118 VP8/90000"), vp8, "{section}");
            assert_eq!(count(section, "a=fmtp:119 apt=118"), vp8, "{section}");
        }
        let mut client = Client::connect(&peer, &offer).await;
        // The stream that nobody pushes sends no packet, so its track is not seen.
        let seen = client.first_track().await.frame().await;
        assert_close(seen.middle, RED);
    }

    #[tokio::test]
    async fn a_client_without_h264_gets_vp8_beside_one_with_it() {
        let feeds = [feed("c", (64, 48), RED)];
        let (peer, offer) = VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
        let (other_peer, other_offer) =
            VideoPeer::offer(&Network::default(), &feeds, &Viewer::default()).await.unwrap();
        let mut other = Client::connect(&other_peer, &other_offer).await;
        let mut h264 = other.tracks(1).await.remove("0").unwrap();
        assert_close(h264.frame().await.middle, RED);
        let (mut client, answer) = Client::with_vp8_alone(&offer.sdp).await;
        peer.answer(answer).await.unwrap();
        let track = client.first_track().await;
        assert_eq!(keyframe(&*track.track).await, (64, 48));
        track.request_keyframe().await;
        assert_eq!(keyframe(&*track.track).await, (64, 48));
        assert_close(h264.frame().await.middle, RED);
    }
}
