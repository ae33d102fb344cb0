//! The one connection of a robot to an SFU: one picture and messages to the operator, commands and a voice from them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc::peer_connection::transport::RTCIceCandidateType;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::statistics::StatsSelector;
use rtc::statistics::report::RTCStatsReportEntry;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::RTCPeerConnectionState;

use super::channel::{Channel, ChannelSetup};
use super::connection::{Connection, on};
use super::link::{Link, VideoRate};
use super::network::Network;
use super::runtime::Lane;
use super::track::{CodecChoice, Track};
use super::{AnswerError, RtcError, media};
use crate::clock;
use crate::video::{Codec, Feed};

/// Its label and number are those of the wire: it makes room for channels in the first offer, and stays open.
const FIRST_CHANNEL: &str = "_sctp_init";

/// Tracks of the other side that wait to be taken.
const TRACKS: usize = 4;

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Not yet, or not at present.
    Connecting,
    /// It stands.
    Connected,
    /// It will not stand again.
    Ended,
}

/// One packet of the operator's voice: Opus.
#[derive(Clone, Debug)]
pub struct Voice {
    /// Its place on a clock of 48 kHz that wraps around.
    pub timestamp: u32,
    /// Its number, which wraps around.
    pub sequence: u16,
    /// The Opus packet.
    pub payload: Bytes,
}

/// How the way to the SFU fares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeerQuality {
    /// Round trip of the connectivity checks.
    pub rtt: Option<Duration>,
    /// Bytes of video sent so far.
    pub sent: u64,
    /// Packets of video that were lost, in percent, as the other side reported last.
    pub loss_pct: Option<f64>,
    /// It goes over a relay of ours.
    pub relayed: bool,
}

/// A robot's connection. Closes when dropped.
pub struct RobotPeer {
    connection: Connection,
    codec: Arc<CodecChoice>,
    armed: watch::Sender<bool>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl RobotPeer {
    /// Builds the connection, in the order that SFUs and their clients rely on: one transport, then the picture, then room
    /// for a voice, then the first channel; and its offer, with all candidates.
    ///
    /// `feeds` says what to show; `drives` whether its network decides the bitrate, `video` the most
    /// of it. Nothing is sent before
    /// [`RobotPeer::arm`]. `voice` is called on the connection's thread with the operator's voice; it must not block.
    ///
    /// # Errors
    /// [`RtcError`] if no connection can be built, for example because no socket can be bound.
    pub async fn offer(
        network: &Network,
        feeds: watch::Receiver<Option<Feed>>,
        (drives, video): (Arc<AtomicBool>, Arc<VideoRate>),
        voice: impl FnMut(Voice) + Send + 'static,
    ) -> Result<(Self, String), RtcError> {
        let link = Link::bounded(clock::now(), 1, drives, video);
        let (voices, heard) = mpsc::channel(TRACKS);
        let mut connection = Connection::open_for(Lane::Robot, network, media::robot(&link)?, Some(voices)).await?;
        let peer = connection.peer().clone();
        let build = async move {
            let (track, codec) = Track::add(&*peer, 0, Codec::ALL, link).await?;
            let recvonly = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                streams: Vec::new(),
                send_encodings: Vec::new(),
            };
            peer.add_transceiver_from_kind(RtpCodecKind::Audio, Some(recvonly)).await?;
            let first = ChannelSetup { label: FIRST_CHANNEL.into(), id: 0, ordered: true, max_retransmits: None };
            let channel = peer.create_data_channel(&first.label, Some(Channel::init(&first))).await?;
            Ok::<_, RtcError>((track, codec, Channel::new(channel)))
        };
        let (track, codec, first_channel) = on(connection.runtime(), build).await??;
        let (armed, state) = (watch::Sender::new(false), connection.state());
        let arming = armed.subscribe();
        connection.run([async move {
            if let Err(error) = track.run_chosen(feeds, arming, state).await {
                tracing::debug!(%error, "the picture for the operator ended");
            }
        }]);
        let silent = async move { while first_channel.next().await.is_some() {} };
        let runtime = connection.runtime();
        let tasks = [runtime.spawn(listen(heard, voice)), runtime.spawn(silent)].map(AbortOnDropHandle::new);
        let sdp = connection.offer().await?;
        Ok((Self { connection, codec: Arc::new(codec), armed, _tasks: tasks }, sdp))
    }

    /// Applies the SFU's answer. The connection ends if it does not stand `within` this time.
    ///
    /// # Errors
    /// [`AnswerError`] if the answer does not fit, or the SFU takes no codec of ours.
    pub async fn answer(&self, sdp: String, within: Duration) -> Result<(), AnswerError> {
        let codec = Arc::clone(&self.codec);
        let choose = move |codecs: Vec<Codec>| async move {
            match codecs.first() {
                Some(first) => codec.choose(*first).await,
                None => Ok(()),
            }
        };
        self.connection.answer(sdp, within, choose).await
    }

    /// Takes an offer of the SFU, such as one for a voice, and gives the answer to it.
    ///
    /// # Errors
    /// [`RtcError`] if the offer does not fit; nothing else of the connection changes then.
    pub async fn take_offer(&self, sdp: String) -> Result<String, RtcError> {
        self.connection.take_offer(sdp).await
    }

    /// Lets pictures out, beginning with one that is taken from now on.
    pub fn arm(&self) {
        self.armed.send_replace(true);
    }

    /// Opens a channel. If the connection stands it can be used at once.
    ///
    /// # Errors
    /// [`RtcError`] if the connection is closed, or the number is taken.
    pub async fn open(&self, setup: ChannelSetup) -> Result<Channel, RtcError> {
        let peer = Arc::clone(self.connection.peer());
        let open = async move { peer.create_data_channel(&setup.label, Some(Channel::init(&setup))).await };
        Ok(Channel::new(on(self.connection.runtime(), open).await??))
    }

    /// Runs something on the connection's thread, until it ends or the result is dropped.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(self.connection.runtime().spawn(task))
    }

    /// How the connection stands now.
    pub fn state(&self) -> PeerState {
        seen(*self.connection.state().borrow())
    }

    /// Waits until the connection is in that state, or has ended; gives the state it is in.
    pub async fn reached(&self, wanted: PeerState) -> PeerState {
        let mut state = self.connection.state();
        let reached = state.wait_for(|state| seen(*state) == wanted || seen(*state) == PeerState::Ended).await;
        reached.map_or(PeerState::Ended, |state| seen(*state))
    }

    /// Waits until the connection is in that state no longer; gives the state it is in.
    pub async fn left(&self, before: PeerState) -> PeerState {
        let mut state = self.connection.state();
        let left = state.wait_for(|state| seen(*state) != before).await;
        left.map_or(PeerState::Ended, |state| seen(*state))
    }

    /// How the way to the SFU fares.
    pub async fn quality(&self) -> PeerQuality {
        let peer = Arc::clone(self.connection.peer());
        let ask = async move { peer.get_stats(Instant::now(), StatsSelector::None).await };
        let Ok(report) = on(self.connection.runtime(), ask).await else { return PeerQuality::default() };
        let pairs = || report.candidate_pairs().filter(|pair| pair.nominated);
        let relayed = pairs().any(|pair| match report.get(&pair.local_candidate_id) {
            Some(RTCStatsReportEntry::LocalCandidate(local)) => local.candidate_type == RTCIceCandidateType::Relay,
            _ => false,
        });
        let rtt = pairs().map(|pair| pair.current_round_trip_time).find(|seconds| *seconds > 0.0);
        let sent = report.outbound_rtp_streams().map(|stream| stream.sent_rtp_stream_stats.bytes_sent).sum();
        let loss = report.iter().find_map(|entry| match entry {
            RTCStatsReportEntry::RemoteInboundRtp(stream) => Some(stream.fraction_lost * 100.0),
            _ => None,
        });
        PeerQuality { rtt: rtt.and_then(|s| Duration::try_from_secs_f64(s).ok()), sent, loss_pct: loss, relayed }
    }

    /// Closes the connection and all its sockets.
    pub async fn close(&self) {
        self.connection.close().await;
    }
}

fn seen(state: RTCPeerConnectionState) -> PeerState {
    match state {
        RTCPeerConnectionState::Connected => PeerState::Connected,
        RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => PeerState::Ended,
        _ => PeerState::Connecting,
    }
}

/// Hands on the packets of whichever voice came last.
async fn listen(mut tracks: mpsc::Receiver<Arc<dyn TrackRemote>>, mut voice: impl FnMut(Voice)) {
    let Some(mut track) = tracks.recv().await else { return };
    loop {
        let event = tokio::select! {
            newer = tracks.recv() => match newer {
                Some(newer) => {
                    track = newer;
                    continue;
                }
                None => return,
            },
            event = track.poll() => event,
        };
        match event {
            Some(TrackRemoteEvent::OnRtpPacket(packet)) => voice(Voice {
                timestamp: packet.header.timestamp,
                sequence: packet.header.sequence_number,
                payload: packet.payload,
            }),
            Some(_) => {}
            None => match tracks.recv().await {
                Some(newer) => track = newer,
                None => return,
            },
        }
    }
}
