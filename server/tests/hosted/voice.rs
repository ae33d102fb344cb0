//! The operator's voice comes with an offer of the SFU.

use std::time::Duration;

use bytes::Bytes;
use rtc::rtp;
use serde_json::json;
use tokio::time::{sleep, timeout};
use waldo_server::config::HostedKind;
use waldo_server::hosted::{CHANNELS, SAMPLE_RATE};
use webrtc::media_stream::track_local::TrackLocal;

use crate::broker::ids;
use crate::sfu::VOICE;
use crate::stage::{LIMIT, Stage, until};

/// A tone of 440 Hz, encoded by libopus.
const MUSIC: &[u8] = include_bytes!("../../src/hosted/voice/music.opus");

fn packets() -> Vec<Bytes> {
    let (mut rest, mut packets) = (MUSIC, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk() {
        let (packet, after) = after.split_at(u16::from_be_bytes(*length).into());
        packets.push(Bytes::from_static(packet));
        rest = after;
    }
    packets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_that_is_offered_later_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played");
    let command = format!("cat > {}", file.display());
    let stage = Stage::with(HostedKind::Twist, |settings| settings.speaker = Some(command)).await;
    let operator = stage.operator().await;
    let mut sound = stage.waldo.hosted().unwrap().hearing().sound();
    let (offer, voice) = stage.sfu.offer_voice().await;
    let mut reply = ids([0, 1, 2, 3].map(|n| Some(16 + n)));
    reply["renegotiate_offer"] = json!(offer);
    stage.broker.answer_beats(axum::http::StatusCode::OK, reply);
    let answered = || stage.broker.calls().into_iter().find(|call| call.path.ends_with("/renegotiate-robot"));
    until("an answer", || answered().is_some()).await;
    stage.sfu.take_answer(answered().unwrap().body["sdp_answer"].as_str().unwrap().to_owned()).await;
    let packets = packets();
    let speaking = tokio::spawn(async move {
        for number in 0_u16.. {
            let header = rtp::Header {
                version: 2,
                payload_type: 111,
                sequence_number: number,
                timestamp: u32::from(number) * 960,
                ssrc: VOICE,
                ..rtp::Header::default()
            };
            let payload = packets[usize::from(number) % packets.len()].clone();
            let _ = voice.write_rtp(rtp::Packet { header, payload }).await;
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut heard = 0;
    while heard < SAMPLE_RATE as usize / 2 * CHANNELS {
        let samples = timeout(LIMIT, sound.recv()).await.expect("a sound").unwrap_or_default();
        heard += samples.iter().filter(|sample| sample.unsigned_abs() > 1000).count();
    }
    speaking.abort();
    // What goes on besides is as it was.
    operator.meets().await;
    assert_eq!(stage.broker.count(|call| call.path.ends_with("/renegotiate-robot")), 1, "said again, answered once");
    until("samples for the player", || std::fs::metadata(&file).is_ok_and(|file| file.len() > 10_000)).await;
    stage.waldo.stop().await;
}
