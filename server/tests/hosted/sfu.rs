//! The other end of the robot's connection: the SFU and the operator behind it in one peer.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::BytesMut;
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;
use rtc::data_channel::RTCDataChannelInit;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp::codec::h264::H264Packet;
use rtc::rtp::packetizer::Depacketizer;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use waldo_protocol::hosted::{ToOperator, ToRobot};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState, SettingEngineBuilder,
};

use crate::stage::in_time;

/// The source of the voice that it offers.
pub(crate) const VOICE: u32 = 7_654_321;

pub(crate) struct Sfu {
    peer: Arc<dyn PeerConnection>,
    state: watch::Receiver<RTCPeerConnectionState>,
    tracks: mpsc::Receiver<Arc<dyn TrackRemote>>,
    first: Arc<dyn DataChannel>,
}

struct Events {
    gathering: watch::Sender<RTCIceGatheringState>,
    state: watch::Sender<RTCPeerConnectionState>,
    tracks: mpsc::Sender<Arc<dyn TrackRemote>>,
}

#[async_trait]
impl PeerConnectionEventHandler for Events {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathering.send_replace(state);
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.tracks.send(track).await;
    }
}

impl Sfu {
    /// A peer that has taken the offer, and its answer.
    pub(crate) async fn answer(offer: &str) -> (Self, String) {
        let mut engine = MediaEngine::default();
        engine.register_default_codecs().unwrap();
        let registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
        let gathering = watch::Sender::new(RTCIceGatheringState::New);
        let mut gathered = gathering.subscribe();
        let (state, states) = watch::channel(RTCPeerConnectionState::New);
        let (tracks, received) = mpsc::channel(16);
        let settings = SettingEngineBuilder::new().with_multicast_dns_mode(MulticastDnsMode::Disabled).build();
        let peer = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings)
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .with_handler(Arc::new(Events { gathering, state, tracks }))
            .build()
            .await
            .unwrap();
        peer.set_remote_description(RTCSessionDescription::offer(offer.to_owned()).unwrap()).await.unwrap();
        let answer = peer.create_answer(None).await.unwrap();
        peer.set_local_description(answer).await.unwrap();
        in_time("gathering", gathered.wait_for(|state| *state == RTCIceGatheringState::Complete)).await.unwrap();
        let answer = peer.local_description().await.unwrap().sdp;
        let zero = RTCDataChannelInit { negotiated: Some(0), ..RTCDataChannelInit::default() };
        let first = peer.create_data_channel("_sctp_init", Some(zero)).await.unwrap();
        (Self { peer: Arc::new(peer), state: states, tracks: received, first }, answer)
    }

    pub(crate) async fn connected(&mut self) {
        let wanted = |state: &RTCPeerConnectionState| *state == RTCPeerConnectionState::Connected;
        in_time("a connection", self.state.wait_for(wanted)).await.unwrap();
    }

    /// The channel that was there before all others.
    pub(crate) async fn first_is_open(&self) -> bool {
        self.first.ready_state().await.is_ok_and(|state| state.to_string() == "open")
    }

    async fn open(&self, label: &str, id: u16, lossy: bool) -> Arc<dyn DataChannel> {
        let init = RTCDataChannelInit {
            ordered: !lossy,
            max_retransmits: lossy.then_some(0),
            negotiated: Some(id),
            ..RTCDataChannelInit::default()
        };
        self.peer.create_data_channel(label, Some(init)).await.unwrap()
    }

    /// The operator's four channels, beginning with this number.
    pub(crate) async fn operator(&self, first: u16) -> Operator {
        let cmd = self.open("cmd_unreliable", first, true).await;
        let state = self.open("state_reliable", first + 1, false).await;
        let back = self.open("state_reliable_back", first + 2, false).await;
        let map = self.open("map_unreliable", first + 3, true).await;
        Operator { cmd, state, back, map }
    }

    /// The robot's picture.
    pub(crate) async fn video(&mut self) -> Video {
        let track = in_time("a track", self.tracks.recv()).await.unwrap();
        Video { track, depacketizer: H264Packet::default(), decoder: Decoder::new().unwrap(), data: Vec::new() }
    }

    /// An offer with a voice for the robot, and the way that the voice takes.
    pub(crate) async fn offer_voice(&self) -> (String, Arc<TrackLocalStaticRTP>) {
        let opus = RTCRtpCodec {
            mime_type: "audio/opus".into(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: "minptime=10;useinbandfec=1".into(),
            rtcp_feedback: Vec::new(),
        };
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(VOICE), ..RTCRtpCodingParameters::default() },
            codec: opus,
            ..RTCRtpEncodingParameters::default()
        };
        let name = || "voice".to_owned();
        let track = MediaStreamTrack::new(name(), name(), name(), RtpCodecKind::Audio, vec![encoding]);
        let track = Arc::new(TrackLocalStaticRTP::new(track));
        self.peer.add_track(Arc::clone(&track) as _).await.unwrap();
        let offer = self.peer.create_offer(None).await.unwrap();
        self.peer.set_local_description(offer).await.unwrap();
        (self.peer.local_description().await.unwrap().sdp, track)
    }

    /// The robot's answer to that.
    pub(crate) async fn take_answer(&self, sdp: String) {
        self.peer.set_remote_description(RTCSessionDescription::answer(sdp).unwrap()).await.unwrap();
    }

    pub(crate) async fn close(&self) {
        self.peer.close().await.unwrap();
    }
}

/// An operator with channels to the robot.
pub(crate) struct Operator {
    cmd: Arc<dyn DataChannel>,
    state: Arc<dyn DataChannel>,
    back: Arc<dyn DataChannel>,
    map: Arc<dyn DataChannel>,
}

impl Operator {
    pub(crate) async fn command(&self, message: &[u8]) {
        self.cmd.send(BytesMut::from(message)).await.unwrap();
    }

    pub(crate) async fn say(&self, message: &ToRobot) {
        self.state.send_text(&message.encode()).await.unwrap();
    }

    pub(crate) async fn say_raw(&self, text: &str) {
        self.state.send_text(text).await.unwrap();
    }

    /// The next message of the way back, and whether it came as text.
    pub(crate) async fn hear(&self) -> (bool, ToOperator) {
        let (text, data) = next(&self.back).await;
        (text, ToOperator::decode(&data).unwrap())
    }

    /// The next message of the way back that is of this kind.
    pub(crate) async fn hear_until<T>(&self, wanted: impl Fn(ToOperator) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.hear().await.1) {
                return found;
            }
        }
    }

    /// The next message of the map channel.
    pub(crate) async fn see_map(&self) -> Value {
        serde_json::from_slice(&next(&self.map).await.1).unwrap()
    }

    /// Pings until the robot answers: its channels open with its next heartbeat.
    pub(crate) async fn meets(&self) {
        for attempt in 0..100 {
            self.say_raw(&format!(r#"{{"type":"ping","client_ts":{attempt}}}"#)).await;
            let pong = tokio::time::timeout(std::time::Duration::from_millis(300), async {
                self.hear_until(|message| matches!(message, ToOperator::Pong { .. }).then_some(())).await;
            });
            if pong.await.is_ok() {
                return;
            }
        }
        panic!("the robot does not answer");
    }
}

async fn next(channel: &Arc<dyn DataChannel>) -> (bool, Vec<u8>) {
    loop {
        match in_time("a message", channel.poll()).await {
            Some(DataChannelEvent::OnMessage(message)) => return (message.is_string, message.data.to_vec()),
            Some(_) => {}
            None => panic!("the channel is closed"),
        }
    }
}

/// The robot's picture as it arrives.
pub(crate) struct Video {
    track: Arc<dyn TrackRemote>,
    depacketizer: H264Packet,
    decoder: Decoder,
    data: Vec<u8>,
}

impl Video {
    /// Width and height of the next picture.
    pub(crate) async fn picture(&mut self) -> (usize, usize) {
        loop {
            let event = in_time("a packet", self.track.poll()).await.expect("the track has ended");
            let TrackRemoteEvent::OnRtpPacket(packet) = event else { continue };
            self.data.extend(self.depacketizer.depacketize(&packet.payload).unwrap());
            if !packet.header.marker {
                continue;
            }
            let data = std::mem::take(&mut self.data);
            match self.decoder.decode(&data) {
                Ok(Some(picture)) => return picture.dimensions(),
                _ => self.request_keyframe().await,
            }
        }
    }

    async fn request_keyframe(&self) {
        let media_ssrc = self.track.ssrcs().await[0];
        let pli = PictureLossIndication { sender_ssrc: 1, media_ssrc };
        self.track.write_rtcp(vec![Box::new(pli)]).await.unwrap();
    }
}
