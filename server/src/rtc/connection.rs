//! What every peer connection of ours shares: set-up, offer, answer, end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::mdns::MulticastSocket;
use rtc::peer_connection::configuration::RTCBundlePolicy;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngine, SettingEngineBuilder};
use rtc::peer_connection::sdp::RTCSessionDescription;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder, RTCIceConnectionState,
    RTCIceGatheringState, RTCPeerConnectionState,
};

use super::answer::{Answer, checked};
use super::network::{Network, Sockets};
use super::ports::Lease;
use super::runtime::Lane;
use super::sockets::{Gate, PatientRuntime, Stage};
use super::{AnswerError, RtcError, runtime};
use crate::video::Codec;

/// The addresses of this host are gathered in milliseconds. A STUN or TURN server that does not answer must not keep the
/// client from those.
const GATHERING_LIMIT: Duration = Duration::from_secs(3);

/// Silence after which a connection counts as interrupted, and the further silence after which it has failed.
const INTERRUPTED_AFTER: Duration = Duration::from_secs(4);
const FAILED_AFTER: Duration = Duration::from_secs(6);
const KEEPALIVE: Duration = Duration::from_secs(1);

/// The same for a robot and its SFU: what cannot be stopped from afar must not go on for long.
const ROBOT_INTERRUPTED_AFTER: Duration = Duration::from_secs(1);
const ROBOT_FAILED_AFTER: Duration = Duration::from_secs(14);
const ROBOT_KEEPALIVE: Duration = Duration::from_millis(200);

/// Connectivity checks: with these, and without waiting for better candidates, a connection on one network stands in
/// about 100 ms.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
const CHECKS: u16 = 50;

/// An SFU is farther away.
const ROBOT_CHECKS: u16 = 250;

/// How long a way through a relay waits for a better one. Direct ways of most networks are found by then, and what is left of
/// [`CONNECT_LIMIT`] is enough for the encryption handshake.
const RELAY_WAIT: Duration = Duration::from_millis(500);

/// After an answer a connection stands within this time or never: the DTLS handshake below does not recover from every
/// lost packet.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Largest data channel message in bytes, as the offer announces it.
pub(super) const MAX_MESSAGE_SIZE: u32 = 262_144;

/// What may wait on one data channel that the other side does not acknowledge, bytes.
const SEND_BUFFER: usize = 1 << 20;

/// A peer connection of ours. Closes when dropped.
pub(super) struct Connection {
    runtime: Handle,
    peer: Arc<dyn PeerConnection>,
    state: watch::Sender<RTCPeerConnectionState>,
    gathering: watch::Sender<RTCIceGatheringState>,
    gate: Arc<Gate>,
    /// Held while an answer is applied.
    answering: Arc<Mutex<()>>,
    /// It was answered and did not come to stand.
    stalled: Arc<AtomicBool>,
    /// What the connection is for; ends with it.
    tasks: JoinSet<()>,
    /// Its senders are with the tasks.
    at_work: watch::Receiver<()>,
    /// Until the sockets are closed.
    lease: Option<Lease>,
}

impl Connection {
    /// A connection with nothing in it yet, on the thread of its kind.
    pub(super) async fn open(
        lane: Lane,
        network: &Network,
        engine: MediaEngine,
        registry: Registry,
    ) -> Result<Self, RtcError> {
        Self::open_for(lane, network, (engine, registry), None).await
    }

    /// The same, with all of it on one transport, whatever the other side says. What the other side sends is handed over
    /// there; what is not taken in time is dropped.
    pub(super) async fn open_for(
        lane: Lane,
        network: &Network,
        (engine, registry): (MediaEngine, Registry),
        tracks: Option<mpsc::Sender<Arc<dyn TrackRemote>>>,
    ) -> Result<Self, RtcError> {
        let Sockets { addresses, lease } = network.sockets()?;
        let runtime = runtime::handle(lane)?;
        let state = watch::Sender::new(RTCPeerConnectionState::New);
        let gathering = watch::Sender::new(RTCIceGatheringState::New);
        let gate = Arc::<Gate>::default();
        let mut configuration = RTCConfigurationBuilder::new().with_ice_servers(network.our_ice_servers());
        if tracks.is_some() {
            configuration = configuration.with_bundle_policy(RTCBundlePolicy::MaxBundle);
        }
        let events = Events { state: state.clone(), gathering: gathering.clone(), gate: Arc::clone(&gate), tracks };
        let builder = PeerConnectionBuilder::new()
            .with_configuration(configuration.build())
            .with_data_channel_send_buffer_limit(SEND_BUFFER)
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings(lane))
            // For networks that let no UDP through.
            .with_tcp_addrs(addresses.clone())
            .with_udp_addrs(addresses)
            .with_runtime(Arc::new(PatientRuntime::new(Arc::clone(&gate))))
            .with_handler(Arc::new(events));
        let handle = runtime.clone();
        // Made on its thread, so that it is closed even if the caller goes away meanwhile.
        on(&runtime, async move {
            let peer = Arc::new(builder.build().await?);
            let (answering, stalled) = (Arc::default(), Arc::default());
            let at_work = watch::Sender::new(()).subscribe();
            Ok(Self {
                runtime: handle,
                peer,
                state,
                gathering,
                gate,
                answering,
                stalled,
                tasks: JoinSet::new(),
                at_work,
                lease,
            })
        })
        .await?
    }

    /// The connection itself, to add tracks or channels to before the offer.
    pub(super) fn peer(&self) -> &Arc<dyn PeerConnection> {
        &self.peer
    }

    /// The thread of the connection.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs what the connection is for. When all of it has ended, the connection counts as closed.
    pub(super) fn run<T>(&mut self, tasks: impl IntoIterator<Item = T>)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let at_work = watch::Sender::new(());
        self.at_work = at_work.subscribe();
        for task in tasks {
            let at_work = at_work.clone();
            let work = async move {
                task.await;
                drop(at_work);
            };
            self.tasks.spawn_on(work, &self.runtime);
        }
    }

    /// The connection's state as it changes.
    pub(super) fn state(&self) -> watch::Receiver<RTCPeerConnectionState> {
        self.state.subscribe()
    }

    /// The offer, with all candidates.
    pub(super) async fn offer(&self) -> Result<String, RtcError> {
        let peer = Arc::clone(&self.peer);
        let mut gathering = self.gathering.subscribe();
        on(&self.runtime, async move {
            let offer = peer.create_offer(None).await?;
            peer.set_local_description(offer).await?;
            let complete = gathering.wait_for(|state| *state == RTCIceGatheringState::Complete);
            match timeout(GATHERING_LIMIT, complete).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Err(RtcError("the connection ended while gathering candidates".into())),
                Err(_) => tracing::warn!("a STUN or TURN server does not answer; the offer goes out without it"),
            }
            let offer = peer.local_description().await.ok_or_else(|| RtcError("there is no offer".into()))?;
            Ok(offer.sdp)
        })
        .await?
    }

    /// Applies an answer, after `prepare` was told what the client takes of each video section. One that does not fit the
    /// offer changes nothing; one that fails in a way that was not to be seen before ends the connection, as does one after
    /// which it does not stand `within` this time.
    pub(super) async fn answer<P, F>(&self, sdp: String, within: Duration, prepare: P) -> Result<(), AnswerError>
    where
        P: FnOnce(Vec<Codec>) -> F + Send + 'static,
        F: Future<Output = Result<(), RtcError>> + Send,
    {
        let (peer, state) = (Arc::clone(&self.peer), self.state.clone());
        let (gate, answering) = (Arc::clone(&self.gate), Arc::clone(&self.answering));
        let stalled = Arc::clone(&self.stalled);
        on(&self.runtime, async move {
            let _one_at_a_time = answering.lock().await;
            let offer = peer.pending_local_description().await.ok_or_else(|| RtcError("nothing to answer".into()))?;
            let Answer { description, codecs } = checked(sdp, &offer)?;
            prepare(codecs).await?;
            let applied = peer.set_remote_description(description).await;
            match applied {
                Ok(()) => {
                    gate.reached(Stage::Answered);
                    tokio::spawn(give_up_in_time(state, within, stalled));
                }
                Err(_) => drop(state.send_replace(RTCPeerConnectionState::Failed)),
            }
            Ok(applied?)
        })
        .await?
    }

    /// Takes an offer of the other side on this connection, and gives the answer to it.
    pub(super) async fn take_offer(&self, sdp: String) -> Result<String, RtcError> {
        let (peer, answering) = (Arc::clone(&self.peer), Arc::clone(&self.answering));
        on(&self.runtime, async move {
            let _one_at_a_time = answering.lock().await;
            peer.set_remote_description(RTCSessionDescription::offer(sdp)?).await?;
            let answer = peer.create_answer(None).await?;
            peer.set_local_description(answer).await?;
            let answer = peer.local_description().await.ok_or_else(|| RtcError("there is no answer".into()))?;
            Ok(answer.sdp)
        })
        .await?
    }

    /// Waits until the connection has failed or was closed, or has nothing left to do. True if it was answered but never
    /// stood, so that another try is worth while.
    pub(super) async fn closed(&self) -> bool {
        use RTCPeerConnectionState::{Closed, Failed};
        let (mut state, mut at_work) = (self.state.subscribe(), self.at_work.clone());
        tokio::select! {
            _ = state.wait_for(|state| matches!(state, Failed | Closed)) => {}
            // Nothing is ever sent: this is the end of the last task.
            _ = at_work.changed() => {}
        }
        self.stalled.load(Ordering::Acquire)
    }

    /// Closes the connection and waits until its sockets are free.
    pub(super) async fn close(&self) {
        let peer = Arc::clone(&self.peer);
        let closed = on(&self.runtime, async move { peer.close().await }).await;
        if let Err(error) = closed.and_then(|done| Ok(done?)) {
            tracing::debug!(%error, "a peer connection did not close cleanly");
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let (peer, lease) = (Arc::clone(&self.peer), self.lease.take());
        self.runtime.spawn(async move {
            // Fails only where there is nothing left to close.
            let _ = peer.close().await;
            drop(lease);
        });
    }
}

/// Runs on the thread of a connection, to the end even if the caller goes away.
pub(super) async fn on<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, RtcError> {
    runtime.spawn(work).await.map_err(|error| RtcError(format!("the task did not finish: {error}")))
}

fn settings(lane: Lane) -> SettingEngine {
    let (interrupted, failed, keepalive, checks) = match lane {
        Lane::Robot => (ROBOT_INTERRUPTED_AFTER, ROBOT_FAILED_AFTER, ROBOT_KEEPALIVE, ROBOT_CHECKS),
        Lane::Video | Lane::Poses => (INTERRUPTED_AFTER, FAILED_AFTER, KEEPALIVE, CHECKS),
    };
    // Browsers hide their addresses behind mDNS names. Resolving them helps behind a firewall that lets nobody in who
    // was not called first; a host without a route for multicast has to do without.
    let mdns = match MulticastSocket::new().into_std() {
        Ok(_) => MulticastDnsMode::QueryOnly,
        Err(error) => {
            tracing::debug!(%error, "no multicast: mDNS names of clients stay unresolved");
            MulticastDnsMode::Disabled
        }
    };
    SettingEngineBuilder::new()
        .with_multicast_dns_mode(mdns)
        .with_host_acceptance_min_wait(Some(Duration::ZERO))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_relay_acceptance_min_wait(Some(RELAY_WAIT))
        .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(checks))
        .with_ice_timeouts(Some(interrupted), Some(failed), Some(keepalive))
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE_SIZE))
        .build()
}

/// Lets a connection fail that does not stand in time.
async fn give_up_in_time(state: watch::Sender<RTCPeerConnectionState>, within: Duration, stalled: Arc<AtomicBool>) {
    use RTCPeerConnectionState::{Closed, Connected, Failed};
    let mut states = state.subscribe();
    let settled = states.wait_for(|state| matches!(state, Connected | Failed | Closed));
    if timeout(within, settled).await.is_err() {
        tracing::debug!("a connection did not come to stand");
        stalled.store(true, Ordering::Release);
        state.send_replace(Failed);
    }
}

/// Turns the callbacks of a connection into values that can be watched.
struct Events {
    state: watch::Sender<RTCPeerConnectionState>,
    gathering: watch::Sender<RTCIceGatheringState>,
    gate: Arc<Gate>,
    tracks: Option<mpsc::Sender<Arc<dyn TrackRemote>>>,
}

#[async_trait]
impl PeerConnectionEventHandler for Events {
    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        if let Some(tracks) = &self.tracks
            && tracks.try_send(track).is_err()
        {
            tracing::debug!("a track of the other side is not taken");
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathering.send_replace(state);
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        if matches!(state, RTCIceConnectionState::Connected | RTCIceConnectionState::Completed) {
            self.gate.reached(Stage::Connected);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        tracing::debug!(%state, "peer connection");
        self.state.send_replace(state);
    }
}
