//! The broker's side of an engine in another process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use super::{Call, EVENTS, Events, POLL};
use crate::sfu::{
    Attached, Bridge, Capabilities, Engine, EngineError, EngineEvent, LegIds, NewPeer, PeerId, PeerState, Track,
    VideoStatus, ViewerIds, http,
};

/// How long a call may take. A bridge waits five seconds for its peers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two attempts to hear of events, if the first failed; doubled up to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// An engine in another process.
pub struct Client {
    remote: Arc<Remote>,
    events: broadcast::Sender<EngineEvent>,
    _listening: AbortOnDropHandle<()>,
}

struct Remote {
    calls: reqwest::Client,
    polls: reqwest::Client,
    url: String,
    secret: String,
}

impl Client {
    /// The engine at this URL, `http://host:port`. It need not run yet. Must be called inside of a Tokio runtime.
    pub fn new(url: &str, secret: &str) -> Self {
        let remote = Arc::new(Remote {
            calls: http::inside(PATIENCE),
            polls: http::inside(Duration::from_secs(POLL) + PATIENCE),
            url: url.trim_end_matches('/').to_owned(),
            secret: secret.to_owned(),
        });
        let (events, _) = broadcast::channel(EVENTS);
        let listening = tokio::spawn(Arc::clone(&remote).listen(events.clone()));
        Self { remote, events, _listening: AbortOnDropHandle::new(listening) }
    }

    async fn call<T: DeserializeOwned>(&self, call: &Call) -> Result<T, EngineError> {
        self.remote.call(call).await
    }
}

impl Remote {
    async fn call<T: DeserializeOwned>(&self, call: &Call) -> Result<T, EngineError> {
        // Callers of the broker see the sentence; where the process is, is for the log.
        let unavailable = |error: reqwest::Error| {
            tracing::warn!(error = %error, "the SFU process");
            EngineError::Unavailable("the SFU process does not answer".to_owned())
        };
        let request = self.calls.post(format!("{}/v1/call", self.url)).bearer_auth(&self.secret).json(call);
        let reply = request.send().await.map_err(unavailable)?;
        match reply.status() {
            StatusCode::OK => reply.json().await.map_err(unavailable),
            StatusCode::CONFLICT => Err(reply.json::<EngineError>().await.map_err(unavailable)?),
            StatusCode::UNAUTHORIZED => Err(EngineError::Unavailable("the SFU process has another secret".to_owned())),
            status => Err(EngineError::Unavailable(format!("the SFU process replied {status}"))),
        }
    }

    async fn listen(self: Arc<Self>, events: broadcast::Sender<EngineEvent>) {
        let mut known: Option<(String, u64)> = None;
        let mut pause = RETRY.0;
        loop {
            match self.poll(known.as_ref()).await {
                Ok(news) => {
                    pause = RETRY.0;
                    let other = known.as_ref().is_some_and(|(process, _)| *process != news.process);
                    // At first nobody knows what happened before, nor what another process has of it all.
                    if known.is_none() || other || news.missed {
                        let _ = events.send(EngineEvent::Missed);
                    }
                    for event in news.events {
                        let _ = events.send(event);
                    }
                    known = Some((news.process, news.last));
                }
                Err(error) => {
                    tracing::warn!(error = %error.without_url(), "the SFU process does not tell its events");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
    }

    async fn poll(&self, known: Option<&(String, u64)>) -> reqwest::Result<Events> {
        let query = known.map_or(String::new(), |(process, last)| format!("?after={last}&process={process}"));
        let request = self.polls.get(format!("{}/v1/events{query}", self.url)).bearer_auth(&self.secret);
        request.send().await?.error_for_status()?.json().await
    }
}

#[async_trait]
impl Engine for Client {
    fn capabilities(&self) -> Capabilities {
        Capabilities { sdp_relay: true, bridge: true, viewers: true, inject: true, presence_events: true }
    }

    async fn create_peer(&self, new: NewPeer) -> Result<(PeerId, String), EngineError> {
        self.call(&Call::CreatePeer { new }).await
    }

    async fn peer_state(&self, peer: &PeerId) -> Result<PeerState, EngineError> {
        self.call(&Call::PeerState { peer: peer.clone() }).await
    }

    async fn open_bridge(
        &self,
        robot: &PeerId,
        operator: &PeerId,
        generation: u64,
        previous: Option<LegIds>,
    ) -> Result<Bridge, EngineError> {
        let (robot, operator) = (robot.clone(), operator.clone());
        self.call(&Call::OpenBridge { robot, operator, generation, previous }).await
    }

    async fn close_bridge(&self, robot: &PeerId, operator: &PeerId, bridge: &Bridge) -> Result<bool, EngineError> {
        let (robot, operator) = (robot.clone(), operator.clone());
        self.call(&Call::CloseBridge { robot, operator, bridge: *bridge }).await
    }

    async fn bridge_is_open(&self, robot: &PeerId, operator: &PeerId, generation: u64) -> Result<bool, EngineError> {
        let (robot, operator) = (robot.clone(), operator.clone());
        self.call(&Call::BridgeIsOpen { robot, operator, generation }).await
    }

    async fn attach_video(&self, robot: &PeerId, track: &Track, receiver: &PeerId) -> Attached {
        let call = Call::AttachVideo { robot: robot.clone(), track: track.clone(), receiver: receiver.clone() };
        self.call(&call).await.unwrap_or_else(|error| {
            tracing::warn!(%robot, %error, "no picture");
            Attached { status: VideoStatus::PullError, offer: None }
        })
    }

    async fn attach_audio(&self, operator: &PeerId, track: &Track, robot: &PeerId) -> Option<String> {
        let call = Call::AttachAudio { operator: operator.clone(), track: track.clone(), robot: robot.clone() };
        self.call(&call).await.unwrap_or_else(|error| {
            tracing::warn!(%operator, %error, "no voice");
            None
        })
    }

    async fn attach_viewer(&self, robot: &PeerId, viewer: &PeerId) -> Result<ViewerIds, EngineError> {
        self.call(&Call::AttachViewer { robot: robot.clone(), viewer: viewer.clone() }).await
    }

    async fn submit_answer(&self, peer: &PeerId, sdp: &str) -> Result<(), EngineError> {
        self.call(&Call::SubmitAnswer { peer: peer.clone(), sdp: sdp.to_owned() }).await
    }

    async fn close_peer(&self, peer: &PeerId) -> Result<(), EngineError> {
        self.call(&Call::ClosePeer { peer: peer.clone() }).await
    }

    async fn inject(&self, robot: &PeerId, text: &str) -> Result<(), EngineError> {
        self.call(&Call::Inject { robot: robot.clone(), text: text.to_owned() }).await
    }

    async fn ids_told(&self, robot: &PeerId, generation: u64) {
        // What waits for it comes a second later then.
        let _ = self.call::<()>(&Call::IdsTold { robot: robot.clone(), generation }).await;
    }

    fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.events.subscribe()
    }
}
