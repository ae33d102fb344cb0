//! An engine that does as it is told, for what a real one cannot be made to do on demand.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use waldo_broker::sfu::{
    Attached, Bridge, Capabilities, Engine, EngineError, EngineEvent, LegIds, NewPeer, PeerId, PeerState, Track,
    VideoStatus, ViewerIds,
};

/// What it was asked, in a word and its peers.
pub(crate) type Call = String;

/// What it is told to do.
#[derive(Default)]
pub(crate) struct Script {
    /// The next peer is not made.
    pub(crate) no_peer: Option<EngineError>,
    /// The next bridge is not opened.
    pub(crate) no_bridge: Option<EngineError>,
    /// The next answer is not taken.
    pub(crate) no_answer: Option<EngineError>,
    /// Bridges come with these offers.
    pub(crate) video_offer: Option<String>,
    pub(crate) robot_offer: Option<String>,
    /// How long a peer takes to be made.
    pub(crate) delay: Duration,
    /// How long a bridge takes to be opened.
    pub(crate) bridge_delay: Duration,
    /// How long it takes to be told that a robot knows its ids.
    pub(crate) told_delay: Duration,
    /// It cannot be reached when peers and bridges are to be closed.
    pub(crate) no_close: bool,
    /// Peers that it refuses to close.
    pub(crate) stuck: HashSet<String>,
    /// It has closed all bridges by itself.
    pub(crate) no_bridges: bool,
    /// Peers that are silent.
    pub(crate) lost: HashSet<String>,
}

pub(crate) struct Scripted {
    pub(crate) script: Mutex<Script>,
    pub(crate) calls: Mutex<Vec<Call>>,
    pub(crate) peers: Mutex<HashSet<String>>,
    pub(crate) events: broadcast::Sender<EngineEvent>,
    count: AtomicU64,
}

impl Default for Scripted {
    fn default() -> Self {
        let (script, calls, peers, count) = Default::default();
        Self { script, calls, peers, count, events: broadcast::channel(16).0 }
    }
}

impl Scripted {
    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    /// Calls that begin with a word.
    pub(crate) fn called(&self, word: &str) -> Vec<Call> {
        self.calls.lock().unwrap().iter().filter(|call| call.starts_with(word)).cloned().collect()
    }

    pub(crate) fn set(&self, act: impl FnOnce(&mut Script)) {
        act(&mut self.script.lock().unwrap());
    }

    pub(crate) fn has(&self, peer: &str) -> bool {
        self.peers.lock().unwrap().contains(peer)
    }
}

#[async_trait]
impl Engine for Scripted {
    fn capabilities(&self) -> Capabilities {
        Capabilities { sdp_relay: true, bridge: true, viewers: true, inject: true, presence_events: true }
    }

    async fn create_peer(&self, new: NewPeer) -> Result<(PeerId, String), EngineError> {
        let delay = self.script.lock().unwrap().delay;
        self.note(format!("asked for a {:?}", new.kind));
        tokio::time::sleep(delay).await;
        if let Some(error) = self.script.lock().unwrap().no_peer.take() {
            return Err(error);
        }
        let peer = format!("{:?}-{}", new.kind, self.count.fetch_add(1, Ordering::Relaxed)).to_lowercase();
        self.note(format!("create {peer} of {}", new.tenant));
        self.peers.lock().unwrap().insert(peer.clone());
        Ok((PeerId::new(peer), "v=0 answer".to_owned()))
    }

    async fn peer_state(&self, peer: &PeerId) -> Result<PeerState, EngineError> {
        let gone = EngineError::Gone { leg: waldo_broker::sfu::Leg::Unknown, detail: String::new() };
        let lost = self.script.lock().unwrap().lost.contains(peer.as_str());
        match self.has(peer.as_str()) {
            true if lost => Ok(PeerState::Lost),
            true => Ok(PeerState::Connected),
            false => Err(gone),
        }
    }

    async fn open_bridge(
        &self,
        robot: &PeerId,
        operator: &PeerId,
        generation: u64,
        previous: Option<LegIds>,
    ) -> Result<Bridge, EngineError> {
        let stale = previous.map_or(0, |ids| ids.cmd);
        self.note(format!("bridge {generation} {robot} {operator} stale {stale}"));
        if let Some(error) = self.script.lock().unwrap().no_bridge.take() {
            return Err(error);
        }
        let delay = self.script.lock().unwrap().bridge_delay;
        tokio::time::sleep(delay).await;
        let first = 16 + 8 * u16::try_from(generation % 125).unwrap();
        let robot = LegIds { cmd: first, state: first + 1, state_back: first + 2, map: first + 3 };
        let operator = LegIds { cmd: first + 4, state: first + 5, state_back: first + 6, map: first + 7 };
        Ok(Bridge { generation, robot, operator })
    }

    async fn close_bridge(&self, robot: &PeerId, operator: &PeerId, bridge: &Bridge) -> Result<bool, EngineError> {
        self.note(format!("unbridge {} {robot} {operator}", bridge.generation));
        let script = self.script.lock().unwrap();
        if script.no_close { Err(EngineError::Unavailable("down".to_owned())) } else { Ok(!script.no_bridges) }
    }

    async fn bridge_is_open(&self, _robot: &PeerId, _operator: &PeerId, _generation: u64) -> Result<bool, EngineError> {
        Ok(!self.script.lock().unwrap().no_bridges)
    }

    async fn ids_told(&self, robot: &PeerId, generation: u64) {
        self.note(format!("told {robot} {generation}"));
        let delay = self.script.lock().unwrap().told_delay;
        tokio::time::sleep(delay).await;
    }

    async fn attach_video(&self, robot: &PeerId, track: &Track, receiver: &PeerId) -> Attached {
        self.note(format!("video {robot} {} {} {receiver}", track.mid, track.name));
        Attached { status: VideoStatus::Ok, offer: self.script.lock().unwrap().video_offer.clone() }
    }

    async fn attach_audio(&self, operator: &PeerId, track: &Track, robot: &PeerId) -> Option<String> {
        self.note(format!("audio {operator} {} {} {robot}", track.mid, track.name));
        self.script.lock().unwrap().robot_offer.clone()
    }

    async fn attach_viewer(&self, robot: &PeerId, viewer: &PeerId) -> Result<ViewerIds, EngineError> {
        self.note(format!("viewer {robot} {viewer}"));
        Ok(ViewerIds { state_back: 100, map: 101 })
    }

    async fn submit_answer(&self, peer: &PeerId, _sdp: &str) -> Result<(), EngineError> {
        self.note(format!("answer {peer}"));
        self.script.lock().unwrap().no_answer.take().map_or(Ok(()), Err)
    }

    async fn close_peer(&self, peer: &PeerId) -> Result<(), EngineError> {
        self.note(format!("close {peer}"));
        let script = self.script.lock().unwrap();
        if script.no_close {
            return Err(EngineError::Unavailable("down".to_owned()));
        }
        if script.stuck.contains(peer.as_str()) {
            return Err(EngineError::Refused("stuck".to_owned()));
        }
        self.peers.lock().unwrap().remove(peer.as_str());
        Ok(())
    }

    async fn inject(&self, robot: &PeerId, text: &str) -> Result<(), EngineError> {
        self.note(format!("inject {robot} {text}"));
        Ok(())
    }

    fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.events.subscribe()
    }
}
