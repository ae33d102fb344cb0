//! Engines that forward channels and pictures between robots, operators and viewers, behind one trait.
//!
//! The broker decides who may talk to whom; an engine carries it out. Engines terminate WebRTC themselves or ask a service that does:
//! `embedded` runs in this program, `process` speaks to `waldo-broker sfu`, `cloudflare` to Cloudflare Realtime. LiveKit relays no
//! descriptions and bridges nothing; the broker only hands out its tokens.

pub mod cloudflare;
pub mod embedded;
pub(crate) mod http;
pub mod process;

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use waldo_protocol::hosted::RobotChannelIds;

/// The name of one WebRTC peer at an engine; `cf_session_id` on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PeerId(String);

impl PeerId {
    /// Takes over a name that an engine gave, for instance from the store.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The name as it is on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a peer is, which decides what may flow to it and from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerKind {
    /// Publishes video, telemetry and map; takes commands and the operator's voice.
    Robot,
    /// Publishes commands and a voice; takes the rest.
    Operator,
    /// Publishes nothing.
    Viewer,
}

/// A peer to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPeer {
    /// What it is.
    pub kind: PeerKind,
    /// Whose it is. Nothing ever flows between peers of different tenants.
    pub tenant: String,
    /// Its complete offer, with its candidates.
    pub offer: String,
    /// A robot that asked for pushes (`push/1`): channel ids go to it over `ctl_reliable`, SCTP id 2, as soon as a bridge opens or closes.
    #[serde(default)]
    pub push: bool,
}

/// A published track, as its owner's offer names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// The m-section's `a=mid`.
    pub mid: String,
    /// The track's name: the second token of its `a=msid`.
    pub name: String,
}

/// The SCTP ids of the four channels at one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LegIds {
    /// `cmd_unreliable`
    pub cmd: u16,
    /// `state_reliable`
    pub state: u16,
    /// `state_reliable_back`
    pub state_back: u16,
    /// `map_unreliable`
    pub map: u16,
}

impl LegIds {
    /// What a robot is told of its ids: in a heartbeat's reply, and pushed. Nulls without a bridge.
    pub(crate) fn told(ids: Option<Self>) -> RobotChannelIds {
        RobotChannelIds {
            cmd_channel_subscriber_id: ids.map(|ids| ids.cmd),
            state_channel_subscriber_id: ids.map(|ids| ids.state),
            state_back_channel_publisher_id: ids.map(|ids| ids.state_back),
            map_channel_publisher_id: ids.map(|ids| ids.map),
        }
    }
}

/// The SCTP ids of a viewer's two channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ViewerIds {
    /// `state_reliable_back`
    pub state_back: u16,
    /// `map_unreliable`
    pub map: u16,
}

/// An open connection between a robot's channels and an operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bridge {
    /// Counts the bridges of a session; chosen by the broker, grows.
    pub generation: u64,
    /// The ids the robot opens.
    pub robot: LegIds,
    /// The ids the operator opens.
    pub operator: LegIds,
}

/// Which side of a bridge an error speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// The robot's.
    Robot,
    /// The operator's or the viewer's.
    Operator,
    /// One of both; the engine did not say which.
    Unknown,
}

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", content = "detail", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EngineError {
    /// A peer is not connected yet; asking again later may help. The engine has waited for it already.
    #[error("not ready: {0}")]
    NotReady(String),
    /// A peer is not there any more; it has to be made anew.
    #[error("gone: {detail}")]
    Gone {
        /// Whose peer.
        leg: Leg,
        /// What is known about it.
        detail: String,
    },
    /// The engine understood and does not do it.
    #[error("refused: {0}")]
    Refused(String),
    /// The engine does not answer, or failed.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// What was given, or what the engine replied, makes no sense.
    #[error("malformed: {0}")]
    Malformed(String),
}

/// What became of the request for a picture; `video_status` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VideoStatus {
    /// The picture flows, or will once the offer is answered.
    Ok,
    /// The robot publishes no video.
    NoPublishedTrack,
    /// The engine did not publish the robot's track.
    PublishError,
    /// The engine did not subscribe the receiver to it.
    PullError,
    /// The engine has no offer to make: no picture has arrived from the robot.
    NoOffer,
}

impl VideoStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NoPublishedTrack => "no_published_track",
            Self::PublishError => "publish_error",
            Self::PullError => "pull_error",
            Self::NoOffer => "no_offer",
        }
    }
}

/// The result of [`Engine::attach_video`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// What became of it.
    pub status: VideoStatus,
    /// An offer that the receiver has to answer through [`Engine::submit_answer`] before anything flows. Without one and with status `Ok`
    /// the picture flows on an m-section that the receiver has already.
    pub offer: Option<String>,
}

/// Whether a peer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerState {
    /// Made, but never connected so far.
    Connecting,
    /// Connected.
    Connected,
    /// Was connected, is silent, and may come back.
    Lost,
}

/// What an engine can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Descriptions of peers go through the engine: offers in, answers out.
    pub sdp_relay: bool,
    /// Channels can be bridged.
    pub bridge: bool,
    /// Viewers can be attached.
    pub viewers: bool,
    /// Messages can be put into a robot's `state_reliable`.
    pub inject: bool,
    /// Events tell of lost peers within a second.
    pub presence_events: bool,
}

/// What happened at an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EngineEvent {
    /// A peer is connected, for the first time.
    PeerConnected {
        /// Which.
        peer: PeerId,
    },
    /// A peer is silent or has hung up. Its bridge is closed already, and if it was an operator's the robot was told `operator_lost`.
    PeerLost {
        /// Which.
        peer: PeerId,
        /// `ice`, `dtls`, `sctp`.
        reason: String,
    },
    /// A lost peer is heard again. Its bridge stays closed.
    PeerRecovered {
        /// Which.
        peer: PeerId,
    },
    /// A peer was removed: asked for, hung up, or lost for too long.
    PeerClosed {
        /// Which.
        peer: PeerId,
    },
    /// The engine closed a bridge by itself: a peer was lost, or a reliable channel did not move.
    BridgeClosed {
        /// The robot's peer.
        robot: PeerId,
        /// The operator's peer.
        operator: PeerId,
        /// Which bridge.
        generation: u64,
        /// A sentence for people.
        reason: String,
    },
    /// Media has begun to arrive on a track, or does so again.
    TrackActive {
        /// Its publisher.
        peer: PeerId,
        /// The m-section's `a=mid`.
        mid: String,
    },
    /// No media has arrived on a track for two seconds.
    TrackSilent {
        /// Its publisher.
        peer: PeerId,
        /// The m-section's `a=mid`.
        mid: String,
    },
    /// Events were lost before they could be told; ask [`Engine::peer_state`] for what matters.
    Missed,
}

/// Forwards between peers. All methods may be called at any time and from any task; for one peer they act in the order of the calls.
#[async_trait]
pub trait Engine: Send + Sync {
    /// What this engine can do.
    fn capabilities(&self) -> Capabilities;

    /// Makes a peer from its complete offer, and gives its name and the complete answer.
    ///
    /// # Errors
    /// `Malformed` for an offer that cannot be read, `Refused` if there are too many peers, else as the engine fails.
    async fn create_peer(&self, new: NewPeer) -> Result<(PeerId, String), EngineError>;

    /// Whether a peer is there, for instance after a restart of the broker.
    ///
    /// # Errors
    /// `Gone` if the engine does not know it.
    async fn peer_state(&self, peer: &PeerId) -> Result<PeerState, EngineError>;

    /// Connects the four channels of a robot and an operator, all or none, and waits a few seconds for both to be connected.
    ///
    /// A bridge that one of them still has is closed first. `generation` must be higher than at the robot's last bridge: ids follow from it.
    /// `previous` are the robot's ids of the bridge before, which an engine outside may still hold publications for.
    ///
    /// # Errors
    /// `NotReady` if a peer is not connected in time, `Gone` if it does not exist, `Refused` if both are not of one tenant.
    async fn open_bridge(
        &self,
        robot: &PeerId,
        operator: &PeerId,
        generation: u64,
        previous: Option<LegIds>,
    ) -> Result<Bridge, EngineError>;

    /// Ends a bridge. Nothing is forwarded any more when it returns, in either direction, pictures and voice included. The robot's side
    /// of `state_reliable` stays usable for [`Engine::inject`]. Tells whether there was anything to close: nothing happens if the bridge
    /// is not open (any more).
    ///
    /// # Errors
    /// `Unavailable`, `NotReady` or `Refused` if it may still be open.
    async fn close_bridge(&self, robot: &PeerId, operator: &PeerId, bridge: &Bridge) -> Result<bool, EngineError>;

    /// Whether a bridge is open, for instance after a restart of the broker. Engines that cannot tell say that it is.
    ///
    /// # Errors
    /// As the engine fails.
    async fn bridge_is_open(&self, robot: &PeerId, operator: &PeerId, generation: u64) -> Result<bool, EngineError> {
        let _ = (robot, operator, generation);
        Ok(true)
    }

    /// Lets a receiver, operator or viewer, have the robot's picture, and asks the robot for a key frame.
    async fn attach_video(&self, robot: &PeerId, track: &Track, receiver: &PeerId) -> Attached;

    /// Lets the robot have the operator's voice, for as long as their bridge is open. Gives an offer for the robot if it needs one.
    async fn attach_audio(&self, operator: &PeerId, track: &Track, robot: &PeerId) -> Option<String>;

    /// Lets a viewer have copies of the robot's `state_reliable_back`, without `pong` and `cmd_ack`, and of its `map_unreliable`, from
    /// whatever bridge the robot has. It ends with the viewer's peer, or with the robot's.
    ///
    /// # Errors
    /// As [`Engine::open_bridge`]; `Refused` if the engine knows no viewers.
    async fn attach_viewer(&self, robot: &PeerId, viewer: &PeerId) -> Result<ViewerIds, EngineError>;

    /// Takes the answer to the offer that this engine made last for a peer.
    ///
    /// # Errors
    /// `Refused` if no offer waits, `Malformed` if the answer does not fit.
    async fn submit_answer(&self, peer: &PeerId, sdp: &str) -> Result<(), EngineError>;

    /// Removes a peer and whatever hangs on it, bridges first. Unknown peers are no error.
    ///
    /// # Errors
    /// `Unavailable`, `NotReady` or `Refused` if it may still be there.
    async fn close_peer(&self, peer: &PeerId) -> Result<(), EngineError>;

    /// Sends a text frame to a robot on its `state_reliable`, as if an operator had, before what waits for it. A robot that may not have
    /// opened its channel yet may get it twice.
    ///
    /// # Errors
    /// `Refused` if the robot has no such channel, has closed it or is silent, or if the engine cannot do it; `Gone` if there is no such
    /// robot.
    async fn inject(&self, robot: &PeerId, text: &str) -> Result<(), EngineError>;

    /// The robot has been told the ids of this bridge, by a heartbeat's reply. What an operator said on `state_reliable` waits for it, at
    /// most two seconds, so that it meets an open channel. Engines that keep nothing ignore it.
    async fn ids_told(&self, robot: &PeerId, generation: u64) {
        let _ = (robot, generation);
    }

    /// What happens from now on. A receiver that does not keep up misses the oldest.
    fn events(&self) -> broadcast::Receiver<EngineEvent>;
}
