//! Lets keyframe requests of the receiver through to the track they concern.

use rtc::interceptor::{Attribute, Packet, Slot, TaggedPacket};
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;

use super::passage::Look;

/// Whether the receiver asks for a keyframe.
pub(super) fn is_keyframe_request(packet: &dyn rtcp::Packet) -> bool {
    packet.as_any().is::<PictureLossIndication>() || packet.as_any().is::<FullIntraRequest>()
}

/// Marks PLI and FIR for delivery; by default no RTCP reaches the application.
pub(super) struct DeliverKeyframeRequests;

impl DeliverKeyframeRequests {
    /// Its place in the chain: behind everything that reads RTCP, before the stage that ends its way.
    pub(super) fn slot() -> Slot {
        Slot::from(14_000)
    }
}

impl Look for DeliverKeyframeRequests {
    fn inbound(&mut self, packet: &mut TaggedPacket) {
        let wanted = match &packet.message.packet {
            Packet::Rtcp(packets) => packets.iter().any(|p| is_keyframe_request(p.as_ref())),
            _ => false,
        };
        if wanted {
            packet.message.add(Attribute::DeliverToApplication);
        }
    }
}
