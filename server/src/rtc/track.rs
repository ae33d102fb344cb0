//! One camera on its way to one client.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp;
use rtc::rtp::codec::h264::H264Payloader;
use rtc::rtp::packetizer::Payloader;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpParameters, RTCRtpRtxParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{PayloadType, RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::watch;
use tokio::time::sleep;
use waldo_protocol::time::MonoTime;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_local::{TrackLocal, TrackLocalEvent};
use webrtc::peer_connection::{PeerConnection, RTCPeerConnectionState};
use webrtc::rtp_transceiver::RtpSender;

use super::RtcError;
use super::keyframe_requests::is_keyframe_request;
use super::link::Link;
use super::media::{ABS_CAPTURE_TIME, CLOCK_RATE, PLAYOUT_DELAY, offered};
use crate::clock;
use crate::video::{Codec, EncodedFrame, Feed, Subscription, WeakFeed};

/// Room for one packet's payload in bytes: 1200 less RTP header, header extensions, encryption and retransmission.
const MAX_PAYLOAD: usize = 1120;

/// What comes on top of the payload, in bytes: RTP header with extensions, encryption, UDP and IP.
const OVERHEAD: usize = 80;

/// Minimum 0, maximum 100 ms, in units of 10 ms and 12 bits each. A minimum of zero makes Chromium show each picture as
/// soon as it can decode it, instead of smoothing over network jitter: what the operator sees is fresh rather than
/// even. Lost packets still have time to be sent again, since an incomplete picture is waited for in any case.
const PLAYOUT_DELAY_VALUE: [u8; 3] = [0, 0, 10];

/// Between two pictures of one track: one tick of their clock, rounded up.
const LEAST_GAP: Duration = Duration::from_nanos(11_112);

/// Seconds between the NTP and Unix epochs.
const NTP_EPOCH: u64 = 2_208_988_800;

/// The sending side of one camera in one connection.
pub(super) struct Track {
    local: Arc<TrackLocalStaticRTP>,
    sender: Arc<dyn RtpSender>,
    ssrc: u32,
    number: usize,
    link: Arc<Link>,
    codec: Arc<OnceLock<Codec>>,
}

/// Chooses the codec of a track, once its client has answered.
pub(super) struct CodecChoice {
    sender: Arc<dyn RtpSender>,
    encodings: Vec<(Codec, MediaStreamTrack)>,
    chosen: Arc<OnceLock<Codec>>,
}

impl CodecChoice {
    /// To be called before the answer is applied: the connection asks the track for its codec then.
    pub(super) async fn choose(&self, codec: Codec) -> Result<(), RtcError> {
        let at = self.encodings.iter().position(|(own, _)| *own == codec);
        let at = at.ok_or_else(|| RtcError(format!("{codec:?} was not offered")))?;
        // The first one is in place.
        if at > 0 {
            let track = TrackLocalStaticRTP::new(self.encodings[at].1.clone());
            self.sender.replace_track(Arc::new(track)).await?;
        }
        // An answer that is refused may be followed by another one, which cannot choose otherwise: it has the same offer
        // and the same client.
        let _ = self.chosen.set(codec);
        Ok(())
    }
}

impl Track {
    /// Adds a sendonly track to a connection that has not offered yet; the track with this number of the link.
    pub(super) async fn add(
        peer: &dyn PeerConnection,
        number: usize,
        codecs: &[Codec],
        link: Arc<Link>,
    ) -> Result<(Self, CodecChoice), RtcError> {
        let [ssrc, rtx] = random()?;
        let encoding = |&codec: &Codec| RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                rtx: Some(RTCRtpRtxParameters { ssrc: rtx }),
                ..RTCRtpCodingParameters::default()
            },
            codec: offered(codec),
            ..RTCRtpEncodingParameters::default()
        };
        // Camera names may hold characters that session descriptions cannot; clients go by the mid.
        let track = |codec: &Codec| {
            let name = || format!("camera-{number}");
            MediaStreamTrack::new("cameras".into(), name(), name(), RtpCodecKind::Video, vec![encoding(codec)])
        };
        let encodings: Vec<_> = codecs.iter().map(|codec| (*codec, track(codec))).collect();
        let first = encodings.first().map(|(_, track)| track.clone());
        let local = Arc::new(TrackLocalStaticRTP::new(first.ok_or_else(|| RtcError("no codec".into()))?));
        let sendonly = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Sendonly,
            streams: Vec::new(),
            // All are offered, one of them is sent.
            send_encodings: codecs.iter().map(encoding).collect(),
        };
        let transceiver = peer.add_transceiver_from_track(Arc::clone(&local) as _, Some(sendonly)).await?;
        let sender = transceiver.sender().await?.ok_or_else(|| RtcError("a track without a sender".into()))?;
        let codec = Arc::new(OnceLock::new());
        let choice = CodecChoice { sender: Arc::clone(&sender), encodings, chosen: Arc::clone(&codec) };
        Ok((Self { local, sender, ssrc, number, link, codec }, choice))
    }

    /// Sends the camera for as long as the feed and the connection last.
    ///
    /// The feed is subscribed to as soon as there is an answer, so that camera and encoder are awake, and a keyframe
    /// waits, when the connection stands.
    pub(super) async fn run(
        self,
        feed: WeakFeed,
        mut state: watch::Receiver<RTCPeerConnectionState>,
    ) -> Result<(), RtcError> {
        use RTCPeerConnectionState::{Connected, Connecting};
        state.wait_for(|state| matches!(state, Connecting | Connected)).await.map_err(gone)?;
        let codec = self.codec.get().copied().unwrap_or(Codec::H264);
        let Some(mut frames) = feed.upgrade().map(|feed| feed.subscribe_in(codec)) else {
            return Ok(());
        };
        state.wait_for(|state| *state == Connected).await.map_err(gone)?;
        let mut packets = Packets::new(self.ssrc, codec, &self.sender.get_parameters().await?.rtp_parameters)?;
        while let Some(frame) = self.next(&mut frames).await {
            self.send(&mut packets, &mut frames, &frame).await?;
        }
        Ok(())
    }

    /// Sends whichever feed is chosen at the moment, from when it is armed for as long as the connection lasts. Nothing that
    /// was encoded before is sent, and each feed begins with a keyframe.
    pub(super) async fn run_chosen(
        self,
        mut feeds: watch::Receiver<Option<Feed>>,
        mut armed: watch::Receiver<bool>,
        mut state: watch::Receiver<RTCPeerConnectionState>,
    ) -> Result<(), RtcError> {
        state.wait_for(|state| *state == RTCPeerConnectionState::Connected).await.map_err(gone)?;
        armed.wait_for(|armed| *armed).await.map_err(gone)?;
        let codec = self.codec.get().copied().unwrap_or(Codec::H264);
        let mut packets = Packets::new(self.ssrc, codec, &self.sender.get_parameters().await?.rtp_parameters)?;
        loop {
            let chosen = feeds.borrow_and_update().as_ref().map(|feed| feed.subscribe_in(codec));
            if let Some(mut frames) = chosen {
                loop {
                    let frame = tokio::select! {
                        biased;
                        changed = feeds.changed() => {
                            changed.map_err(gone)?;
                            // The one after the loop would wait for the next change.
                            feeds.mark_changed();
                            break;
                        }
                        frame = self.next(&mut frames) => frame,
                    };
                    let Some(frame) = frame else { break };
                    self.send(&mut packets, &mut frames, &frame).await?;
                }
            }
            feeds.changed().await.map_err(gone)?;
        }
    }

    /// Sends one frame, unless the client's network is behind.
    async fn send(
        &self,
        packets: &mut Packets,
        frames: &mut Subscription,
        frame: &EncodedFrame,
    ) -> Result<(), RtcError> {
        if let Some(rest) = self.link.rest(clock::now()) {
            tracing::debug!(number = self.number, ?rest, "a client's network is behind; it skips pictures");
            frames.skip();
            sleep(rest).await;
            return Ok(());
        }
        for packet in packets.of(frame)? {
            let now = clock::now();
            let leave = self.link.reserve(now, packet.payload.len() + OVERHEAD);
            if leave > now {
                sleep(leave.since(now)).await;
            }
            self.local.write_rtp(packet).await?;
        }
        frames.set_share(self.link.share(self.number, frames.wanted_bitrate()), self.link.drives());
        Ok(())
    }

    /// The next frame; meanwhile passes on the receiver's requests for keyframes.
    async fn next(&self, frames: &mut Subscription) -> Option<EncodedFrame> {
        loop {
            let event = tokio::select! {
                biased;
                event = self.local.poll() => event?,
                frame = frames.next() => return frame,
            };
            if let TrackLocalEvent::OnRtcpPacket(packets) = event
                && packets.iter().any(|packet| is_keyframe_request(packet.as_ref()))
            {
                frames.request_keyframe();
            }
        }
    }
}

/// Cuts frames into RTP packets.
struct Packets {
    payloader: Box<dyn Payloader>,
    payload_type: PayloadType,
    ssrc: u32,
    sequence: u16,
    timestamp_offset: u32,
    /// When the newest picture has its place, which none after it may have before.
    newest: MonoTime,
    abs_capture_time: Option<u8>,
    playout_delay: Option<u8>,
}

impl Packets {
    /// Packets as negotiated.
    fn new(ssrc: u32, codec: Codec, negotiated: &RTCRtpParameters) -> Result<Self, RtcError> {
        let wanted = offered(codec).mime_type;
        let codecs = &mut negotiated.codecs.iter();
        let found = codecs.find(|codec| codec.rtp_codec.mime_type.eq_ignore_ascii_case(&wanted));
        let payload_type = found.ok_or_else(|| RtcError(format!("the client does not take {codec:?}")))?.payload_type;
        let payloader: Box<dyn Payloader> = match codec {
            Codec::H264 => Box::new(H264Payloader::default()),
            #[cfg(feature = "vp8")]
            Codec::Vp8 => Box::new(rtp::codec::vp8::Vp8Payloader::default()),
        };
        let extension = |uri: &str| {
            let extension = negotiated.header_extensions.iter().find(|extension| extension.uri == uri)?;
            u8::try_from(extension.id).ok()
        };
        let [sequence, timestamp_offset] = random()?;
        Ok(Self {
            payloader,
            payload_type,
            ssrc,
            // Half the range, as is the custom: a first wrap-around is then not near.
            sequence: (sequence & 0x7fff) as u16,
            timestamp_offset,
            newest: MonoTime::from_nanos(0),
            abs_capture_time: extension(ABS_CAPTURE_TIME),
            playout_delay: extension(PLAYOUT_DELAY),
        })
    }

    /// The packets of one frame.
    fn of(&mut self, frame: &EncodedFrame) -> Result<Vec<rtp::Packet>, RtcError> {
        let payloads = self.payloader.payload(MAX_PAYLOAD, &frame.data)?;
        let last = payloads.len().saturating_sub(1);
        // Another feed may have been chosen, whose newest picture is a little older.
        self.newest = frame.media_time.max(self.newest + LEAST_GAP);
        let timestamp = rtp_time(self.newest).wrapping_add(self.timestamp_offset);
        let captured = Bytes::copy_from_slice(&ntp_time(frame.captured).to_be_bytes());
        let mut packets = Vec::with_capacity(payloads.len());
        for (number, payload) in payloads.into_iter().enumerate() {
            let mut header = rtp::Header {
                version: 2,
                marker: number == last,
                payload_type: self.payload_type,
                sequence_number: self.sequence,
                timestamp,
                ssrc: self.ssrc,
                ..rtp::Header::default()
            };
            self.sequence = self.sequence.wrapping_add(1);
            if let Some(id) = self.playout_delay {
                header.set_extension(id, Bytes::from_static(&PLAYOUT_DELAY_VALUE))?;
            }
            if let Some(id) = self.abs_capture_time {
                header.set_extension(id, captured.clone())?;
            }
            packets.push(rtp::Packet { header, payload });
        }
        Ok(packets)
    }
}

/// A time on the 90 kHz clock of RTP, which wraps around every 13 hours.
fn rtp_time(time: MonoTime) -> u32 {
    let ticks = u128::from(time.as_nanos()) * u128::from(CLOCK_RATE) / 1_000_000_000;
    #[expect(clippy::cast_possible_truncation, reason = "the RTP clock wraps around")]
    let wrapped = ticks as u32;
    wrapped
}

/// A time in NTP format: seconds in the upper, fractions in the lower 32 bits.
fn ntp_time(time: MonoTime) -> u64 {
    let unix = clock::unix_time(time);
    let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
    (unix.as_secs().wrapping_add(NTP_EPOCH) << 32) | fraction
}

fn gone(_: watch::error::RecvError) -> RtcError {
    RtcError("the connection ended".into())
}

fn random() -> Result<[u32; 2], RtcError> {
    let number = || getrandom::u32().map_err(|error| RtcError(format!("no random numbers: {error}")));
    Ok([number()?, number()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: MonoTime = MonoTime::from_nanos(5_000_000_000);

    fn packets(abs_capture_time: Option<u8>) -> Packets {
        Packets {
            payloader: Box::new(H264Payloader::default()),
            payload_type: 102,
            ssrc: 7,
            sequence: u16::MAX,
            timestamp_offset: u32::MAX - 1_000,
            newest: MonoTime::from_nanos(0),
            abs_capture_time,
            playout_delay: Some(5),
        }
    }

    /// A picture of `size` bytes, taken and placed this many milliseconds after the start.
    fn frame(size: usize, captured: u64, placed: u64) -> EncodedFrame {
        let at = |ms: u64| MonoTime::from_nanos(START.as_nanos() + ms * 1_000_000);
        let data = [&[0, 0, 0, 1, 0x65][..], &vec![0xaa; size]].concat().into();
        EncodedFrame { data, keyframe: true, captured: at(captured), media_time: at(placed) }
    }

    #[test]
    fn timestamps_are_capture_times_on_a_clock_of_ninety_kilohertz_that_wraps_around() {
        let mut packets = packets(None);
        let mut stamp = |captured, placed| {
            let sent = packets.of(&frame(3_000, captured, placed)).unwrap();
            assert!(sent.len() > 1 && sent.iter().all(|p| p.header.timestamp == sent[0].header.timestamp));
            let marked: Vec<_> = sent.iter().map(|p| p.header.marker).collect();
            assert_eq!(marked.iter().position(|marker| *marker), Some(sent.len() - 1), "the last of a picture");
            sent[0].header.timestamp
        };
        let first = stamp(0, 0);
        // Uneven, as cameras are; and a repeated picture has its place in the video, not that of its capture.
        assert_eq!(
            [stamp(33, 33), stamp(71, 71), stamp(71, 571)].map(|t| t.wrapping_sub(first)),
            [2_970, 6_390, 51_390]
        );
        assert_eq!(first, rtp_time(START).wrapping_sub(1_001));
    }

    #[test]
    fn sequence_numbers_go_on_from_picture_to_picture_and_wrap_around() {
        let mut packets = packets(None);
        let mut numbers = Vec::new();
        for n in 0..2 {
            numbers.extend(packets.of(&frame(3_000, n, n)).unwrap().iter().map(|p| p.header.sequence_number));
        }
        let expected: Vec<_> = (0..numbers.len()).map(|n| u16::MAX.wrapping_add(u16::try_from(n).unwrap())).collect();
        assert_eq!(numbers, expected);
    }

    #[test]
    fn each_packet_says_when_its_picture_was_taken_if_that_was_negotiated() {
        let repeated = frame(3_000, 0, 500);
        for packet in packets(Some(3)).of(&repeated).unwrap() {
            let said = packet.header.get_extension(3).unwrap();
            let ntp = u64::from_be_bytes(said[..].try_into().unwrap());
            // Seconds since 1900, in units of 2⁻³².
            let said = ntp as f64 / 4_294_967_296.0 - 2_208_988_800.0;
            let taken = clock::unix_time(START).as_secs_f64();
            // Both offsets between the clocks were read at different times, on a machine whose clock may be adjusted.
            assert!((said - taken).abs() < 0.1, "{said} {taken}");
        }
        for packet in packets(None).of(&repeated).unwrap() {
            assert_eq!(packet.header.get_extension(3), None);
            assert_eq!(packet.header.get_extension(5).as_deref(), Some(&PLAYOUT_DELAY_VALUE[..]));
        }
    }
}
