//! Keeps retransmissions from filling a network that is full already.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rtc::interceptor::{Attribute, Interceptor, Packet, Slot, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::marshal::MarshalSize;

use super::link::Link;
use crate::clock;

/// Drops retransmissions beyond their part of what the network carries. A client that asks again before an answer can
/// have come would otherwise keep a full queue full, with copies of what it waits for.
pub(super) struct LimitRetransmissions {
    link: Arc<Link>,
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
}

impl LimitRetransmissions {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link, inbound: VecDeque::new(), outbound: VecDeque::new() }
    }

    /// Its place in the chain: between what makes retransmissions and what numbers packets.
    pub(super) fn slot() -> Slot {
        Slot::from(3_500)
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for LimitRetransmissions {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.inbound.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inbound.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        let again = match &packet.message.packet {
            Packet::Rtp(rtp) if packet.message.has(&Attribute::Retransmission) => Some(rtp.marshal_size()),
            _ => None,
        };
        if again.is_none_or(|bytes| self.link.may_resend(clock::now(), bytes)) {
            self.outbound.push_back(packet);
        }
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outbound.pop_front()
    }
}

impl Interceptor for LimitRetransmissions {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
