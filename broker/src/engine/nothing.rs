//! No engine: for a broker whose robots are all on LiveKit.

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::sfu::{
    Attached, Bridge, Capabilities, Engine, EngineError, EngineEvent, Leg, LegIds, NewPeer, PeerId, PeerState, Track,
    VideoStatus, ViewerIds,
};

/// Refuses everything.
pub(super) struct Nothing(broadcast::Sender<EngineEvent>);

impl Nothing {
    pub(super) fn new() -> Self {
        Self(broadcast::channel(1).0)
    }
}

fn refused() -> EngineError {
    EngineError::Refused("this broker takes robots on LiveKit only".to_owned())
}

#[async_trait]
impl Engine for Nothing {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn create_peer(&self, _new: NewPeer) -> Result<(PeerId, String), EngineError> {
        Err(refused())
    }

    async fn peer_state(&self, _peer: &PeerId) -> Result<PeerState, EngineError> {
        Err(EngineError::Gone { leg: Leg::Unknown, detail: "there is no engine".to_owned() })
    }

    async fn open_bridge(
        &self,
        _robot: &PeerId,
        _operator: &PeerId,
        _generation: u64,
        _previous: Option<LegIds>,
    ) -> Result<Bridge, EngineError> {
        Err(refused())
    }

    async fn close_bridge(&self, _robot: &PeerId, _operator: &PeerId, _bridge: &Bridge) -> Result<bool, EngineError> {
        Ok(false)
    }

    async fn attach_video(&self, _robot: &PeerId, _track: &Track, _receiver: &PeerId) -> Attached {
        Attached { status: VideoStatus::PullError, offer: None }
    }

    async fn attach_audio(&self, _operator: &PeerId, _track: &Track, _robot: &PeerId) -> Option<String> {
        None
    }

    async fn attach_viewer(&self, _robot: &PeerId, _viewer: &PeerId) -> Result<ViewerIds, EngineError> {
        Err(refused())
    }

    async fn submit_answer(&self, _peer: &PeerId, _sdp: &str) -> Result<(), EngineError> {
        Err(refused())
    }

    async fn close_peer(&self, _peer: &PeerId) -> Result<(), EngineError> {
        Ok(())
    }

    async fn inject(&self, _robot: &PeerId, _text: &str) -> Result<(), EngineError> {
        Err(refused())
    }

    fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.0.subscribe()
    }
}
