//! Peer connections. The only module that knows the `webrtc` crate.
//!
//! The server offers, the client answers, candidates are inside the session descriptions.

use std::collections::BTreeMap;

use crate::video::Feed;

/// Something in the WebRTC stack refused; the message is for logs.
#[derive(Debug, thiserror::Error)]
#[error("webrtc: {0}")]
pub struct RtcError(pub String);

/// An offer to send to the client.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The session description with all candidates.
    pub sdp: String,
    /// Camera name of each mid.
    pub tracks: BTreeMap<String, String>,
}

/// One client's video connection. Closes when dropped.
pub struct VideoPeer {}

impl VideoPeer {
    /// Builds a connection with one sendonly track per feed, in order, and its offer.
    ///
    /// # Errors
    /// [`RtcError`] if no connection can be built, for example because no socket can be bound.
    pub async fn offer(_feeds: &[Feed]) -> Result<(Self, Offer), RtcError> {
        unimplemented!()
    }

    /// Applies the client's answer; pictures flow as soon as the connection stands.
    ///
    /// # Errors
    /// [`RtcError`] if the answer does not fit; the connection stays as it was.
    pub async fn answer(&self, _sdp: String) -> Result<(), RtcError> {
        unimplemented!()
    }

    /// Waits until the connection has failed or was closed by the client.
    pub async fn closed(&self) {
        unimplemented!()
    }

    /// Closes the connection and all its sockets.
    pub async fn close(self) {
        unimplemented!()
    }
}
