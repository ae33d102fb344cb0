//! Tracks: packets from their publishers to all who receive them, and requests for key frames the other way.

use std::time::Instant;

use str0m::bwe::Bitrate;
use str0m::media::{KeyframeRequestKind, Mid};
use str0m::rtp::RtpPacket;

use super::Core;
use crate::sfu::embedded::media::{self, Source, Subscription};
use crate::sfu::embedded::peer::Peer;
use crate::sfu::{EngineEvent, PeerState};

impl Core {
    /// Sends a packet to all who receive its track.
    pub(super) fn forward_packet(&mut self, from: u64, packet: &RtpPacket, now: Instant) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let ssrc = packet.header.ssrc;
        let known = peer.sources.iter().position(|source| source.ssrc == Some(ssrc));
        let Some(index) = known.or_else(|| peer.note_ssrc(ssrc)) else { return };
        let source = &mut peer.sources[index];
        source.heard = Some(now);
        let mid = source.mid;
        if !source.active {
            source.active = true;
            let event = EngineEvent::TrackActive { peer: peer.id.clone(), mid: mid.to_string() };
            let _ = self.events.send(event);
        }
        if peer.ask_for_key_frame(index, now) && !peer.dirty {
            peer.dirty = true;
            self.dirty.push(from);
        }
        if peer.subscriptions.is_empty() {
            return;
        }
        let pt = packet.header.payload_type;
        let Some(spec) =
            peer.rtc.codec_config().params().iter().find(|param| param.pt() == pt).map(|param| param.spec())
        else {
            return;
        };
        // The list is out while others are written to.
        let mut subscriptions = std::mem::take(&mut peer.subscriptions);
        let mut needs_key_frame = false;
        for subscription in subscriptions.iter_mut().filter(|subscription| subscription.source == mid) {
            let Some(receiver) = self.peers.get_mut(&subscription.receiver) else { continue };
            if receiver.state != PeerState::Connected {
                continue;
            }
            let Some(out) = subscription.payload_type(pt, spec, &receiver.rtc) else { continue };
            let written = receiver.guard(|peer| {
                let sink = peer.sinks.iter_mut().find(|sink| sink.mid == subscription.sink)?;
                let written = media::write(&mut peer.rtc, sink, out, packet, spec, now);
                needs_key_frame |= std::mem::take(&mut sink.needs_key_frame) && spec.codec.is_video();
                Some(written)
            });
            if written == Some(Some(true)) && !receiver.dirty {
                receiver.dirty = true;
                self.dirty.push(subscription.receiver);
            }
        }
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.subscriptions = subscriptions;
        }
        if needs_key_frame {
            self.want_key_frame(from, mid, KeyframeRequestKind::Pli, now);
        }
    }

    /// Where what a peer receives in an m-section comes from.
    pub(super) fn source_of(&self, receiver: u64, sink: Mid) -> Option<(u64, Mid)> {
        let feed = self.peers.get(&receiver)?.feeds.iter().find(|feed| feed.sink == sink)?;
        let subscriptions = &self.peers.get(&feed.publisher)?.subscriptions;
        let is_fed = |one: &Subscription| one.receiver == receiver && one.sink == sink && one.source == feed.source;
        subscriptions.iter().any(is_fed).then_some((feed.publisher, feed.source))
    }

    /// Tells a robot what its operator can take, as the operator says it (REMB). Viewers have no say: they would spoil the operator's picture.
    pub(super) fn limit_bitrate(&mut self, receiver: u64, sink: Mid, bitrate: Bitrate) {
        let Some((publisher, mid)) = self.source_of(receiver, sink) else { return };
        if self.robot_of(receiver) != Some(publisher) {
            return;
        }
        let Some(peer) = self.peers.get_mut(&publisher) else { return };
        peer.guard(|peer| {
            if let Some(stream) = peer.rtc.direct_api().stream_rx_by_mid(mid, None) {
                stream.request_remb(bitrate);
            }
        });
        self.touch(publisher);
    }

    pub(super) fn want_key_frame(&mut self, key: u64, mid: Mid, kind: KeyframeRequestKind, now: Instant) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let Some(index) = peer.sources.iter().position(|source| source.mid == mid) else { return };
        peer.sources[index].want_key_frame(kind);
        if peer.ask_for_key_frame(index, now) {
            self.touch(key);
        }
    }
}

impl Peer {
    /// Notes which of its tracks a new stream belongs to.
    fn note_ssrc(&mut self, ssrc: str0m::rtp::Ssrc) -> Option<usize> {
        let mid = self.rtc.direct_api().stream_rx(&ssrc)?.mid();
        let index = self.sources.iter().position(|source| source.mid == mid)?;
        self.sources[index].ssrc = Some(ssrc);
        Some(index)
    }

    pub(super) fn ask_for_key_frame(&mut self, index: usize, now: Instant) -> bool {
        let Self { sources, rtc, .. } = self;
        sources.get_mut(index).is_some_and(|source: &mut Source| source.ask(rtc, now))
    }
}
