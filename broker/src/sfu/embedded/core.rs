//! All peers of the engine and what flows between them, without sockets and clock: datagrams and commands go in, datagrams and events come out.

mod bridges;
mod commands;
mod presence;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::channel::ChannelId;
use str0m::ice::StunMessage;
use str0m::media::{KeyframeRequestKind, Mid};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::RtpPacket;
use str0m::{Event, Input, Output};
use tokio::sync::broadcast;
use waldo_protocol::hosted::ChannelLabel;

use self::bridges::Bridged;
use self::commands::Waiting;
use super::channels::Message;
use super::media::{self, Source};
use super::peer::Peer;
use crate::sfu::{EngineEvent, PeerId, PeerState};

pub(super) use self::commands::{Command, OpenBridge};

/// How often presence, silence and what waits are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Addresses from which one peer may be heard; the oldest makes room.
const ADDRESSES: usize = 16;

pub(super) struct Core {
    peers: HashMap<u64, Peer>,
    names: HashMap<PeerId, u64>,
    fragments: HashMap<String, u64>,
    addresses: HashMap<(Protocol, SocketAddr), u64>,
    timers: BTreeSet<(Instant, u64)>,
    bridges: HashMap<u64, Bridged>,
    viewers: HashMap<u64, Vec<u64>>,
    waiting: Vec<Waiting>,
    work: VecDeque<Work>,
    dirty: Vec<u64>,
    transmits: Vec<Transmit>,
    events: broadcast::Sender<EngineEvent>,
    next_key: u64,
    last_tick: Instant,
    most_peers: usize,
}

/// What one peer's packet leads to.
enum Work {
    Data { from: u64, channel: ChannelId, message: Message },
    Rtp { from: u64, packet: RtpPacket },
    KeyFrame { receiver: u64, sink: Mid, kind: KeyframeRequestKind },
    Connected(u64),
    Closed(u64),
}

impl Core {
    pub(super) fn new(events: broadcast::Sender<EngineEvent>, most_peers: usize, now: Instant) -> Self {
        Self {
            peers: HashMap::new(),
            names: HashMap::new(),
            fragments: HashMap::new(),
            addresses: HashMap::new(),
            timers: BTreeSet::new(),
            bridges: HashMap::new(),
            viewers: HashMap::new(),
            waiting: Vec::new(),
            work: VecDeque::new(),
            dirty: Vec::new(),
            transmits: Vec::new(),
            events,
            next_key: 0,
            last_tick: now,
            most_peers,
        }
    }

    /// A datagram that came from `source` to one of our addresses. What it is not is left out without a word: anybody can send anything.
    pub(super) fn receive(
        &mut self,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) {
        let Ok(received) = Receive::new(protocol, source, destination, datagram) else { return };
        let input = Input::Receive(now, received);
        let Some(key) = self.whose(protocol, source, datagram, &input) else { return };
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.heard = now;
        if let Some(Err(error)) = peer.guard(|peer| peer.rtc.handle_input(input)) {
            tracing::debug!(peer = %peer.id, %error, "a datagram is left out");
        }
        self.drain(key);
        self.settle(now);
    }

    /// The peer that a datagram belongs to: checks name it, everything else comes from an address that a check came from.
    fn whose(&mut self, protocol: Protocol, source: SocketAddr, datagram: &[u8], input: &Input<'_>) -> Option<u64> {
        let known = self.addresses.get(&(protocol, source)).copied();
        let is_check = datagram.first().is_some_and(|first| *first < 2);
        if !is_check {
            return known;
        }
        let message = StunMessage::parse(datagram).ok()?;
        let Some((fragment, _)) = message.split_username() else { return known };
        let key = self.fragments.get(fragment).copied()?;
        if known == Some(key) {
            return known;
        }
        let peer = self.peers.get_mut(&key)?;
        if !peer.guard(|peer| peer.rtc.accepts(input))? {
            return None;
        }
        if let Some(other) = known.and_then(|other| self.peers.get_mut(&other)) {
            other.addresses.retain(|address| *address != (protocol, source));
        }
        let peer = self.peers.get_mut(&key)?;
        peer.addresses.push((protocol, source));
        if peer.addresses.len() > ADDRESSES {
            let oldest = peer.addresses.remove(0);
            self.addresses.remove(&oldest);
        }
        self.addresses.insert((protocol, source), key);
        Some(key)
    }

    /// When [`Core::advance`] is to be called at the latest.
    pub(super) fn deadline(&self) -> Instant {
        let tick = self.last_tick + TICK;
        self.timers.first().map_or(tick, |(at, _)| tick.min(*at))
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(&(at, key)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            self.time_out(key, now);
        }
        if now.saturating_duration_since(self.last_tick) >= TICK {
            self.tick(now);
        }
        self.settle(now);
    }

    /// What is to be sent.
    pub(super) fn transmits(&mut self) -> std::vec::Drain<'_, Transmit> {
        self.transmits.drain(..)
    }

    fn time_out(&mut self, key: u64, now: Instant) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.deadline = None;
        if let Some(Err(error)) = peer.guard(|peer| peer.rtc.handle_input(Input::Timeout(now))) {
            tracing::debug!(peer = %peer.id, %error, "a timer failed");
        }
        self.drain(key);
    }

    /// Takes everything out of a peer that it has for others or for the network.
    fn drain(&mut self, key: u64) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let (work, transmits) = (&mut self.work, &mut self.transmits);
        let polled = peer.guard(|peer| {
            loop {
                match peer.rtc.poll_output()? {
                    Output::Timeout(at) => return Ok(at),
                    Output::Transmit(transmit) => transmits.push(transmit),
                    Output::Event(event) => {
                        if let Some(event) = Work::from(key, event, peer) {
                            work.push_back(event);
                        }
                    }
                }
            }
        });
        let deadline = match polled {
            Some(Ok(at)) if peer.rtc.is_alive() => Some(at),
            Some(Err::<_, str0m::RtcError>(error)) => {
                tracing::debug!(peer = %peer.id, %error, "the connection failed");
                None
            }
            _ => None,
        };
        if deadline.is_none() {
            work.push_back(Work::Closed(key));
        }
        if peer.deadline != deadline {
            if let Some(at) = peer.deadline {
                self.timers.remove(&(at, key));
            }
            if let Some(at) = deadline {
                self.timers.insert((at, key));
            }
            peer.deadline = deadline;
        }
    }

    /// Does what packets led to, until nothing is left to do.
    fn settle(&mut self, now: Instant) {
        loop {
            while let Some(work) = self.work.pop_front() {
                self.work_on(work, now);
            }
            let Some(key) = self.dirty.pop() else { break };
            let Some(peer) = self.peers.get_mut(&key) else { continue };
            peer.dirty = false;
            self.time_out(key, now);
            self.flush(key, now);
        }
    }

    fn work_on(&mut self, work: Work, now: Instant) {
        match work {
            Work::Data { from, channel, message } => self.forward_message(from, channel, message, now),
            Work::Rtp { from, packet } => self.forward_packet(from, &packet, now),
            Work::KeyFrame { receiver, sink, kind } => {
                let Some((source, mid)) = self.source_of(receiver, sink) else { return };
                self.want_key_frame(source, mid, kind, now);
            }
            Work::Connected(key) => self.connected(key, now),
            Work::Closed(key) => self.hung_up(key, now),
        }
    }

    fn touch(&mut self, key: u64) {
        if let Some(peer) = self.peers.get_mut(&key)
            && !peer.dirty
        {
            peer.dirty = true;
            self.dirty.push(key);
        }
    }

    fn tell(&self, event: EngineEvent) {
        // Nobody listens before the broker does.
        let _ = self.events.send(event);
    }

    /// Sends a packet to all who receive its track.
    fn forward_packet(&mut self, from: u64, packet: &RtpPacket, now: Instant) {
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

    fn source_of(&self, receiver: u64, sink: Mid) -> Option<(u64, Mid)> {
        self.peers.iter().find_map(|(key, peer)| {
            let subscription = peer.subscriptions.iter().find(|one| one.receiver == receiver && one.sink == sink)?;
            Some((*key, subscription.source))
        })
    }

    fn want_key_frame(&mut self, key: u64, mid: Mid, kind: KeyframeRequestKind, now: Instant) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let Some(index) = peer.sources.iter().position(|source| source.mid == mid) else { return };
        peer.sources[index].want_key_frame(kind);
        if peer.ask_for_key_frame(index, now) {
            self.touch(key);
        }
    }
}

impl Work {
    /// What of an event is anybody else's business.
    fn from(key: u64, event: Event, peer: &mut Peer) -> Option<Self> {
        match event {
            Event::RtpPacket(packet) => Some(Self::Rtp { from: key, packet }),
            Event::ChannelData(data) => {
                let message = Message { binary: data.binary, data: data.data };
                Some(Self::Data { from: key, channel: data.id, message })
            }
            Event::KeyframeRequest(request) => {
                Some(Self::KeyFrame { receiver: key, sink: request.mid, kind: request.kind })
            }
            Event::MediaAdded(added) => {
                peer.add_media(added.mid, added.kind, added.direction);
                None
            }
            Event::Connected => Some(Self::Connected(key)),
            Event::Closed => Some(Self::Closed(key)),
            _ => None,
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

    fn ask_for_key_frame(&mut self, index: usize, now: Instant) -> bool {
        let Self { sources, rtc, .. } = self;
        sources.get_mut(index).is_some_and(|source: &mut Source| source.ask(rtc, now))
    }
}

/// Text frames that only the robot's own operator is answered with.
fn is_private(label: ChannelLabel, data: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Head<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<std::borrow::Cow<'a, str>>,
    }
    label == ChannelLabel::StateReliableBack
        && serde_json::from_slice::<Head<'_>>(data)
            .is_ok_and(|head| head.kind.is_some_and(|kind| kind == "pong" || kind == "cmd_ack"))
}
