//! The client of the tests: a WebRTC peer in the same process, over loopback.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::MIME_TYPE_VP8;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp::codec::h264::H264Packet;
use rtc::rtp::packetizer::Depacketizer;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use waldo_server::rtc::{Offer, VideoPeer};
use webrtc::data_channel::DataChannel;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    SettingEngineBuilder,
};

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// The client side of a connection.
pub(crate) struct Client {
    pub(crate) peer: Arc<dyn PeerConnection>,
    tracks: mpsc::Receiver<Arc<dyn TrackRemote>>,
    pub(crate) channels: mpsc::Receiver<Arc<dyn DataChannel>>,
}

struct Events {
    gathering: watch::Sender<RTCIceGatheringState>,
    tracks: mpsc::Sender<Arc<dyn TrackRemote>>,
    channels: mpsc::Sender<Arc<dyn DataChannel>>,
}

#[async_trait]
impl PeerConnectionEventHandler for Events {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathering.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.tracks.send(track).await.unwrap();
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        self.channels.send(channel).await.unwrap();
    }
}

/// All codecs that the library knows.
fn engine() -> MediaEngine {
    let mut engine = MediaEngine::default();
    engine.register_default_codecs().unwrap();
    engine
}

impl Client {
    /// A client that has taken an offer, and its answer.
    pub(crate) async fn of(offer: &str) -> (Self, String) {
        Self::taking(offer, &[], engine()).await
    }

    /// A client that has VP8 and nothing else; its payload type is its own.
    pub(crate) async fn with_vp8_alone(offer: &str) -> (Self, String) {
        let mut engine = MediaEngine::default();
        let rtp_codec = RTCRtpCodec { mime_type: MIME_TYPE_VP8.into(), clock_rate: 90_000, ..RTCRtpCodec::default() };
        let codec = RTCRtpCodecParameters { rtp_codec, payload_type: 96 };
        engine.register_codec(codec, RtpCodecKind::Video).unwrap();
        Self::taking(offer, &[], engine).await
    }

    /// A client behind a firewall that lets no UDP through.
    pub(crate) async fn without_udp(offer: &str) -> (Self, String) {
        let is_udp = |line: &&str| line.starts_with("a=candidate:") && !line.contains(" tcp ");
        let without = |sdp: &str| sdp.lines().filter(|line| !is_udp(line)).map(|l| format!("{l}\r\n")).collect();
        let offer: String = without(offer);
        let (client, answer) = Self::taking(&offer, &["127.0.0.1:0"], engine()).await;
        // A browser calls the TCP candidates of a description; this client does so only with those it is told singly.
        for line in offer.lines().filter(|line| line.contains(" tcptype passive")) {
            let candidate = line.trim_start_matches("a=").to_owned();
            let init = RTCIceCandidateInit { candidate, ..RTCIceCandidateInit::default() };
            client.peer.add_ice_candidate(init).await.unwrap();
        }
        (client, without(&answer))
    }

    async fn taking(offer: &str, tcp: &[&'static str], mut engine: MediaEngine) -> (Self, String) {
        let registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
        let gathering = watch::Sender::new(RTCIceGatheringState::New);
        let mut gathering_state = gathering.subscribe();
        let (tracks, received_tracks) = mpsc::channel(16);
        let (channels, received_channels) = mpsc::channel(16);
        let peer = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(
                SettingEngineBuilder::new().with_multicast_dns_mode(MulticastDnsMode::Disabled).build(),
            )
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .with_tcp_addrs(tcp.to_vec())
            .with_handler(Arc::new(Events { gathering, tracks, channels }))
            .build()
            .await
            .unwrap();
        peer.set_remote_description(RTCSessionDescription::offer(offer.to_owned()).unwrap()).await.unwrap();
        let answer = peer.create_answer(None).await.unwrap();
        peer.set_local_description(answer).await.unwrap();
        let complete = gathering_state.wait_for(|state| *state == RTCIceGatheringState::Complete);
        in_time("gathering", complete).await.unwrap();
        let answer = peer.local_description().await.unwrap().sdp;
        (Self { peer: Arc::new(peer), tracks: received_tracks, channels: received_channels }, answer)
    }

    /// A client that has answered the peer.
    pub(crate) async fn connect(peer: &VideoPeer, offer: &Offer) -> Self {
        let (client, answer) = Self::of(&offer.sdp).await;
        peer.answer(answer).await.unwrap();
        client
    }

    /// Waits for the first track that shows something.
    #[cfg(feature = "vp8")]
    pub(crate) async fn first_track(&mut self) -> Received {
        Received::new(in_time("a track", self.tracks.recv()).await.unwrap())
    }

    /// Waits for as many tracks as were offered; gives them by mid.
    pub(crate) async fn tracks(&mut self, count: usize) -> BTreeMap<String, Received> {
        let mut by_id = BTreeMap::new();
        for _ in 0..count {
            let track = in_time("a track", self.tracks.recv()).await.unwrap();
            by_id.insert(track.track_id().await, track);
        }
        let mut by_mid = BTreeMap::new();
        for transceiver in self.peer.get_transceivers().await {
            let mid = transceiver.mid().await.unwrap().unwrap();
            let id = transceiver.receiver().await.unwrap().unwrap().track().track_id().await;
            by_mid.insert(mid, Received::new(by_id.remove(&id).unwrap()));
        }
        by_mid
    }
}

/// One camera as the client sees it.
pub(crate) struct Received {
    pub(crate) track: Arc<dyn TrackRemote>,
    depacketizer: H264Packet,
    decoder: Decoder,
    data: Vec<u8>,
}

/// What one received frame shows.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) size: (usize, usize),
    pub(crate) middle: [u8; 3],
    pub(crate) keyframe: bool,
}

impl Received {
    fn new(track: Arc<dyn TrackRemote>) -> Self {
        Self { track, depacketizer: H264Packet::default(), decoder: Decoder::new().unwrap(), data: Vec::new() }
    }

    pub(crate) async fn frame(&mut self) -> Seen {
        loop {
            let event = in_time("a packet", self.track.poll()).await.expect("the track has ended");
            let TrackRemoteEvent::OnRtpPacket(packet) = event else {
                continue;
            };
            self.data.extend(self.depacketizer.depacketize(&packet.payload).unwrap());
            if !packet.header.marker {
                continue;
            }
            let data = std::mem::take(&mut self.data);
            let keyframe = data.windows(4).any(|w| w[..3] == [0, 0, 1] && w[3] & 0x1f == 5);
            let Ok(Some(picture)) = self.decoder.decode(&data) else {
                // The first packets may arrive before the client has the keys.
                self.request_keyframe().await;
                continue;
            };
            let (width, height) = picture.dimensions();
            let mut rgb = vec![0; width * height * 3];
            picture.write_rgb8(&mut rgb);
            let middle = (height / 2 * width + width / 2) * 3;
            return Seen { size: (width, height), middle: [rgb[middle], rgb[middle + 1], rgb[middle + 2]], keyframe };
        }
    }

    pub(crate) async fn request_keyframe(&self) {
        let media_ssrc = self.track.ssrcs().await[0];
        let pli = PictureLossIndication { sender_ssrc: 1, media_ssrc };
        self.track.write_rtcp(vec![Box::new(pli)]).await.unwrap();
    }
}
