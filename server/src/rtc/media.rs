//! What our video connections offer: H.264 with retransmission, feedback and header extensions.

use std::ops::RangeInclusive;
use std::sync::Arc;

use rtc::interceptor::{CongestionControlBuilder, Registry, Slot};
use rtc::peer_connection::configuration::interceptor_registry::{
    configure_nack, configure_rtcp_reports, configure_twcc_sender_only,
};
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_RTX, MediaEngine};
use rtc::rtp_transceiver::PayloadType;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind, TYPE_RTCP_FB_CCM,
};

use super::RtcError;
use super::keyframe_requests::DeliverKeyframeRequests;
use super::link::Link;
use super::resend::LimitRetransmissions;

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
fn payload_types(offer: u8) -> [PayloadType; 2] {
    let pairs = (DYNAMIC_PAYLOADS.end() - DYNAMIC_PAYLOADS.start()).div_ceil(2);
    let first_pair = (FIRST_PAYLOAD - DYNAMIC_PAYLOADS.start()) / 2;
    let media = DYNAMIC_PAYLOADS.start() + (first_pair + offer % pairs) % pairs * 2;
    [media, media + 1]
}

/// Constrained baseline, level 3.1, non-interleaved: every WebRTC browser has it, most decode it in hardware.
pub(super) fn h264() -> RTCRtpCodec {
    codec(MIME_TYPE_H264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f".into())
}

fn codec(mime_type: &str, fmtp: String) -> RTCRtpCodec {
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
    let [media, rtx] = payload_types(offer);
    for (codec, payload_type) in [(h264(), media), (codec(MIME_TYPE_RTX, format!("apt={media}")), rtx)] {
        let parameters = RTCRtpCodecParameters { rtp_codec: codec, payload_type };
        engine.register_codec(parameters, RtpCodecKind::Video)?;
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
    let registry = registry.with(LimitRetransmissions::slot(), LimitRetransmissions::new(Arc::clone(link)));
    Ok((engine, registry.with(DeliverKeyframeRequests::slot(), DeliverKeyframeRequests::default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successive_offers_have_payload_types_of_their_own() {
        assert_eq!(payload_types(0), [102, 103]);
        assert_eq!(payload_types(12), [126, 127]);
        assert_eq!(payload_types(13), [96, 97]);
        for offer in 0..=u8::MAX {
            let types = payload_types(offer);
            assert!(types.iter().all(|payload| DYNAMIC_PAYLOADS.contains(payload)), "{types:?}");
            assert!((1..16).all(|later| payload_types(offer.wrapping_add(later)) != types), "offer {offer}");
        }
    }
}
