//! What the broker asks for.

use std::time::{Duration, Instant};

use str0m::change::SdpAnswer;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use tokio::sync::oneshot;

use super::Core;
use crate::sfu::embedded::channels::Sent;
use crate::sfu::embedded::media::{Feed, Subscription};
use crate::sfu::embedded::peer::{Peer, Pending};
use crate::sfu::embedded::sdp;
use crate::sfu::{
    Attached, Bridge, EngineError, Leg, LegIds, PeerId, PeerKind, PeerState, Track, VideoStatus, ViewerIds,
};

/// How long a bridge waits for both peers to be connected.
const PATIENCE: Duration = Duration::from_secs(5);

type Reply<T> = oneshot::Sender<T>;

/// One request to the engine. A reply that nobody waits for any more is left out.
pub(in crate::sfu::embedded) enum Command {
    Insert {
        peer: Box<Peer>,
        reply: Reply<Result<(), EngineError>>,
    },
    State {
        peer: PeerId,
        reply: Reply<Result<PeerState, EngineError>>,
    },
    OpenBridge(OpenBridge),
    CloseBridge {
        robot: PeerId,
        operator: PeerId,
        generation: u64,
        reply: Reply<bool>,
    },
    BridgeIsOpen {
        robot: PeerId,
        operator: PeerId,
        generation: u64,
        reply: Reply<bool>,
    },
    AttachVideo {
        robot: PeerId,
        track: Track,
        receiver: PeerId,
        reply: Reply<Attached>,
    },
    AttachAudio {
        operator: PeerId,
        track: Track,
        robot: PeerId,
        reply: Reply<Option<String>>,
    },
    AttachViewer {
        robot: PeerId,
        viewer: PeerId,
        reply: Reply<Result<ViewerIds, EngineError>>,
    },
    Answer {
        peer: PeerId,
        sdp: String,
        reply: Reply<Result<(), EngineError>>,
    },
    Close {
        peer: PeerId,
        reply: Reply<()>,
    },
    Inject {
        robot: PeerId,
        text: String,
        reply: Reply<Result<(), EngineError>>,
    },
    Told {
        robot: PeerId,
        generation: u64,
    },
    #[cfg(test)]
    Fault,
}

pub(in crate::sfu::embedded) struct OpenBridge {
    pub(in crate::sfu::embedded) robot: PeerId,
    pub(in crate::sfu::embedded) operator: PeerId,
    pub(in crate::sfu::embedded) generation: u64,
    pub(in crate::sfu::embedded) previous: Option<LegIds>,
    pub(in crate::sfu::embedded) reply: Reply<Result<Bridge, EngineError>>,
}

/// A bridge whose peers are not connected yet.
pub(super) struct Waiting {
    until: Instant,
    wanted: OpenBridge,
}

impl Core {
    pub(in crate::sfu::embedded) fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Insert { peer, reply } => drop(reply.send(self.insert(*peer, now))),
            Command::State { peer, reply } => {
                let state = self.find(&peer, Leg::Unknown).and_then(|key| self.peer(key)).map(|peer| peer.state);
                drop(reply.send(state));
            }
            Command::OpenBridge(wanted) => self.try_bridge(wanted, now + PATIENCE, now),
            Command::CloseBridge { robot, operator, generation, reply } => {
                let closed = self.bridge_of(&robot, &operator, generation).and_then(|key| self.end_bridge(key));
                self.settle(now);
                let _ = reply.send(closed.is_some());
            }
            Command::BridgeIsOpen { robot, operator, generation, reply } => {
                let _ = reply.send(self.bridge_of(&robot, &operator, generation).is_some());
            }
            Command::AttachVideo { robot, track, receiver, reply } => {
                drop(reply.send(self.attach_video(&robot, &track, &receiver, now)));
            }
            Command::AttachAudio { operator, track, robot, reply } => {
                drop(reply.send(self.attach_audio(&operator, &track, &robot)));
            }
            Command::AttachViewer { robot, viewer, reply } => {
                drop(reply.send(self.attach_viewer(&robot, &viewer)));
            }
            Command::Answer { peer, sdp, reply } => drop(reply.send(self.answer(&peer, &sdp))),
            Command::Close { peer, reply } => {
                if let Some(key) = self.names.get(&peer).copied() {
                    self.drop_peer(key);
                }
                let _ = reply.send(());
            }
            Command::Inject { robot, text, reply } => drop(reply.send(self.inject(&robot, text, now))),
            Command::Told { robot, generation } => {
                if let Some(key) = self.names.get(&robot).copied() {
                    self.told(key, generation, now);
                }
            }
            #[cfg(test)]
            Command::Fault => panic!("a fault, for a test"),
        }
        self.settle(now);
    }

    fn insert(&mut self, peer: Peer, now: Instant) -> Result<(), EngineError> {
        if self.peers.len() >= self.limits.peers {
            return Err(EngineError::Refused("too many peers".to_owned()));
        }
        if self.peers.values().filter(|one| one.tenant == peer.tenant).count() >= self.limits.peers_of_a_tenant {
            return Err(EngineError::Refused("too many peers of this owner".to_owned()));
        }
        self.next_key += 1;
        let key = self.next_key;
        self.fragments.insert(peer.ufrag.clone(), key);
        self.names.insert(peer.id.clone(), key);
        self.peers.insert(key, Peer { deadline: None, ..peer });
        self.time_out(key, now);
        Ok(())
    }

    fn find(&self, peer: &PeerId, leg: Leg) -> Result<u64, EngineError> {
        let gone = || EngineError::Gone { leg, detail: format!("there is no peer {peer}") };
        self.names.get(peer).copied().ok_or_else(gone)
    }

    fn peer(&self, key: u64) -> Result<&Peer, EngineError> {
        self.peers.get(&key).ok_or_else(|| EngineError::Unavailable("the peer failed".to_owned()))
    }

    /// Both peers, if something may flow between them.
    fn pair(&self, robot: &PeerId, other: &PeerId, kind: PeerKind) -> Result<(u64, u64), EngineError> {
        let (robot, other) = (self.find(robot, Leg::Robot)?, self.find(other, Leg::Operator)?);
        let (a, b) = (self.peer(robot)?, self.peer(other)?);
        if a.tenant != b.tenant {
            return Err(EngineError::Refused("the peers are of different tenants".to_owned()));
        }
        if a.kind != PeerKind::Robot || b.kind != kind {
            return Err(EngineError::Refused("the peers are not of the kinds for this".to_owned()));
        }
        Ok((robot, other))
    }

    fn try_bridge(&mut self, wanted: OpenBridge, until: Instant, now: Instant) {
        match self.bridge_if_ready(&wanted, now) {
            Err(EngineError::NotReady(_)) if now < until && !wanted.reply.is_closed() => {
                self.waiting.push(Waiting { until, wanted });
            }
            result => drop(wanted.reply.send(result)),
        }
    }

    fn bridge_if_ready(&mut self, wanted: &OpenBridge, now: Instant) -> Result<Bridge, EngineError> {
        let (robot, operator) = self.pair(&wanted.robot, &wanted.operator, PeerKind::Operator)?;
        for (key, who) in [(robot, "robot"), (operator, "operator")] {
            let peer = self.peer(key)?;
            if !peer.has_channels {
                return Err(EngineError::Refused(format!("the {who} has no m-section for channels")));
            }
            if peer.state != PeerState::Connected {
                return Err(EngineError::NotReady(format!("the {who} is not connected")));
            }
        }
        self.bridge(robot, operator, wanted.generation, wanted.previous, now)
    }

    pub(super) fn retry_waiting(&mut self, now: Instant) {
        for Waiting { until, wanted } in std::mem::take(&mut self.waiting) {
            self.try_bridge(wanted, until, now);
        }
    }

    /// The robot's key, if it has this bridge.
    fn bridge_of(&self, robot: &PeerId, operator: &PeerId, generation: u64) -> Option<u64> {
        let (robot, operator) = (self.names.get(robot)?, self.names.get(operator)?);
        let bridged = self.bridges.get(robot)?;
        (bridged.generation == generation && bridged.operator == *operator).then_some(*robot)
    }

    fn attach_video(&mut self, robot: &PeerId, track: &Track, receiver: &PeerId, now: Instant) -> Attached {
        let pair =
            self.pair(robot, receiver, PeerKind::Operator).or_else(|_| self.pair(robot, receiver, PeerKind::Viewer));
        let failed = |status| Attached { status, offer: None };
        let Ok((robot, receiver)) = pair else { return failed(VideoStatus::PullError) };
        let mid = Mid::from(track.mid.as_str());
        let Some(source) = self.peers.get(&robot) else { return failed(VideoStatus::PublishError) };
        if !source.sources.iter().any(|source| source.mid == mid) {
            return failed(VideoStatus::NoPublishedTrack);
        }
        let attached = match self.subscribe(robot, mid, receiver, MediaKind::Video, &track.name) {
            Ok(offer) => Attached { status: VideoStatus::Ok, offer },
            Err(error) => {
                tracing::warn!(%error, "a receiver cannot have the picture");
                failed(VideoStatus::PullError)
            }
        };
        self.want_key_frame(robot, mid, KeyframeRequestKind::Pli, now);
        attached
    }

    fn attach_audio(&mut self, operator: &PeerId, track: &Track, robot: &PeerId) -> Option<String> {
        let (robot, operator) = self.pair(robot, operator, PeerKind::Operator).ok()?;
        if self.robot_of(operator) != Some(robot) {
            return None;
        }
        let mid = Mid::from(track.mid.as_str());
        if !self.peers.get(&operator)?.sources.iter().any(|source| source.mid == mid) {
            return None;
        }
        self.subscribe(operator, mid, robot, MediaKind::Audio, &track.name)
            .inspect_err(|error| tracing::warn!(%error, "the robot cannot have the operator's voice"))
            .ok()?
    }

    /// Lets a peer receive a track in an m-section that it has for it, or that the offer given here adds.
    fn subscribe(
        &mut self,
        source: u64,
        mid: Mid,
        receiver: u64,
        kind: MediaKind,
        name: &str,
    ) -> Result<Option<String>, EngineError> {
        let feeds = self.peers.get(&receiver).map_or(&[][..], |peer| &peer.feeds);
        let taken: Vec<Mid> =
            feeds.iter().map(|feed| feed.sink).filter(|sink| self.source_of(receiver, *sink).is_some()).collect();
        let old = self.peers.get_mut(&source).and_then(|peer| {
            let index = peer.subscriptions.iter().position(|one| one.receiver == receiver && one.source == mid)?;
            Some(peer.subscriptions.swap_remove(index))
        });
        let peer = self.peers.get_mut(&receiver).ok_or(EngineError::Unavailable("the peer failed".to_owned()))?;
        let agreed = |sink: Mid| peer.sinks.iter().any(|one| one.mid == sink);
        let here = match &old {
            Some(old) if agreed(old.sink) => Some(old.sink),
            _ => peer.sinks.iter().find(|sink| sink.kind == kind && !taken.contains(&sink.mid)).map(|sink| sink.mid),
        };
        let (sink, offer) = match here {
            Some(sink) => (sink, None),
            None => {
                let made = peer.guard(|peer| peer.offer(kind, name)).flatten();
                let (sink, offer) =
                    made.ok_or_else(|| EngineError::Unavailable("no offer could be made".to_owned()))?;
                (sink, Some(offer))
            }
        };
        peer.feeds.retain(|feed| feed.sink != sink && peer.sinks.iter().any(|one| one.mid == feed.sink));
        peer.feeds.push(Feed { sink, publisher: source, source: mid });
        self.touch(receiver);
        let subscription = match old {
            Some(old) if old.sink == sink => old,
            _ => Subscription::new(mid, receiver, sink),
        };
        if let Some(peer) = self.peers.get_mut(&source) {
            peer.subscriptions.push(subscription);
        }
        Ok(offer)
    }

    fn attach_viewer(&mut self, robot: &PeerId, viewer: &PeerId) -> Result<ViewerIds, EngineError> {
        let (robot, viewer) = self.pair(robot, viewer, PeerKind::Viewer)?;
        let peer = self.peer(viewer)?;
        if !peer.has_channels {
            return Err(EngineError::Refused("the viewer has no m-section for channels".to_owned()));
        }
        self.open_viewer(robot, viewer)
    }

    fn answer(&mut self, peer: &PeerId, sdp: &str) -> Result<(), EngineError> {
        let key = self.find(peer, Leg::Unknown)?;
        let malformed = |error: String| EngineError::Malformed(format!("the answer: {error}"));
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(|error| malformed(error.to_string()))?;
        let peer = self.peers.get_mut(&key).ok_or_else(|| EngineError::Unavailable("the peer failed".to_owned()))?;
        // One that does not fit leaves the offer open for one that does.
        if peer.pending.as_ref().is_some_and(|pending| pending.mids != sdp::mids(sdp)) {
            return Err(malformed("its m-sections are not those of the offer".to_owned()));
        }
        let Some(Pending { changes, mid, kind, .. }) = peer.pending.take() else {
            return Err(EngineError::Refused("no offer waits for an answer".to_owned()));
        };
        let taken = peer
            .guard(|peer| {
                peer.rtc.sdp_api().accept_answer(changes, answer).map_err(|error| malformed(error.to_string()))
            })
            .unwrap_or_else(|| Err(malformed("it does not fit the offer".to_owned())));
        if taken.is_ok() {
            peer.add_media(mid, kind, Direction::SendOnly);
        }
        self.touch(key);
        taken
    }

    fn inject(&mut self, robot: &PeerId, text: String, now: Instant) -> Result<(), EngineError> {
        let key = self.find(robot, Leg::Robot)?;
        let peer = self.peer(key)?;
        if peer.kind != PeerKind::Robot || peer.leg.is_none() {
            return Err(EngineError::Refused("the robot has no channels".to_owned()));
        }
        let is_heard = peer.state == PeerState::Connected;
        let said = self.say_first(key, &text, now)?;
        match said {
            // It is on its way, but whoever asked must not rely on it.
            _ if !is_heard => Err(EngineError::Refused("the robot is not heard".to_owned())),
            Sent::Taken => Ok(()),
            Sent::Dropped | Sent::Stuck => Err(EngineError::Unavailable("the robot does not take it".to_owned())),
        }
    }
}

impl Peer {
    /// An offer that adds an m-section for something to be received.
    fn offer(&mut self, kind: MediaKind, name: &str) -> Option<(Mid, String)> {
        let mut api = self.rtc.sdp_api();
        let sink = api.add_media(kind, Direction::SendOnly, Some("waldo".to_owned()), Some(name.to_owned()), None);
        let (offer, changes) = api.apply()?;
        let offer = sdp::complete(&offer.to_sdp_string());
        self.pending = Some(Pending { changes, mid: sink, kind, mids: sdp::mids(&offer) });
        Some((sink, offer))
    }
}
