//! The connection that carries the cameras to one client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::connection::{CONNECT_LIMIT, Connection, on};
use super::link::Link;
use super::network::Network;
use super::runtime::Lane;
use super::track::{CodecChoice, Track};
use super::{AnswerError, RtcError, media};
use crate::clock;
use crate::video::{Codec, Feed};

/// An offer to send to the client.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The session description with all candidates.
    pub sdp: String,
    /// Camera name of each mid.
    pub tracks: BTreeMap<String, String>,
}

/// What a video connection needs to know of its client.
#[derive(Clone, Debug, Default)]
pub struct Viewer {
    /// Counts the client's offers, so that a late answer to one of them does not pass for the answer to the next.
    pub offer: u8,
    /// Whether the robot follows the client's hands at present: then the bitrate of the cameras follows its network.
    pub drives: Arc<AtomicBool>,
}

/// One client's video connection. Closes when dropped. Does not keep the feeds alive: the picture of one that has ended
/// stands still.
pub struct VideoPeer {
    connection: Connection,
    codecs: Arc<[CodecChoice]>,
}

impl VideoPeer {
    /// Builds a connection with one sendonly track per feed, in order, and its offer. The mids are "0", "1", ….
    ///
    /// # Errors
    /// [`RtcError`] if there is nothing to show, or no connection can be built, for example because no socket can be
    /// bound.
    pub async fn offer(network: &Network, feeds: &[Feed], viewer: &Viewer) -> Result<(Self, Offer), RtcError> {
        if feeds.is_empty() {
            return Err(RtcError("no cameras to offer".into()));
        }
        let link = Link::new(clock::now(), feeds.len(), Arc::clone(&viewer.drives));
        let (engine, registry) = media::video(viewer.offer, &link)?;
        let mut connection = Connection::open(Lane::Video, network, engine, registry).await?;
        let (mut senders, mut codecs) = (Vec::with_capacity(feeds.len()), Vec::with_capacity(feeds.len()));
        let mut tracks = BTreeMap::new();
        for (number, feed) in feeds.iter().enumerate() {
            let (peer, codecs_of_feed, link) = (connection.peer().clone(), feed.codecs(), Arc::clone(&link));
            let add = async move { Track::add(&*peer, number, codecs_of_feed, link).await };
            let added = on(connection.runtime(), add).await;
            let (track, codec) = added??;
            codecs.push(codec);
            let (state, name, feed) = (connection.state(), feed.name().to_owned(), feed.downgrade());
            tracks.insert(number.to_string(), name.clone());
            senders.push(async move {
                if let Err(error) = track.run(feed, state).await {
                    tracing::debug!(camera = name, %error, "a video track ended");
                }
            });
        }
        connection.run(senders);
        let sdp = connection.offer().await?;
        Ok((Self { connection, codecs: codecs.into() }, Offer { sdp, tracks }))
    }

    /// Applies the client's answer; pictures flow as soon as the connection stands, in the best codec that the client
    /// takes.
    ///
    /// # Errors
    /// [`AnswerError`] if the answer does not fit, or the client has no codec of ours; the connection stays as it was.
    pub async fn answer(&self, sdp: String) -> Result<(), AnswerError> {
        let tracks = Arc::clone(&self.codecs);
        let choose = move |codecs: Vec<Codec>| async move {
            for (track, codec) in tracks.iter().zip(codecs) {
                track.choose(codec).await?;
            }
            Ok(())
        };
        self.connection.answer(sdp, CONNECT_LIMIT, choose).await
    }

    /// Waits until the connection has failed, which takes about 10 s of silence, or all its feeds have ended. True if it was
    /// answered but never stood.
    pub async fn closed(&self) -> bool {
        self.connection.closed().await
    }

    /// Closes the connection and all its sockets.
    pub async fn close(self) {
        self.connection.close().await;
    }
}
