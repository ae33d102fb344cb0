//! What a server answers to one client's WebRTC signalling.
//!
//! The server offers, the client answers. This is the state machine of one client, sans-I/O: events in, actions out. It
//! knows neither sockets nor peer connections; building an offer is an action whose result comes back as an event.
//! Whoever runs it keeps one [`Signalling`] per socket, runs [`Action::Build`] off the receive path, and drops the
//! machine with the socket after [`Signalling::close`].

use super::ServerMessage;

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

    /// The socket has closed: what is left to close.
    pub fn close(self) -> Vec<Action> {
        [(Peer::Video, self.video), (Peer::Control, self.control)]
            .into_iter()
            .filter(|(_, link)| !matches!(link, Link::None | Link::Parked))
            .map(|(peer, _)| Action::Close(peer))
            .collect()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PENDING: Action = Action::Send(ServerMessage::WebrtcPending);
    const UNAVAILABLE: Action = Action::Send(ServerMessage::WebrtcUnavailable);
    const REQUEST: Event = Event::Request(Peer::Video);

    fn offer() -> ServerMessage {
        ServerMessage::WebrtcOffer { sdp: "v=0\r\n".to_owned(), tracks: BTreeMap::new(), ice_servers: Vec::new() }
    }

    fn built(peer: Peer) -> Event {
        Event::Built { peer, offer: offer() }
    }

    fn answer(peer: Peer) -> Event {
        Event::Answer { peer, sdp: "a".to_owned() }
    }

    /// A client that has been offered the cameras.
    fn offered() -> Signalling {
        let mut client = Signalling::new(Cameras::Ready);
        assert_eq!(client.on_event(REQUEST), [Action::Build(Peer::Video)]);
        assert_eq!(client.on_event(built(Peer::Video)), [Action::Send(offer())]);
        client
    }

    #[test]
    fn a_parked_request_is_offered_when_sources_come() {
        let mut client = Signalling::new(Cameras::Expected);
        assert_eq!(client.on_event(REQUEST), [PENDING]);
        assert_eq!(client.on_event(REQUEST), [PENDING]);
        assert_eq!(client.on_event(Event::Cameras(Cameras::Ready)), [Action::Build(Peer::Video)]);
    }

    #[test]
    fn a_parked_request_is_told_when_no_sources_come() {
        let mut client = Signalling::new(Cameras::Expected);
        client.on_event(REQUEST);
        assert_eq!(client.on_event(Event::Cameras(Cameras::Absent)), [UNAVAILABLE]);
        assert_eq!(client.on_event(Event::Cameras(Cameras::Absent)), []);
        assert_eq!(client.on_event(REQUEST), [UNAVAILABLE]);
    }

    #[test]
    fn a_client_that_never_asked_is_told_nothing_of_cameras() {
        let mut client = Signalling::new(Cameras::Absent);
        for cameras in [Cameras::Expected, Cameras::Ready, Cameras::Absent] {
            assert_eq!(client.on_event(Event::Cameras(cameras)), []);
        }
    }

    #[test]
    fn requests_during_a_build_lead_to_one_offer() {
        let mut client = Signalling::new(Cameras::Ready);
        assert_eq!(client.on_event(REQUEST), [Action::Build(Peer::Video)]);
        assert_eq!(client.on_event(REQUEST), [PENDING]);
        assert_eq!(client.on_event(built(Peer::Video)), [Action::Send(offer())]);
    }

    #[test]
    fn a_failed_build_says_unavailable_and_the_next_request_builds_again() {
        let mut client = Signalling::new(Cameras::Ready);
        client.on_event(REQUEST);
        assert_eq!(client.on_event(Event::BuildFailed(Peer::Video)), [UNAVAILABLE]);
        assert_eq!(client.on_event(REQUEST), [Action::Build(Peer::Video)]);
    }

    #[test]
    fn an_answer_is_applied_to_what_was_offered_and_is_stray_otherwise() {
        let mut client = Signalling::new(Cameras::Ready);
        assert_eq!(client.on_event(answer(Peer::Video)), [Action::StrayAnswer(Peer::Video)]);
        client.on_event(REQUEST);
        assert_eq!(client.on_event(answer(Peer::Video)), [Action::StrayAnswer(Peer::Video)]);
        client.on_event(built(Peer::Video));
        let apply = Action::Apply { peer: Peer::Video, sdp: "a".to_owned() };
        assert_eq!(client.on_event(answer(Peer::Video)), [apply]);
        assert_eq!(client.on_event(answer(Peer::Control)), [Action::StrayAnswer(Peer::Control)]);
    }

    #[test]
    fn a_new_request_replaces_the_old_connection() {
        assert_eq!(offered().on_event(REQUEST), [Action::Close(Peer::Video), Action::Build(Peer::Video)]);
    }

    #[test]
    fn a_lost_connection_is_dropped_once() {
        let mut client = offered();
        assert_eq!(client.on_event(Event::Lost(Peer::Video)), [Action::Close(Peer::Video)]);
        assert_eq!(client.on_event(Event::Lost(Peer::Video)), []);
        assert_eq!(client.on_event(answer(Peer::Video)), [Action::StrayAnswer(Peer::Video)]);
        assert_eq!(client.on_event(REQUEST), [Action::Build(Peer::Video)]);
    }

    #[test]
    fn a_client_without_the_codec_is_told_that_it_will_see_nothing() {
        let mut client = offered();
        assert_eq!(client.on_event(Event::Refused(Peer::Video)), [Action::Close(Peer::Video), UNAVAILABLE]);
        assert_eq!(client.on_event(Event::Refused(Peer::Video)), []);
        assert_eq!(client.on_event(REQUEST), [Action::Build(Peer::Video)]);
    }

    #[test]
    fn turning_cameras_off_closes_what_was_offered_without_a_word() {
        let mut client = offered();
        assert_eq!(client.on_event(Event::Cameras(Cameras::Absent)), [Action::Close(Peer::Video)]);
        assert_eq!(client.on_event(REQUEST), [UNAVAILABLE]);
    }

    #[test]
    fn other_cameras_are_offered_at_once_and_the_old_ones_stay_until_then() {
        let mut client = offered();
        assert_eq!(client.on_event(Event::Cameras(Cameras::Ready)), [Action::Build(Peer::Video)]);
        assert_eq!(client.on_event(REQUEST), [PENDING]);
        assert_eq!(client.on_event(built(Peer::Video)), [Action::Send(offer())]);
        assert!(matches!(client.on_event(answer(Peer::Video))[..], [Action::Apply { .. }]));
    }

    #[test]
    fn an_offer_that_other_cameras_have_overtaken_is_never_sent() {
        let mut client = Signalling::new(Cameras::Ready);
        client.on_event(REQUEST);
        assert_eq!(client.on_event(Event::Cameras(Cameras::Ready)), []);
        assert_eq!(client.on_event(built(Peer::Video)), [Action::Close(Peer::Video), Action::Build(Peer::Video)]);
        assert_eq!(client.on_event(built(Peer::Video)), [Action::Send(offer())]);

        client.on_event(Event::Cameras(Cameras::Ready));
        assert_eq!(client.on_event(Event::Cameras(Cameras::Ready)), [Action::Close(Peer::Video)]);
        assert_eq!(client.on_event(built(Peer::Video)), [Action::Close(Peer::Video), Action::Build(Peer::Video)]);
    }

    #[test]
    fn cameras_that_cannot_be_offered_anew_are_closed() {
        let mut client = offered();
        client.on_event(Event::Cameras(Cameras::Ready));
        assert_eq!(client.on_event(Event::BuildFailed(Peer::Video)), [Action::Close(Peer::Video), UNAVAILABLE]);
        assert_eq!(client.on_event(REQUEST), [Action::Build(Peer::Video)]);
    }

    #[test]
    fn an_offer_of_cameras_that_went_away_is_never_sent() {
        for (then, last) in
            [(Cameras::Absent, UNAVAILABLE), (Cameras::Expected, PENDING), (Cameras::Ready, Action::Build(Peer::Video))]
        {
            for (end, close) in
                [(built(Peer::Video), Some(Action::Close(Peer::Video))), (Event::BuildFailed(Peer::Video), None)]
            {
                let mut client = Signalling::new(Cameras::Ready);
                client.on_event(REQUEST);
                assert_eq!(client.on_event(Event::Cameras(Cameras::Absent)), []);
                assert_eq!(client.on_event(REQUEST), [PENDING]);
                assert_eq!(client.on_event(Event::Cameras(then)), []);
                let expected: Vec<Action> = close.into_iter().chain([last.clone()]).collect();
                assert_eq!(client.on_event(end), expected);
            }
        }
    }

    #[test]
    fn the_pose_channel_needs_no_cameras_and_ignores_requests_during_a_build() {
        let mut client = Signalling::new(Cameras::Absent);
        let request = Event::Request(Peer::Control);
        assert_eq!(client.on_event(request.clone()), [Action::Build(Peer::Control)]);
        assert_eq!(client.on_event(request.clone()), []);
        assert_eq!(client.on_event(Event::BuildFailed(Peer::Control)), []);
        assert_eq!(client.on_event(request.clone()), [Action::Build(Peer::Control)]);
        assert_eq!(client.on_event(built(Peer::Control)), [Action::Send(offer())]);
        assert_eq!(client.on_event(Event::Cameras(Cameras::Ready)), []);
        assert_eq!(client.on_event(request), [Action::Close(Peer::Control), Action::Build(Peer::Control)]);
    }

    #[test]
    fn a_result_nobody_waits_for_changes_nothing() {
        let mut client = offered();
        assert_eq!(client.on_event(built(Peer::Video)), []);
        assert_eq!(client.on_event(Event::BuildFailed(Peer::Video)), []);
        assert!(matches!(client.on_event(answer(Peer::Video))[..], [Action::Apply { .. }]));
    }

    #[test]
    fn a_closed_socket_closes_what_is_offered_or_being_built() {
        let mut client = offered();
        client.on_event(Event::Request(Peer::Control));
        assert_eq!(client.close(), [Action::Close(Peer::Video), Action::Close(Peer::Control)]);
        let mut parked = Signalling::new(Cameras::Expected);
        parked.on_event(REQUEST);
        assert_eq!(parked.close(), []);
    }
}
