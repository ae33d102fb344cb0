//! Keeps retransmissions from filling a network that is full already.

use std::sync::Arc;

use rtc::interceptor::{Attribute, Packet, Slot, TaggedPacket};
use rtc::shared::marshal::MarshalSize;

use super::link::Link;
use super::passage::Look;
use crate::clock;

/// Drops retransmissions beyond their part of what the network carries. A client that asks again before an answer can
/// have come would otherwise keep a full queue full, with copies of what it waits for.
pub(super) struct LimitRetransmissions {
    link: Arc<Link>,
}

impl LimitRetransmissions {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// Its place in the chain: between what makes retransmissions and what numbers packets.
    pub(super) fn slot() -> Slot {
        Slot::from(3_500)
    }
}

impl Look for LimitRetransmissions {
    fn lets_out(&mut self, packet: &TaggedPacket) -> bool {
        let again = match &packet.message.packet {
            Packet::Rtp(rtp) if packet.message.has(&Attribute::Retransmission) => Some(rtp.marshal_size()),
            _ => None,
        };
        again.is_none_or(|bytes| self.link.may_resend(clock::now(), bytes))
    }
}
