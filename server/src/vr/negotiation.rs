//! Offers for one client: the protocol's state machine, and the peer connections it asks for.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use waldo_protocol::vr::{Action, Cameras, ClientMessage, Event, Peer, ServerMessage, Signalling, dispatch_channel};

use super::service::{Service, Video};
use super::session::ConnId;
use crate::rtc::{AnswerError, PosePeer, RtcError, VideoPeer, Viewer};

/// How long a connection may take to close.
const FAREWELL: Duration = Duration::from_millis(100);

/// Offers made again because the connection of the one before did not come to stand; afterwards the client asks.
const MAX_RETRIES: u8 = 5;

/// A peer connection of either kind.
enum Connection {
    Video(VideoPeer),
    Poses(PosePeer),
}

impl Connection {
    async fn answer(&self, sdp: String) -> Result<(), AnswerError> {
        match self {
            Self::Video(peer) => peer.answer(sdp).await,
            Self::Poses(peer) => peer.answer(sdp).await,
        }
    }

    async fn close(self) {
        match self {
            Self::Video(peer) => peer.close().await,
            Self::Poses(peer) => peer.close().await,
        }
    }

    async fn closed(&self) -> bool {
        match self {
            Self::Video(peer) => peer.closed().await,
            Self::Poses(peer) => peer.closed().await,
        }
    }
}

/// What happened off the receive path.
enum Done {
    Built(Peer, Result<(Connection, ServerMessage), RtcError>),
    Answered(Peer, Result<(), AnswerError>),
    /// The connection ended by itself; true if it never stood.
    Lost(Peer, Arc<Connection>, bool),
}

/// A connection whose offer went out, and the job that waits for its end.
struct Offered {
    connection: Arc<Connection>,
    watch: AbortHandle,
    /// An answer is being applied; another one meanwhile is refused.
    answering: bool,
}

impl Drop for Offered {
    fn drop(&mut self) {
        // The watch holds the connection, which closes when nobody does.
        self.watch.abort();
    }
}

/// Offers and answers of one socket. Slow work runs in `jobs`, so that poses are never delayed.
pub(super) struct Negotiation {
    machine: Signalling,
    service: Arc<Service>,
    conn: ConnId,
    video: Option<Offered>,
    poses: Option<Offered>,
    jobs: JoinSet<Done>,
    /// Its offers are those of cameras that were built, modulo 256.
    viewer: Viewer,
    /// Whether it was said that the client has no codec of ours.
    lacks_codec: bool,
    /// The cameras that the machine knows of.
    seen: (Cameras, u64),
    /// Offers made again without being asked, since the client asked last.
    retries: u8,
}

/// Whether there are cameras, and which set of them.
fn cameras(video: &Video) -> (Cameras, u64) {
    let cameras = match (video.feeds.is_empty(), video.expected) {
        (false, _) => Cameras::Ready,
        (true, true) => Cameras::Expected,
        (true, false) => Cameras::Absent,
    };
    (cameras, video.generation)
}

impl Negotiation {
    pub(super) fn new(service: Arc<Service>, conn: ConnId, drives: Arc<AtomicBool>) -> Self {
        let viewer = Viewer { offer: 0, drives };
        let seen = cameras(&service.video());
        let machine = Signalling::new(seen.0);
        Self {
            machine,
            service,
            conn,
            video: None,
            poses: None,
            jobs: JoinSet::new(),
            viewer,
            lacks_codec: false,
            seen,
            retries: 0,
        }
    }

    /// Takes a signalling message; anything else is nothing to it.
    pub(super) fn on_message(&mut self, message: ClientMessage) {
        match message {
            ClientMessage::WebrtcRequest => {
                self.retries = 0;
                // The word about new cameras may still be on its way here.
                self.video_changed();
                self.on_event(Event::Request(Peer::Video));
            }
            ClientMessage::WebrtcAnswer { sdp } => self.on_event(Event::Answer { peer: Peer::Video, sdp }),
            ClientMessage::ControlRequest => self.on_event(Event::Request(Peer::Control)),
            ClientMessage::ControlAnswer { sdp } => self.on_event(Event::Answer { peer: Peer::Control, sdp }),
            _ => {}
        }
    }

    /// The camera sources have changed.
    pub(super) fn video_changed(&mut self) {
        let now = cameras(&self.service.video());
        if std::mem::replace(&mut self.seen, now) != now {
            self.on_event(Event::Cameras(now.0));
        }
    }

    /// Waits for work off the receive path and acts on its result. Never resolves while there is none.
    pub(super) async fn progress(&mut self) {
        let done = match self.jobs.join_next().await {
            Some(Ok(done)) => done,
            Some(Err(error)) => {
                if !error.is_cancelled() {
                    tracing::error!(conn = self.conn.0, "negotiation failed inside: {error}");
                }
                return;
            }
            None => return std::future::pending().await,
        };
        match done {
            Done::Built(peer, Ok((connection, offer))) => {
                self.keep(peer, Arc::new(connection));
                self.on_event(Event::Built { peer, offer });
            }
            Done::Built(peer, Err(error)) => {
                tracing::warn!(conn = self.conn.0, ?peer, "no offer: {error}");
                self.on_event(Event::BuildFailed(peer));
            }
            Done::Answered(peer, answered) => {
                if let Some(offered) = self.slot(peer) {
                    offered.answering = false;
                }
                match answered {
                    Ok(()) => {}
                    Err(AnswerError::NoCodec) => {
                        if !std::mem::replace(&mut self.lacks_codec, true) {
                            tracing::warn!(conn = self.conn.0, "no video for this client: {}", AnswerError::NoCodec);
                        }
                        self.on_event(Event::Refused(peer));
                    }
                    Err(error) => self.service.complain(self.conn, "answer", &error),
                }
            }
            Done::Lost(peer, connection, stalled) => {
                // A connection that was replaced is nothing to the machine any more.
                if self.slot(peer).as_ref().is_some_and(|offered| Arc::ptr_eq(&offered.connection, &connection)) {
                    self.on_event(Event::Lost(peer));
                    if stalled && self.retries < MAX_RETRIES {
                        // The client waits for a connection that will never stand; a new offer replaces it.
                        self.retries += 1;
                        self.on_event(Event::Request(peer));
                    }
                }
            }
        }
    }

    /// The socket has closed: ends all connections and jobs.
    pub(super) async fn close(mut self) {
        self.jobs.shutdown().await;
        for offered in [self.video.take(), self.poses.take()].into_iter().flatten() {
            let connection = Arc::clone(&offered.connection);
            drop(offered);
            // No job is left, so this was the last reference but for a build that was cut off, which closes itself.
            if let Some(connection) = Arc::into_inner(connection) {
                let _ = tokio::time::timeout(FAREWELL, connection.close()).await;
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        for action in self.machine.on_event(event) {
            match action {
                Action::Send(message) => {
                    // By way of the client, whose full outbox ends the connection: a reply is never lost silently.
                    if let Some(client) = self.service.session().clients.get(&self.conn) {
                        client.send(&message);
                    }
                }
                Action::Build(peer) => self.build(peer),
                Action::Apply { peer, sdp } => match self.slot(peer).as_mut().filter(|offered| !offered.answering) {
                    Some(offered) => {
                        offered.answering = true;
                        let connection = Arc::clone(&offered.connection);
                        self.jobs.spawn(async move { Done::Answered(peer, connection.answer(sdp).await) });
                    }
                    None => self.service.complain(self.conn, "answer", &"one answer at a time"),
                },
                Action::Close(peer) => *self.slot(peer) = None,
                Action::StrayAnswer(_) => self.service.complain(self.conn, "answer", &"an answer to no offer"),
            }
        }
    }

    fn slot(&mut self, peer: Peer) -> &mut Option<Offered> {
        match peer {
            Peer::Video => &mut self.video,
            Peer::Control => &mut self.poses,
        }
    }

    fn build(&mut self, peer: Peer) {
        let (service, conn, viewer) = (Arc::clone(&self.service), self.conn, self.viewer.clone());
        if peer == Peer::Video {
            self.viewer.offer = viewer.offer.wrapping_add(1);
        }
        self.jobs.spawn(async move {
            let network = service.network.clone();
            let ice_servers = network.ice_servers(&conn.0.to_string());
            let built = match peer {
                Peer::Video => {
                    let feeds = service.video().feeds;
                    VideoPeer::offer(&network, &feeds, &viewer).await.map(|(video, offer)| {
                        let (sdp, tracks) = (offer.sdp, offer.tracks);
                        (Connection::Video(video), ServerMessage::WebrtcOffer { sdp, tracks, ice_servers })
                    })
                }
                Peer::Control => {
                    let on_text = move |text: &str| match dispatch_channel(text) {
                        Ok(ClientMessage::Pose(frame)) => service.accept(conn, &frame),
                        Ok(ClientMessage::Stop(stop)) => service.on_stop(conn, stop),
                        Ok(_) => {}
                        Err(refusal) => service.refuse(conn, &refusal),
                    };
                    PosePeer::offer(&network, on_text).await.map(|(poses, sdp)| {
                        (Connection::Poses(poses), ServerMessage::ControlOffer { sdp, ice_servers })
                    })
                }
            };
            Done::Built(peer, built)
        });
    }

    /// Keeps a connection and watches for its end.
    fn keep(&mut self, peer: Peer, connection: Arc<Connection>) {
        let watched = Arc::clone(&connection);
        let watch = self.jobs.spawn(async move {
            let stalled = watched.closed().await;
            Done::Lost(peer, watched, stalled)
        });
        *self.slot(peer) = Some(Offered { connection, watch, answering: false });
    }
}
