//! The connection that carries pose frames from one client.

use std::future::ready;
use std::sync::Arc;

use rtc::data_channel::RTCDataChannelInit;
use rtc::interceptor::Registry;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::PeerConnection;

use super::connection::{CONNECT_LIMIT, Connection, MAX_MESSAGE_SIZE, on};
use super::network::Network;
use super::runtime::Lane;
use super::{AnswerError, RtcError};

/// The channel's label; clients use no other.
const LABEL: &str = "pose";

/// Adds the channel to a connection.
async fn pose_channel(peer: &dyn PeerConnection) -> Result<Arc<dyn DataChannel>, RtcError> {
    let lossy = RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..RTCDataChannelInit::default() };
    Ok(peer.create_data_channel(LABEL, Some(lossy)).await?)
}

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
        let channel = on(connection.runtime(), async move { pose_channel(&*peer).await }).await??;
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
        self.0.answer(sdp, CONNECT_LIMIT, |_| ready(Ok(()))).await
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use async_trait::async_trait;
    use rtc::ice::mdns::MulticastDnsMode;
    use rtc::peer_connection::sdp::RTCSessionDescription;
    use tokio::sync::{mpsc, watch};
    use tokio::time::timeout;
    use webrtc::peer_connection::{
        PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState, SettingEngineBuilder,
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    struct Events {
        gathering: watch::Sender<RTCIceGatheringState>,
        channels: mpsc::Sender<Arc<dyn DataChannel>>,
    }

    #[async_trait]
    impl PeerConnectionEventHandler for Events {
        async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
            self.gathering.send_replace(state);
        }

        async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
            let _ = self.channels.try_send(channel);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lost_pose_is_never_sent_again() {
        // Asked of our own side: the crate does not tell it of a channel that the other side opened.
        let (engine, network) = (MediaEngine::default(), Network::default());
        let connection = Connection::open(Lane::Poses, &network, engine, Registry::new()).await.unwrap();
        let peer = connection.peer().clone();
        let channel = on(connection.runtime(), async move { pose_channel(&*peer).await }).await.unwrap().unwrap();
        assert_eq!(channel.max_retransmits().await.unwrap(), Some(0));
        assert_eq!(channel.max_packet_life_time().await.unwrap(), None);
        connection.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_channel_that_a_client_gets_is_unordered_and_negotiated_in_band() {
        let (peer, offer) = PosePeer::offer(&Network::default(), |_| {}).await.unwrap();
        let (gathering, mut gathered) = watch::channel(RTCIceGatheringState::New);
        let (channels, mut opened) = mpsc::channel(1);
        let client = PeerConnectionBuilder::new()
            .with_setting_engine(
                SettingEngineBuilder::new().with_multicast_dns_mode(MulticastDnsMode::Disabled).build(),
            )
            .with_udp_addrs(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])
            .with_handler(Arc::new(Events { gathering, channels }))
            .build()
            .await
            .unwrap();
        client.set_remote_description(RTCSessionDescription::offer(offer).unwrap()).await.unwrap();
        let answer = client.create_answer(None).await.unwrap();
        client.set_local_description(answer).await.unwrap();
        timeout(PATIENCE, gathered.wait_for(|state| *state == RTCIceGatheringState::Complete)).await.unwrap().unwrap();
        peer.answer(client.local_description().await.unwrap().sdp).await.unwrap();
        let channel = timeout(PATIENCE, opened.recv()).await.unwrap().unwrap();
        assert_eq!((channel.label().await.unwrap(), channel.protocol().await.unwrap()), ("pose".into(), String::new()));
        assert!(!channel.ordered().await.unwrap());
        // Announced by the channel's own first message, not agreed on beforehand.
        assert!(!channel.negotiated().await.unwrap());
        client.close().await.unwrap();
        peer.close().await;
    }
}
