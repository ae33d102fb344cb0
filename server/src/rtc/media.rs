//! What our video connections offer: H.264, and VP8 if built in, with retransmission, feedback and header extensions.

use std::ops::RangeInclusive;
use std::sync::Arc;

use rtc::interceptor::{CongestionControlBuilder, Registry, Slot};
use rtc::peer_connection::configuration::interceptor_registry::{
    configure_nack, configure_rtcp_reports, configure_twcc_sender_only,
};
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_RTX, MediaEngine};
use rtc::rtp_transceiver::PayloadType;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind, TYPE_RTCP_FB_CCM,
};

use super::RtcError;
use super::keyframe_requests::DeliverKeyframeRequests;
use super::link::Link;
use super::passage::Passage;
use super::resend::LimitRetransmissions;
use crate::video::Codec;

/// Opus in offers, as everywhere.
const OPUS_PAYLOAD: PayloadType = 111;

/// RTP clock of video, in Hz.
pub(super) const CLOCK_RATE: u32 = 90_000;

/// When the picture was taken, so that a receiver can tell its age.
pub(super) const ABS_CAPTURE_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

/// How long the receiver may hold a picture back.
pub(super) const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// Payload types that RTP leaves to negotiation.
const DYNAMIC_PAYLOADS: RangeInclusive<PayloadType> = 96..=127;

/// H.264 of a client's first offer; retransmission has the type after it.
const FIRST_PAYLOAD: PayloadType = 102;

/// The payload types of a client's offer with this number. Successive offers have different ones, because nothing else in
/// an answer tells to which of them it belongs: an answer that was under way while its offer was replaced names payload
/// types that the new offer does not have.
fn payload_types(offer: u8, codec: Codec) -> [PayloadType; 2] {
    let pairs = (DYNAMIC_PAYLOADS.end() - DYNAMIC_PAYLOADS.start()).div_ceil(2);
    let first_pair = (FIRST_PAYLOAD - DYNAMIC_PAYLOADS.start()) / 2;
    // The pairs of codecs lie far apart: an offer that has those of an earlier one has them for another codec.
    let shift = match codec {
        Codec::H264 => 0,
        #[cfg(feature = "vp8")]
        Codec::Vp8 => pairs / 2,
    };
    let media = DYNAMIC_PAYLOADS.start() + (first_pair + offer % pairs + shift) % pairs * 2;
    [media, media + 1]
}

/// What session descriptions call it.
pub(super) fn name_of(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "H264",
        #[cfg(feature = "vp8")]
        Codec::Vp8 => "VP8",
    }
}

/// How a codec is offered. H.264: constrained baseline, level 3.1, non-interleaved: every WebRTC browser has it, most
/// decode it in hardware.
pub(super) fn offered(codec: Codec) -> RTCRtpCodec {
    match codec {
        Codec::H264 => {
            rtp_codec(MIME_TYPE_H264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f".into())
        }
        #[cfg(feature = "vp8")]
        Codec::Vp8 => rtp_codec(rtc::peer_connection::configuration::media_engine::MIME_TYPE_VP8, String::new()),
    }
}

fn rtp_codec(mime_type: &str, fmtp: String) -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: mime_type.into(),
        clock_rate: CLOCK_RATE,
        channels: 0,
        sdp_fmtp_line: fmtp,
        rtcp_feedback: Vec::new(),
    }
}

/// Codecs and packet handling of a connection that sends video; `offer` counts the offers of its
/// client, `link` is its network.
pub(super) fn video(offer: u8, link: &Arc<Link>) -> Result<(MediaEngine, Registry), RtcError> {
    let mut engine = MediaEngine::default();
    for &codec in Codec::ALL {
        let [media, rtx] = payload_types(offer, codec);
        let retransmission = rtp_codec(MIME_TYPE_RTX, format!("apt={media}"));
        for (rtp_codec, payload_type) in [(offered(codec), media), (retransmission, rtx)] {
            engine.register_codec(RTCRtpCodecParameters { rtp_codec, payload_type }, RtpCodecKind::Video)?;
        }
    }
    let fir = RTCPFeedback { typ: TYPE_RTCP_FB_CCM.into(), parameter: "fir".into() };
    engine.register_feedback(fir, RtpCodecKind::Video);
    for uri in [ABS_CAPTURE_TIME, PLAYOUT_DELAY] {
        let extension = RTCRtpHeaderExtensionCapability { uri: uri.into() };
        engine.register_header_extension(extension, RtpCodecKind::Video, None)?;
    }
    let registry = configure_nack(Registry::new(), &mut engine);
    let registry = configure_rtcp_reports(registry);
    let registry = configure_twcc_sender_only(registry, &mut engine)?;
    let registry = registry.with(Slot::CongestionControl, CongestionControlBuilder::new(link.judge()).build());
    let again = Passage::new(LimitRetransmissions::new(Arc::clone(link)));
    let registry = registry.with(LimitRetransmissions::slot(), again);
    let registry = registry.with(DeliverKeyframeRequests::slot(), Passage::new(DeliverKeyframeRequests));
    Ok((engine, registry))
}

/// The same for a robot's one connection to an SFU, which also takes the operator's voice.
pub(super) fn robot(link: &Arc<Link>) -> Result<(MediaEngine, Registry), RtcError> {
    let (mut engine, registry) = video(0, link)?;
    let rtp_codec = RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.into(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".into(),
        rtcp_feedback: Vec::new(),
    };
    engine.register_codec(RTCRtpCodecParameters { rtp_codec, payload_type: OPUS_PAYLOAD }, RtpCodecKind::Audio)?;
    Ok((engine, registry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successive_offers_have_payload_types_of_their_own() {
        assert_eq!(payload_types(0, Codec::H264), [102, 103]);
        assert_eq!(payload_types(12, Codec::H264), [126, 127]);
        assert_eq!(payload_types(13, Codec::H264), [96, 97]);
        for offer in 0..=u8::MAX {
            for &codec in Codec::ALL {
                let types = payload_types(offer, codec);
                assert!(types.iter().all(|payload| DYNAMIC_PAYLOADS.contains(payload)), "{types:?}");
                let later = |by| payload_types(offer.wrapping_add(by), codec);
                assert!((1..16).all(|by| later(by) != types), "offer {offer}");
                assert!(Codec::ALL.iter().all(|&other| other == codec || payload_types(offer, other) != types));
            }
        }
    }
}
