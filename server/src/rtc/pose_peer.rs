//! The connection that carries pose frames from one client.

use std::future::ready;

use rtc::data_channel::RTCDataChannelInit;
use rtc::interceptor::Registry;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use webrtc::data_channel::DataChannelEvent;

use super::connection::{Connection, MAX_MESSAGE_SIZE, on};
use super::network::Network;
use super::runtime::Lane;
use super::{AnswerError, RtcError};

/// The channel's label; clients use no other.
const LABEL: &str = "pose";

/// One client's pose channel: unordered and without retransmission, so that a lost frame delays none after it. Closes
/// when dropped.
pub struct PosePeer(Connection);

impl PosePeer {
    /// Builds a connection with the pose channel in it, and its offer: a session description with all candidates.
    ///
    /// `on_text` gets each text message of at most 256 KiB in the order of arrival, on the thread of all pose channels;
    /// it must not block. Binary and larger messages are ignored, and so is text that is not UTF-8.
    ///
    /// # Errors
    /// [`RtcError`] if no connection can be built, for example because no socket can be bound.
    pub async fn offer(
        network: &Network,
        mut on_text: impl FnMut(&str) + Send + 'static,
    ) -> Result<(Self, String), RtcError> {
        let mut connection = Connection::open(Lane::Poses, network, MediaEngine::default(), Registry::new()).await?;
        let peer = connection.peer().clone();
        let lossy = RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..RTCDataChannelInit::default() };
        let channel =
            on(connection.runtime(), async move { peer.create_data_channel(LABEL, Some(lossy)).await }).await??;
        connection.run([async move {
            while let Some(event) = channel.poll().await {
                match event {
                    DataChannelEvent::OnMessage(message)
                        if message.is_string && message.data.len() <= MAX_MESSAGE_SIZE as usize =>
                    {
                        if let Ok(text) = std::str::from_utf8(&message.data) {
                            on_text(text);
                        }
                    }
                    DataChannelEvent::OnClose => break,
                    _ => {}
                }
            }
        }]);
        let sdp = connection.offer().await?;
        Ok((Self(connection), sdp))
    }

    /// Applies the client's answer; messages arrive as soon as the connection stands.
    ///
    /// # Errors
    /// [`AnswerError`] if the answer does not fit; the connection stays as it was.
    pub async fn answer(&self, sdp: String) -> Result<(), AnswerError> {
        self.0.answer(sdp, |_| ready(Ok(()))).await
    }

    /// Waits until the client has closed the channel, or the connection has failed, which takes about 10 s of silence. True if it was
    /// answered but never stood.
    pub async fn closed(&self) -> bool {
        self.0.closed().await
    }

    /// Closes the connection and all its sockets.
    pub async fn close(self) {
        self.0.close().await;
    }
}
