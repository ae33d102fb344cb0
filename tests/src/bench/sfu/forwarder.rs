//! As little of an SFU as can be on the `webrtc` crate: a connection per peer, with sockets of its own, and a task per direction of a bridge
//! that hands commands on. It shows what the crate itself costs.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rtc::data_channel::RTCDataChannelInit;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::sdp::RTCSessionDescription;
use tokio::sync::{broadcast, watch};
use waldo_broker::sfu::{
    Attached, Bridge, Capabilities, Engine, EngineError, EngineEvent, Leg, LegIds, NewPeer, PeerId, PeerState, Track,
    VideoStatus, ViewerIds,
};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceGatheringState, SettingEngineBuilder,
};

pub(super) struct Forwarder {
    peers: Mutex<HashMap<PeerId, Arc<dyn PeerConnection>>>,
    events: broadcast::Sender<EngineEvent>,
}

struct Gathering(watch::Sender<RTCIceGatheringState>);

#[async_trait]
impl PeerConnectionEventHandler for Gathering {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.0.send_replace(state);
    }
}

impl Forwarder {
    pub(super) fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { peers: Mutex::default(), events: broadcast::channel(1).0 }
    }

    fn peer(&self, id: &PeerId) -> Result<Arc<dyn PeerConnection>, EngineError> {
        let gone = || EngineError::Gone { leg: Leg::Unknown, detail: id.to_string() };
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned().ok_or_else(gone)
    }
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Unavailable(error.to_string())
}

async fn answer(offer: String) -> Result<(Arc<dyn PeerConnection>, String), EngineError> {
    let mut engine = MediaEngine::default();
    engine.register_default_codecs().map_err(failed)?;
    let registry = register_default_interceptors(Registry::new(), &mut engine).map_err(failed)?;
    let gathering = watch::Sender::new(RTCIceGatheringState::New);
    let mut state = gathering.subscribe();
    let connection = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().build())
        .with_media_engine(engine)
        .with_interceptor_registry(registry)
        .with_setting_engine(SettingEngineBuilder::new().with_multicast_dns_mode(MulticastDnsMode::Disabled).build())
        .with_udp_addrs(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])
        .with_handler(Arc::new(Gathering(gathering)))
        .build()
        .await
        .map_err(failed)?;
    connection.set_remote_description(RTCSessionDescription::offer(offer).map_err(failed)?).await.map_err(failed)?;
    let answer = connection.create_answer(None).await.map_err(failed)?;
    connection.set_local_description(answer).await.map_err(failed)?;
    state.wait_for(|state| *state == RTCIceGatheringState::Complete).await.map_err(failed)?;
    let answer = connection.local_description().await.ok_or_else(|| failed("no answer"))?.sdp;
    Ok((Arc::new(connection), answer))
}

async fn commands(peer: &dyn PeerConnection, id: u16) -> Result<Arc<dyn DataChannel>, EngineError> {
    let lossy = RTCDataChannelInit {
        ordered: false,
        max_retransmits: Some(0),
        negotiated: Some(id),
        ..RTCDataChannelInit::default()
    };
    peer.create_data_channel("cmd_unreliable", Some(lossy)).await.map_err(failed)
}

#[async_trait]
impl Engine for Forwarder {
    fn capabilities(&self) -> Capabilities {
        Capabilities { sdp_relay: true, bridge: true, ..Capabilities::default() }
    }

    async fn create_peer(&self, new: NewPeer) -> Result<(PeerId, String), EngineError> {
        let (connection, answer) = answer(new.offer).await?;
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let id = PeerId::new(peers.len().to_string());
        peers.insert(id.clone(), connection);
        Ok((id, answer))
    }

    async fn peer_state(&self, peer: &PeerId) -> Result<PeerState, EngineError> {
        self.peer(peer).map(|_| PeerState::Connected)
    }

    async fn open_bridge(
        &self,
        robot: &PeerId,
        operator: &PeerId,
        generation: u64,
        _previous: Option<LegIds>,
    ) -> Result<Bridge, EngineError> {
        let ids = |first| LegIds { cmd: first, state: first + 1, state_back: first + 2, map: first + 3 };
        let bridge = Bridge { generation, robot: ids(16), operator: ids(20) };
        let to = commands(&*self.peer(robot)?, bridge.robot.cmd).await?;
        let from = commands(&*self.peer(operator)?, bridge.operator.cmd).await?;
        tokio::spawn(async move {
            while let Some(event) = from.poll().await {
                if let DataChannelEvent::OnMessage(message) = event {
                    // It is a lossy channel.
                    let _ = to.try_send(message.data).await;
                }
            }
        });
        Ok(bridge)
    }

    async fn close_bridge(&self, _robot: &PeerId, _operator: &PeerId, _bridge: &Bridge) -> Result<bool, EngineError> {
        Err(EngineError::Refused("for a bench".to_owned()))
    }

    async fn attach_video(&self, _robot: &PeerId, _track: &Track, _receiver: &PeerId) -> Attached {
        Attached { status: VideoStatus::NoOffer, offer: None }
    }

    async fn attach_audio(&self, _operator: &PeerId, _track: &Track, _robot: &PeerId) -> Option<String> {
        None
    }

    async fn attach_viewer(&self, _robot: &PeerId, _viewer: &PeerId) -> Result<ViewerIds, EngineError> {
        Err(EngineError::Refused("commands only".to_owned()))
    }

    async fn submit_answer(&self, _peer: &PeerId, _sdp: &str) -> Result<(), EngineError> {
        Err(EngineError::Refused("commands only".to_owned()))
    }

    async fn close_peer(&self, _peer: &PeerId) -> Result<(), EngineError> {
        Err(EngineError::Refused("for a bench".to_owned()))
    }

    async fn inject(&self, _robot: &PeerId, _text: &str) -> Result<(), EngineError> {
        Err(EngineError::Refused("commands only".to_owned()))
    }

    fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.events.subscribe()
    }
}
