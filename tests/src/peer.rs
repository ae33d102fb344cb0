//! The client's side of the robot's WebRTC connections, without a browser.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use async_trait::async_trait;
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::media::io::sample_builder::SampleBuilder;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::{RTCIceServer, RTCIceTransportPolicy};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp::codec::h264::H264Packet;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use waldo_protocol::vr::VrFrame;
use waldo_server::sensors::stamp;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceGatheringState, SettingEngineBuilder,
};

use crate::client::{Client, PATIENCE};

/// Tracks and channels of one connection that wait to be taken.
const MOST: usize = 16;

/// Packets that the wait for a lost one may cost before its picture is given up.
const LATE: u16 = 256;

/// The same in time.
const LATEST: Duration = Duration::from_millis(300);

/// RTP clock of video, in Hz.
const CLOCK_RATE: u32 = 90_000;

/// One connection, as a client has it.
pub struct Peer {
    connection: Arc<dyn PeerConnection>,
    tracks: mpsc::Receiver<Arc<dyn TrackRemote>>,
    channels: mpsc::Receiver<Arc<dyn DataChannel>>,
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
        // Nobody takes more than there is room for.
        let _ = self.tracks.try_send(track);
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        let _ = self.channels.try_send(channel);
    }
}

impl Peer {
    /// Asks on this socket for the cameras, from this address of the client.
    ///
    /// # Errors
    /// If the server has none to show, or no offer comes.
    pub async fn video(client: &mut Client, address: IpAddr) -> Result<Self> {
        Self::negotiate(client, address, "webrtc").await
    }

    /// As [`Self::video`], by the relays that the offer names and in no other way.
    ///
    /// # Errors
    /// If the server has none to show, no offer comes, or no relay lets this client in.
    pub async fn relayed_video(client: &mut Client, address: IpAddr) -> Result<Self> {
        client.send(r#"{"type":"webrtc-request"}"#).await?;
        let offer = client.receive_type("webrtc-offer").await?;
        let relays = relays(&offer["iceServers"]).context("an offer without relays")?;
        let sdp = offer["sdp"].as_str().context("an offer without SDP")?;
        let (peer, answer) = Self::answer_by(sdp, address, Some(relays)).await?;
        let ways: Vec<_> = answer.lines().filter(|line| line.starts_with("a=candidate:")).collect();
        ensure!(
            !ways.is_empty() && ways.iter().all(|way| way.contains(" typ relay")),
            "not by a relay alone: {ways:?}"
        );
        client.send(json!({ "type": "webrtc-answer", "sdp": answer }).to_string()).await?;
        Ok(peer)
    }

    /// Asks on this socket for the pose channel, from this address of the client.
    ///
    /// # Errors
    /// If no offer comes.
    pub async fn poses(client: &mut Client, address: IpAddr) -> Result<Self> {
        Self::negotiate(client, address, "control").await
    }

    async fn negotiate(client: &mut Client, address: IpAddr, kind: &str) -> Result<Self> {
        client.send(json!({ "type": format!("{kind}-request") }).to_string()).await?;
        Self::answer_next(client, address, kind).await
    }

    /// Takes the next offer of cameras that comes without having been asked for, from this address of the client.
    ///
    /// # Errors
    /// If no offer comes.
    pub async fn pushed_video(client: &mut Client, address: IpAddr) -> Result<Self> {
        Self::answer_next(client, address, "webrtc").await
    }

    /// Takes the next offer of a pose channel that comes without having been asked for, from this address of the client.
    ///
    /// # Errors
    /// If no offer comes.
    pub async fn pushed_poses(client: &mut Client, address: IpAddr) -> Result<Self> {
        Self::answer_next(client, address, "control").await
    }

    async fn answer_next(client: &mut Client, address: IpAddr, kind: &str) -> Result<Self> {
        let offer = client.receive_type(&format!("{kind}-offer")).await?;
        let (peer, answer) = Self::answer(offer["sdp"].as_str().context("an offer without SDP")?, address).await?;
        client.send(json!({ "type": format!("{kind}-answer"), "sdp": answer }).to_string()).await?;
        Ok(peer)
    }

    /// A connection that has taken this offer, and its answer with all candidates, which belong to this address.
    ///
    /// # Errors
    /// If the offer is none, or no socket can be bound.
    pub async fn answer(offer: &str, address: IpAddr) -> Result<(Self, String)> {
        Self::answer_by(offer, address, None).await
    }

    /// By these relays alone, if there are any.
    async fn answer_by(offer: &str, address: IpAddr, relays: Option<Vec<RTCIceServer>>) -> Result<(Self, String)> {
        let configuration = match relays {
            Some(relays) => RTCConfigurationBuilder::new()
                .with_ice_servers(relays)
                .with_ice_transport_policy(RTCIceTransportPolicy::Relay),
            None => RTCConfigurationBuilder::new(),
        };
        let mut engine = MediaEngine::default();
        engine.register_default_codecs()?;
        let registry = register_default_interceptors(Registry::new(), &mut engine)?;
        let gathering = watch::Sender::new(RTCIceGatheringState::New);
        let mut gathering_state = gathering.subscribe();
        let (tracks, received_tracks) = mpsc::channel(MOST);
        let (channels, received_channels) = mpsc::channel(MOST);
        let connection = PeerConnectionBuilder::new()
            .with_configuration(configuration.build())
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(
                SettingEngineBuilder::new().with_multicast_dns_mode(MulticastDnsMode::Disabled).build(),
            )
            .with_udp_addrs(vec![SocketAddr::new(address, 0)])
            .with_handler(Arc::new(Events { gathering, tracks, channels }))
            .build()
            .await?;
        connection.set_remote_description(RTCSessionDescription::offer(offer.to_owned())?).await?;
        let answer = connection.create_answer(None).await?;
        connection.set_local_description(answer).await?;
        timeout(PATIENCE, gathering_state.wait_for(|state| *state == RTCIceGatheringState::Complete)).await??;
        let answer = connection.local_description().await.context("no answer")?.sdp;
        let peer = Self { connection: Arc::new(connection), tracks: received_tracks, channels: received_channels };
        Ok((peer, answer))
    }

    /// The next camera that shows something.
    ///
    /// # Errors
    /// If none comes in time.
    pub async fn camera(&mut self) -> Result<RemoteCamera> {
        let track = timeout(PATIENCE, self.tracks.recv()).await.context("no track")?.context("the connection ended")?;
        RemoteCamera::new(track)
    }

    /// The pose channel, open.
    ///
    /// # Errors
    /// If it does not open in time.
    pub async fn channel(&mut self) -> Result<PoseChannel> {
        let opened = async {
            let channel = self.channels.recv().await.context("the connection ended")?;
            while !matches!(channel.poll().await.context("the channel ended")?, DataChannelEvent::OnOpen) {}
            Ok(PoseChannel(channel))
        };
        timeout(PATIENCE, opened).await.context("no pose channel")?
    }

    /// Says goodbye. Dropping it says nothing: the server then notices by silence.
    ///
    /// # Errors
    /// If the connection was broken before.
    pub async fn close(self) -> Result<()> {
        Ok(self.connection.close().await?)
    }
}

/// The list of an offer.
fn relays(listed: &Value) -> Option<Vec<RTCIceServer>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let server = |entry: &Value| {
        let urls = entry["urls"].as_array()?.iter().map(text).collect::<Option<_>>()?;
        Some(RTCIceServer { urls, username: text(&entry["username"])?, credential: text(&entry["credential"])? })
    };
    listed.as_array()?.iter().map(server).collect()
}

/// The data channel that carries poses.
pub struct PoseChannel(Arc<dyn DataChannel>);

impl PoseChannel {
    /// Sends a pose frame.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn send_frame(&self, frame: &VrFrame) -> Result<()> {
        let mut text = String::new();
        frame.encode(&mut text);
        self.send(&text).await
    }

    /// Sends a text.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn send(&self, text: &str) -> Result<()> {
        self.0.send_text(text).await.map_err(|error| anyhow!("the pose channel: {error}"))
    }
}

/// One camera as a client sees it. Lost packets are asked for again; a picture that cannot be decoded asks for a
/// keyframe.
pub struct RemoteCamera {
    track: Arc<dyn TrackRemote>,
    frames: SampleBuilder<H264Packet>,
    decoder: Decoder,
    /// The widest picture so far: the camera's width, of which a narrow network leaves less.
    widest: usize,
}

/// A decoded picture.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The latency stamp, if the picture has one. A camera is taken to be as wide as its widest picture so far.
    pub stamp: Option<u32>,
    /// Brightness, blue and red difference of the pixel in the middle.
    pub middle: [u8; 3],
}

impl RemoteCamera {
    fn new(track: Arc<dyn TrackRemote>) -> Result<Self> {
        let frames = SampleBuilder::new(LATE, H264Packet::default(), CLOCK_RATE).with_max_time_delay(LATEST);
        Ok(Self { track, frames, decoder: Decoder::new()?, widest: 0 })
    }

    /// The next picture. Safe to cancel.
    ///
    /// # Errors
    /// If the connection ended.
    pub async fn picture(&mut self) -> Result<Seen> {
        loop {
            while let Some(frame) = self.frames.pop(Instant::now()) {
                if let Ok(Some(picture)) = self.decoder.decode(&frame.data) {
                    let ((width, height), (stride, u_stride, v_stride)) = (picture.dimensions(), picture.strides());
                    let (x, y) = (width / 4, height / 4);
                    let middle = [
                        picture.y()[2 * y * stride + 2 * x],
                        picture.u()[y * u_stride + x],
                        picture.v()[y * v_stride + x],
                    ];
                    self.widest = self.widest.max(width);
                    let stamp = stamp::read_scaled(self.widest, width, height, |x, y| picture.y()[y * stride + x]);
                    return Ok(Seen { width, height, stamp, middle });
                }
                self.request_keyframe().await?;
            }
            self.packet().await?;
        }
    }

    /// Takes a packet without decoding it, for clients that only want to be sent pictures; true if it was the last of a
    /// picture. Safe to cancel.
    ///
    /// # Errors
    /// If the connection ended.
    pub async fn skip(&mut self) -> Result<bool> {
        loop {
            match self.track.poll().await {
                Some(TrackRemoteEvent::OnRtpPacket(packet)) => return Ok(packet.header.marker),
                Some(_) => {}
                None => bail!("the track ended"),
            }
        }
    }

    async fn packet(&mut self) -> Result<()> {
        match self.track.poll().await {
            Some(TrackRemoteEvent::OnRtpPacket(packet)) => self.frames.push(Instant::now(), packet),
            Some(_) => {}
            None => bail!("the track ended"),
        }
        Ok(())
    }

    async fn request_keyframe(&self) -> Result<()> {
        let ssrcs = self.track.ssrcs().await;
        let media_ssrc = *ssrcs.first().context("a track without a source")?;
        Ok(self.track.write_rtcp(vec![Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc })]).await?)
    }
}
