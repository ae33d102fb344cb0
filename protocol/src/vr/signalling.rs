//! What a server answers to one client's WebRTC signalling.
//!
//! The server offers, the client answers. This is the state machine of one client, sans-I/O: events in, actions out. It
//! knows neither sockets nor peer connections; building an offer is an action whose result comes back as an event.
//! Whoever runs it keeps one [`Signalling`] per socket, runs [`Action::Build`] off the receive path, and drops the
//! machine, with whatever connections are left, when the socket closes.

use super::ServerMessage;

#[cfg(test)]
mod tests;

/// One of the two peer connections a client may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Carries the cameras.
    Video,
    /// Carries the pose channel; works without cameras.
    Control,
}

/// Whether the server has cameras to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cameras {
    /// None.
    Absent,
    /// They will come; requests wait for them.
    Expected,
    /// Their sources are registered.
    Ready,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The client asked for an offer.
    Request(Peer),
    /// The client answered an offer.
    Answer {
        /// Which one.
        peer: Peer,
        /// The client's session description.
        sdp: String,
    },
    /// Sources were registered, replaced, removed, announced, or will not come after all.
    Cameras(Cameras),
    /// A [`Action::Build`] ended well.
    Built {
        /// Of which connection.
        peer: Peer,
        /// The offer as it goes to the client.
        offer: ServerMessage,
    },
    /// A [`Action::Build`] failed.
    BuildFailed(Peer),
    /// The client's answer takes nothing of what was offered: it lacks the codec.
    Refused(Peer),
    /// The peer connection offered last failed or was closed from the other side. Not for one that an
    /// [`Action::Close`] ended.
    Lost(Peer),
}

/// What to do about it, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send the client this message.
    Send(ServerMessage),
    /// Make a new peer connection and an offer; exactly one [`Event::Built`] or [`Event::BuildFailed`] must follow. One
    /// that is still there goes on until the new one takes its place.
    Build(Peer),
    /// Apply the client's answer; an error is logged only.
    Apply {
        /// To which connection.
        peer: Peer,
        /// The client's session description.
        sdp: String,
    },
    /// Close the peer connection, or give up building it.
    Close(Peer),
    /// Warn of an answer to no connection; there is nothing else to do about it.
    StrayAnswer(Peer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    None,
    /// Asked for cameras that are still to come.
    Parked,
    Building,
    /// As building, while the client still sees the cameras there were before.
    Renewing,
    /// Cameras changed or went away while their offer was being built: it will not be sent, the request is looked at again.
    Abandoned,
    Offered,
}

/// The signalling state of one client.
#[derive(Debug)]
pub struct Signalling {
    cameras: Cameras,
    video: Link,
    control: Link,
}

impl Signalling {
    /// For a client that has just connected.
    pub fn new(cameras: Cameras) -> Self {
        Self { cameras, video: Link::None, control: Link::None }
    }

    /// Takes what happened, returns what to do about it.
    pub fn on_event(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Request(Peer::Video) => self.request_video(),
            Event::Request(Peer::Control) => match self.control {
                Link::Building => Vec::new(),
                _ => self.build(Peer::Control),
            },
            Event::Answer { peer, sdp } => match *self.link(peer) {
                Link::Offered => vec![Action::Apply { peer, sdp }],
                _ => vec![Action::StrayAnswer(peer)],
            },
            Event::Cameras(cameras) => self.set_cameras(cameras),
            Event::Built { peer, offer } => self.built(peer, offer),
            Event::BuildFailed(peer) => self.build_failed(peer),
            Event::Refused(peer) => {
                let link = self.link(peer);
                if *link == Link::Offered {
                    *link = Link::None;
                    return vec![Action::Close(peer), Action::Send(ServerMessage::WebrtcUnavailable)];
                }
                Vec::new()
            }
            Event::Lost(peer) => {
                let link = self.link(peer);
                if *link == Link::Offered {
                    *link = Link::None;
                    return vec![Action::Close(peer)];
                }
                Vec::new()
            }
        }
    }

    fn link(&mut self, peer: Peer) -> &mut Link {
        match peer {
            Peer::Video => &mut self.video,
            Peer::Control => &mut self.control,
        }
    }

    fn request_video(&mut self) -> Vec<Action> {
        match (self.video, self.cameras) {
            (Link::Building | Link::Renewing | Link::Abandoned, _) => {
                vec![Action::Send(ServerMessage::WebrtcPending)]
            }
            (_, Cameras::Ready) => self.build(Peer::Video),
            (_, Cameras::Expected) => {
                self.video = Link::Parked;
                vec![Action::Send(ServerMessage::WebrtcPending)]
            }
            (_, Cameras::Absent) => {
                self.video = Link::None;
                vec![Action::Send(ServerMessage::WebrtcUnavailable)]
            }
        }
    }

    fn build(&mut self, peer: Peer) -> Vec<Action> {
        let old = std::mem::replace(self.link(peer), Link::Building);
        let close = (old == Link::Offered).then_some(Action::Close(peer));
        close.into_iter().chain([Action::Build(peer)]).collect()
    }

    fn set_cameras(&mut self, cameras: Cameras) -> Vec<Action> {
        self.cameras = cameras;
        match (self.video, cameras) {
            (Link::Parked, Cameras::Ready | Cameras::Absent) => self.request_video(),
            (Link::Building, _) => {
                self.video = Link::Abandoned;
                Vec::new()
            }
            (Link::Renewing, _) => {
                self.video = Link::Abandoned;
                vec![Action::Close(Peer::Video)]
            }
            (Link::Offered, Cameras::Ready) => {
                self.video = Link::Renewing;
                vec![Action::Build(Peer::Video)]
            }
            (Link::Offered, Cameras::Expected | Cameras::Absent) => {
                self.video = Link::None;
                vec![Action::Close(Peer::Video)]
            }
            _ => Vec::new(),
        }
    }

    fn built(&mut self, peer: Peer, offer: ServerMessage) -> Vec<Action> {
        let link = self.link(peer);
        match *link {
            Link::Building | Link::Renewing => {
                *link = Link::Offered;
                vec![Action::Send(offer)]
            }
            Link::Abandoned => {
                *link = Link::None;
                let mut actions = vec![Action::Close(peer)];
                actions.append(&mut self.request_video());
                actions
            }
            Link::None | Link::Parked | Link::Offered => Vec::new(),
        }
    }

    fn build_failed(&mut self, peer: Peer) -> Vec<Action> {
        let link = self.link(peer);
        let failed = std::mem::replace(link, Link::None);
        if matches!(failed, Link::None | Link::Parked | Link::Offered) {
            *link = failed;
            return Vec::new();
        }
        match peer {
            Peer::Video if failed == Link::Abandoned => self.request_video(),
            Peer::Video => {
                let close = (failed == Link::Renewing).then_some(Action::Close(peer));
                close.into_iter().chain([Action::Send(ServerMessage::WebrtcUnavailable)]).collect()
            }
            // The wire has no word for it: the client asks again when it likes.
            Peer::Control => Vec::new(),
        }
    }
}
