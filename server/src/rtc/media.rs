//! What our video connections offer: H.264 with retransmission, feedback and header extensions.

use rtc::interceptor::Registry;
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

/// RTP clock of video, in Hz.
pub(super) const CLOCK_RATE: u32 = 90_000;

/// When the picture was taken, so that a receiver can tell its age.
pub(super) const ABS_CAPTURE_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

/// How long the receiver may hold a picture back.
pub(super) const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

const H264_PAYLOAD: PayloadType = 102;
const RTX_PAYLOAD: PayloadType = 103;

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

/// Codecs and packet handling of a connection that sends video.
pub(super) fn video() -> Result<(MediaEngine, Registry), RtcError> {
    let mut engine = MediaEngine::default();
    for (codec, payload_type) in
        [(h264(), H264_PAYLOAD), (codec(MIME_TYPE_RTX, format!("apt={H264_PAYLOAD}")), RTX_PAYLOAD)]
    {
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
    Ok((engine, registry.with(DeliverKeyframeRequests::slot(), DeliverKeyframeRequests::default())))
}
