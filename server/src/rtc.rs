//! Peer connections. The only module that knows the `webrtc` crate.
//!
//! The server offers, the client or an SFU answers, candidates are inside the session descriptions. Everything here runs on
//! threads of its own: video never delays the tasks that carry poses.

mod addresses;
mod answer;
mod channel;
mod connection;
mod estimate;
mod keyframe_requests;
mod link;
mod media;
mod network;
mod pace;
mod passage;
mod ports;
mod pose_peer;
mod relay_secret;
mod resend;
mod robot_peer;
mod runtime;
mod sockets;
mod tcp;
mod track;
mod video_peer;

pub use channel::{Channel, ChannelMessage, ChannelSetup};
pub use link::VideoRate;
pub use network::Network;
pub use pose_peer::PosePeer;
pub use robot_peer::{PeerQuality, PeerState, RobotPeer, Voice};
pub use video_peer::{Offer, VideoPeer, Viewer};

/// Something in the WebRTC stack refused; the message is for logs.
#[derive(Debug, thiserror::Error)]
#[error("webrtc: {0}")]
pub struct RtcError(pub String);

/// Why an answer is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The client takes none of the codecs that were offered.
    #[error("the client takes none of the codecs that this server has: {:?}", crate::video::Codec::ALL)]
    NoCodec,
    /// It does not fit, or the stack refused it.
    #[error(transparent)]
    Rtc(#[from] RtcError),
}

impl From<rtc::shared::error::Error> for AnswerError {
    fn from(error: rtc::shared::error::Error) -> Self {
        Self::Rtc(error.into())
    }
}

impl From<rtc::shared::error::Error> for RtcError {
    fn from(error: rtc::shared::error::Error) -> Self {
        Self(error.to_string())
    }
}
