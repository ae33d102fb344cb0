//! All peers of the engine and what flows between them, without sockets and clock: datagrams and commands go in, datagrams and events come out.

mod bridges;
mod commands;
mod presence;
mod tracks;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::bwe::{Bitrate, BweKind};
use str0m::channel::ChannelId;
use str0m::media::{KeyframeRequestKind, Mid};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::RtpPacket;
use str0m::{Event, Input, Output};
use tokio::sync::broadcast;
use waldo_protocol::hosted::ChannelLabel;

use self::bridges::Bridged;
use self::commands::Waiting;
use super::channels::Message;
use super::peer::Peer;
use super::stun::Datagram;
use crate::sfu::{EngineEvent, PeerId};

pub(super) use self::commands::{Command, OpenBridge};

/// How often presence, silence and what waits are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Addresses from which one peer may be heard; the oldest makes room.
const ADDRESSES: usize = 16;

/// An address from which a peer was heard within this time is not given to another, whoever claims it.
const OWNED: Duration = Duration::from_secs(1);

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) peers: usize,
    pub(super) peers_of_a_tenant: usize,
}

pub(super) struct Core {
    peers: HashMap<u64, Peer>,
    names: HashMap<PeerId, u64>,
    fragments: HashMap<String, u64>,
    addresses: HashMap<(Protocol, SocketAddr), u64>,
    timers: BTreeSet<(Instant, u64)>,
    bridges: HashMap<u64, Bridged>,
    /// Operators of open bridges, and their robots.
    operators: HashMap<u64, u64>,
    viewers: HashMap<u64, Vec<u64>>,
    waiting: Vec<Waiting>,
    work: VecDeque<Work>,
    dirty: Vec<u64>,
    transmits: Vec<Transmit>,
    events: broadcast::Sender<EngineEvent>,
    next_key: u64,
    last_tick: Instant,
    limits: Limits,
}

/// What one peer's packet leads to.
enum Work {
    Data { from: u64, channel: ChannelId, message: Message },
    Rtp { from: u64, packet: RtpPacket },
    KeyFrame { receiver: u64, sink: Mid, kind: KeyframeRequestKind },
    Remb { receiver: u64, sink: Mid, bitrate: Bitrate },
    Connected(u64),
    Closed(u64),
}

impl Core {
    pub(super) fn new(events: broadcast::Sender<EngineEvent>, limits: Limits, now: Instant) -> Self {
        Self {
            peers: HashMap::new(),
            names: HashMap::new(),
            fragments: HashMap::new(),
            addresses: HashMap::new(),
            timers: BTreeSet::new(),
            bridges: HashMap::new(),
            operators: HashMap::new(),
            viewers: HashMap::new(),
            waiting: Vec::new(),
            work: VecDeque::new(),
            dirty: Vec::new(),
            transmits: Vec::new(),
            events,
            next_key: 0,
            last_tick: now,
            limits,
        }
    }

    /// A datagram that came from `source` to one of our addresses; [`Core::settle`] does what it leads to, once for many. Tells whether it is
    /// a peer's: what is not is left out without a word, since anybody can send anything.
    pub(super) fn receive(
        &mut self,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) -> bool {
        let from = (protocol, source);
        let known = self.addresses.get(&from).copied();
        // Only what may be a peer's is read in full.
        let key = match Datagram::of(bytes) {
            Datagram::Check(fragment) => self.fragments.get(fragment).copied(),
            Datagram::Other => known,
            Datagram::Nonsense => None,
        };
        let Some(key) = key else { return false };
        let Ok(received) = Receive::new(protocol, source, destination, bytes) else { return false };
        let input = Input::Receive(now, received);
        if known != Some(key) && !self.take_address(from, key, &input, now) {
            return false;
        }
        let Some(peer) = self.peers.get_mut(&key) else { return false };
        peer.heard = now;
        if let Some(Err(error)) = peer.guard(|peer| peer.rtc.handle_input(input)) {
            tracing::debug!(peer = %peer.id, %error, "a datagram is left out");
        }
        self.drain(key);
        true
    }

    /// Gives an address to the peer that a check from there is for, unless another one is there.
    fn take_address(&mut self, from: (Protocol, SocketAddr), key: u64, check: &Input<'_>, now: Instant) -> bool {
        let other = self.addresses.get(&from).copied();
        let heard = other.and_then(|other| self.peers.get(&other)).map(|other| other.heard);
        if heard.is_some_and(|heard| now.saturating_duration_since(heard) < OWNED) {
            return false;
        }
        let Some(peer) = self.peers.get_mut(&key) else { return false };
        if peer.guard(|peer| peer.rtc.accepts(check)) != Some(true) {
            return false;
        }
        peer.addresses.push(from);
        if peer.addresses.len() > ADDRESSES {
            let oldest = peer.addresses.remove(0);
            self.addresses.remove(&oldest);
        }
        if let Some(other) = other.and_then(|other| self.peers.get_mut(&other)) {
            other.addresses.retain(|address| *address != from);
        }
        self.addresses.insert(from, key);
        true
    }

    /// Nothing will come from this address any more.
    pub(super) fn forget(&mut self, protocol: Protocol, source: SocketAddr) {
        let from = (protocol, source);
        if let Some(peer) = self.addresses.remove(&from).and_then(|key| self.peers.get_mut(&key)) {
            peer.addresses.retain(|address| *address != from);
        }
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
        if let Some(at) = peer.deadline.take() {
            self.timers.remove(&(at, key));
        }
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
    pub(super) fn settle(&mut self, now: Instant) {
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
            Work::Remb { receiver, sink, bitrate } => self.limit_bitrate(receiver, sink, bitrate),
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

    /// As after a start, for listeners who know of peers that are gone.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        *self = Self::new(self.events.clone(), self.limits, now);
        self.tell(EngineEvent::Missed);
    }

    fn tell(&self, event: EngineEvent) {
        // Nobody listens before the broker does.
        let _ = self.events.send(event);
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
            Event::EgressBitrateEstimate(BweKind::Remb { estimate, mid }) => {
                Some(Self::Remb { receiver: key, sink: mid, bitrate: estimate })
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
