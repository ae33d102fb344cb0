//! A place in a connection's chain where packets are looked at on their way.

use std::collections::VecDeque;
use std::time::Instant;

use rtc::interceptor::{Interceptor, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// Looks at packets. All go on as they are, unless it says otherwise.
pub(super) trait Look: Send + Sync + 'static {
    /// A packet from the client.
    fn inbound(&mut self, _: &mut TaggedPacket) {}

    /// Whether a packet to the client may go on.
    fn lets_out(&mut self, _: &TaggedPacket) -> bool {
        true
    }
}

/// Where it looks. The chain empties both queues before it goes on.
pub(super) struct Passage<L> {
    look: L,
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
}

impl<L> Passage<L> {
    pub(super) fn new(look: L) -> Self {
        Self { look, inbound: VecDeque::new(), outbound: VecDeque::new() }
    }
}

impl<L: Look> Protocol<TaggedPacket, TaggedPacket, ()> for Passage<L> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        self.look.inbound(&mut packet);
        self.inbound.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inbound.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if self.look.lets_out(&packet) {
            self.outbound.push_back(packet);
        }
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outbound.pop_front()
    }
}

impl<L: Look> Interceptor for Passage<L> {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
