//! Camera offers for one client: the protocol's state machine, and the peer connection it asks for.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use waldo_protocol::vr::{Action, Cameras, ClientMessage, Event, Peer, ServerMessage, Signalling};

use super::service::{Service, Video};
use crate::rtc::{Offer, RtcError, VideoPeer};

/// What happened off the receive path.
enum Done {
    Built(Result<(VideoPeer, Offer), RtcError>),
    Answered(Result<(), RtcError>),
    Lost,
}

/// The peer connection that was offered last.
struct Offered {
    peer: Arc<VideoPeer>,
    watch: AbortHandle,
}

/// Offers and answers of one socket. Slow work runs in `jobs`, so that poses are never delayed.
pub(super) struct Negotiation {
    machine: Signalling,
    service: Arc<Service>,
    outbox: mpsc::Sender<Utf8Bytes>,
    offered: Option<Offered>,
    jobs: JoinSet<Done>,
}

fn cameras(video: &Video) -> Cameras {
    match (video.feeds.is_empty(), video.expected) {
        (false, _) => Cameras::Ready,
        (true, true) => Cameras::Expected,
        (true, false) => Cameras::Absent,
    }
}

impl Negotiation {
    pub(super) fn new(service: Arc<Service>, outbox: mpsc::Sender<Utf8Bytes>) -> Self {
        let machine = Signalling::new(cameras(&service.video()));
        Self { machine, service, outbox, offered: None, jobs: JoinSet::new() }
    }

    /// Takes a signalling message; anything else is nothing to it.
    pub(super) fn on_message(&mut self, message: ClientMessage) {
        match message {
            ClientMessage::WebrtcRequest => self.on_event(Event::Request(Peer::Video)),
            ClientMessage::WebrtcAnswer { sdp } => self.on_event(Event::Answer { peer: Peer::Video, sdp }),
            // The pose channel is not offered: a client that asks stays on its socket.
            _ => {}
        }
    }

    /// The camera sources have changed.
    pub(super) fn video_changed(&mut self) {
        let cameras = cameras(&self.service.video());
        self.on_event(Event::Cameras(cameras));
    }

    /// Waits for work off the receive path and acts on its result. Never resolves while there is none.
    pub(super) async fn progress(&mut self) {
        let done = match self.jobs.join_next().await {
            Some(Ok(done)) => done,
            // Aborted because its connection was replaced.
            Some(Err(_)) => return,
            None => return std::future::pending().await,
        };
        match done {
            Done::Built(Ok((peer, offer))) => {
                self.keep(peer);
                let offer =
                    ServerMessage::WebrtcOffer { sdp: offer.sdp, tracks: offer.tracks, ice_servers: Vec::new() };
                self.on_event(Event::Built { peer: Peer::Video, offer });
            }
            Done::Built(Err(error)) => {
                tracing::warn!("no camera offer: {error}");
                self.on_event(Event::BuildFailed(Peer::Video));
            }
            Done::Answered(Ok(())) => {}
            Done::Answered(Err(error)) => tracing::warn!("the client's answer was not applied: {error}"),
            Done::Lost => self.on_event(Event::Lost(Peer::Video)),
        }
    }

    /// The socket has closed: ends all connections and jobs.
    pub(super) async fn close(mut self) {
        self.offered = None;
        self.jobs.shutdown().await;
    }

    fn on_event(&mut self, event: Event) {
        for action in self.machine.on_event(event) {
            match action {
                // A full outbox has already ended the connection.
                Action::Send(message) => drop(self.outbox.try_send(message.encode().into())),
                Action::Build(_) => {
                    let feeds = self.service.video().feeds;
                    self.jobs.spawn(async move { Done::Built(VideoPeer::offer(&feeds).await) });
                }
                Action::Apply { sdp, .. } => {
                    if let Some(offered) = &self.offered {
                        let peer = Arc::clone(&offered.peer);
                        self.jobs.spawn(async move { Done::Answered(peer.answer(sdp).await) });
                    }
                }
                Action::Close(_) => {
                    if let Some(offered) = self.offered.take() {
                        offered.watch.abort();
                    }
                }
                Action::StrayAnswer(_) => tracing::warn!("an answer to no offer; ignored"),
            }
        }
    }

    fn keep(&mut self, peer: VideoPeer) {
        let peer = Arc::new(peer);
        let watched = Arc::clone(&peer);
        let watch = self.jobs.spawn(async move {
            watched.closed().await;
            Done::Lost
        });
        self.offered = Some(Offered { peer, watch });
    }
}
