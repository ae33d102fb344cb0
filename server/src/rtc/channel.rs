//! A data channel of a connection to an SFU.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rtc::data_channel::RTCDataChannelInit;
use webrtc::data_channel::{DataChannel, DataChannelEvent};

use super::RtcError;
use super::connection::MAX_MESSAGE_SIZE;

/// How a channel is opened: both sides know its number and what it does, nothing is said about it in band.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSetup {
    /// Its name.
    pub label: String,
    /// The number of its SCTP streams.
    pub id: u16,
    /// Whether messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// How often a lost message is sent again; none for as often as it takes.
    pub max_retransmits: Option<u16>,
}

/// A message of the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelMessage {
    /// Whether it came as text.
    pub text: bool,
    /// What it says; text is not checked to be UTF-8.
    pub data: Bytes,
}

/// An open channel. Cheap to clone; all clones are one channel, which [`Channel::close`] closes.
#[derive(Clone)]
pub struct Channel(Arc<dyn DataChannel>);

impl Channel {
    pub(super) fn new(channel: Arc<dyn DataChannel>) -> Self {
        Self(channel)
    }

    pub(super) fn init(setup: &ChannelSetup) -> RTCDataChannelInit {
        RTCDataChannelInit {
            ordered: setup.ordered,
            max_retransmits: setup.max_retransmits,
            negotiated: Some(setup.id),
            ..RTCDataChannelInit::default()
        }
    }

    /// The next message; none when the channel is closed. Larger ones than 256 KiB are left out.
    pub async fn next(&self) -> Option<ChannelMessage> {
        loop {
            match self.0.poll().await? {
                DataChannelEvent::OnMessage(message) if message.data.len() <= MAX_MESSAGE_SIZE as usize => {
                    return Some(ChannelMessage { text: message.is_string, data: message.data.freeze() });
                }
                DataChannelEvent::OnClose => return None,
                _ => {}
            }
        }
    }

    /// Sends text, unless more than 1 MiB waits already.
    ///
    /// # Errors
    /// [`RtcError`] if the channel is closed, or the other side does not take what was sent before.
    pub async fn send_text(&self, text: &str) -> Result<(), RtcError> {
        Ok(self.0.try_send_text(text).await?)
    }

    /// The same for bytes.
    ///
    /// # Errors
    /// As [`Channel::send_text`].
    pub async fn send(&self, data: &[u8]) -> Result<(), RtcError> {
        Ok(self.0.try_send(BytesMut::from(data)).await?)
    }

    /// Closes the channel; the others of its connection go on.
    pub async fn close(&self) {
        // Fails only if the connection is closed, and the channel with it.
        if let Err(error) = self.0.close().await {
            tracing::debug!(%error, "a channel did not close cleanly");
        }
    }
}
