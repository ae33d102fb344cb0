//! This browser's connection to the SFU: from the offer to open channels.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::Array;
use waldo_protocol::hosted::{BridgedSession, ChannelLabel, IceServer, JoinSession, Role, TakeOver, VideoStatus};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    MediaStreamTrack, RtcConfiguration, RtcIceGatheringState, RtcIceServer, RtcPeerConnection,
    RtcPeerConnectionIceEvent, RtcPeerConnectionState, RtcRtpTransceiverDirection, RtcRtpTransceiverInit, RtcSdpType,
    RtcSessionDescriptionInit, RtcTrackEvent,
};

use super::api::{Api, Trouble};
use super::channel::Channel;
use super::gathering::Gathering;
use super::mending::Connection;
use super::microphone;
use crate::browser::{now, sleep};
use crate::video::set_jitter_buffer;

/// Where no server is known.
const STUN: &str = "stun:stun.cloudflare.com:3478";
const CONNECT_LIMIT_MS: f64 = 20_000.0;
const OPEN_LIMIT_MS: f64 = 10_000.0;
const LOOK_EVERY_MS: i32 = 20;
/// A picture that the SFU could not hand over at once is asked for again, so many times and with this pause.
const PICTURE_ATTEMPTS: usize = 2;
const PICTURE_PAUSE_MS: i32 = 1000;

/// What the connection tells its owner.
pub(super) enum Event {
    /// A step of the set-up began.
    Step(Step),
    /// The broker counts this page as the operator; from here on it wants heartbeats.
    Joined(Ticket),
    /// The robot's picture.
    Track(MediaStreamTrack),
    /// A message came down.
    Text(ChannelLabel, String),
    /// A channel closed that nobody here closed, or the connection failed.
    Lost,
}

/// Steps of the set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Servers,
    Offer,
    Join,
    Connect,
    Bridge,
    Channels,
}

/// What the broker gave to whoever joined.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticket {
    /// Id of the peer.
    pub(super) peer: String,
    /// Shown with every call, so that an older page of the same person cannot interfere.
    pub(super) lease: Option<String>,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// To drive, or to watch.
    pub(super) role: Role,
    /// From whoever drives it now.
    pub(super) take_over: bool,
    /// To be heard.
    pub(super) microphone: bool,
}

/// A connection. Dropping it closes it.
pub(super) struct Leg {
    peer: RtcPeerConnection,
    commands: RefCell<Option<Channel>>,
    state: RefCell<Option<Channel>>,
    /// Those that only bring something.
    down: RefCell<Vec<Channel>>,
    microphone: Option<MediaStreamTrack>,
    gathering: Cell<Gathering>,
    events: Rc<dyn Fn(Event)>,
    listeners: RefCell<Option<Listeners>>,
}

/// What the browser calls, for as long as the connection lives.
struct Listeners {
    _candidate: Closure<dyn FnMut(RtcPeerConnectionIceEvent)>,
    _track: Closure<dyn FnMut(RtcTrackEvent)>,
    _state: Closure<dyn FnMut()>,
}

impl Leg {
    /// Everything from the servers to open channels.
    pub(super) async fn connect(
        api: &Api,
        session: &str,
        wish: Wish,
        events: Rc<dyn Fn(Event)>,
    ) -> Result<Rc<Self>, Trouble> {
        events(Event::Step(Step::Servers));
        let role = wish.role;
        let wants_microphone = wish.microphone && role == Role::Operator;
        let servers = api.ice_servers().await;
        let microphone = if wants_microphone { microphone::take().await } else { None };
        events(Event::Step(Step::Offer));
        let leg = Rc::new(Self::new(&servers, microphone, events)?);
        leg.listen();
        let first = leg.peer.create_data_channel("_sctp_init");
        let transceiver = RtcRtpTransceiverInit::new();
        transceiver.set_direction(RtcRtpTransceiverDirection::Recvonly);
        leg.peer.add_transceiver_with_str_and_init("video", &transceiver);
        if let Some(track) = &leg.microphone {
            let transceiver = RtcRtpTransceiverInit::new();
            transceiver.set_direction(RtcRtpTransceiverDirection::Sendonly);
            leg.peer.add_transceiver_with_media_stream_track_and_init(track, &transceiver);
        }
        let offer: RtcSessionDescriptionInit = JsFuture::from(leg.peer.create_offer()).await?.unchecked_into();
        JsFuture::from(leg.peer.set_local_description(&offer)).await?;
        let complete = || leg.peer.ice_gathering_state() == RtcIceGatheringState::Complete;
        while !leg.gathering.get().is_over(complete(), now()) {
            sleep(LOOK_EVERY_MS).await;
        }
        let offer = leg.peer.local_description().ok_or_else(closed)?.sdp();

        leg.tell(Event::Step(Step::Join));
        let joined = if wish.take_over {
            let reason = "taken over from the page".to_owned();
            api.take_over(session, &TakeOver { reason, sdp_offer: Some(offer) }).await?
        } else {
            api.join(session, &JoinSession { role, sdp_offer: Some(offer) }).await?
        };
        let ticket = Ticket { peer: joined.cf_session_id, lease: joined.lease_id };
        leg.tell(Event::Joined(ticket.clone()));
        leg.tell(Event::Step(Step::Connect));
        leg.describe(RtcSdpType::Answer, &joined.sdp_answer).await?;
        leg.until(CONNECT_LIMIT_MS, "The robot's network could not be reached from here.", || {
            leg.peer.connection_state() == RtcPeerConnectionState::Connected
        })
        .await?;
        first.close();

        leg.bridge(api, session, role, &ticket).await?;
        Ok(leg)
    }

    /// Opens channels to the robot and takes its picture; anew if there are some already, which count no longer.
    pub(super) async fn bridge(&self, api: &Api, session: &str, role: Role, ticket: &Ticket) -> Result<(), Trouble> {
        self.close_channels();
        self.tell(Event::Step(Step::Bridge));
        let (channels, offer) = match role {
            Role::Operator => {
                let bridged = bridge(api, session, ticket.lease.as_deref()).await?;
                (bridged.channels().collect::<Vec<_>>(), bridged.video_offer)
            }
            Role::Viewer => {
                let bridged = api.viewer_bridge(session, &ticket.peer).await?;
                let back = (ChannelLabel::StateReliableBack, bridged.state_back_channel_id);
                (vec![back, (ChannelLabel::MapUnreliable, bridged.map_channel_id)], bridged.video_offer)
            }
        };
        self.tell(Event::Step(Step::Channels));
        for (label, id) in channels {
            self.open(label, id)?;
        }
        if let Some(offer) = offer {
            self.describe(RtcSdpType::Offer, &offer).await?;
            let answer: RtcSessionDescriptionInit = JsFuture::from(self.peer.create_answer()).await?.unchecked_into();
            JsFuture::from(self.peer.set_local_description(&answer)).await?;
            let sdp = self.peer.local_description().ok_or_else(closed)?.sdp();
            // Without a picture the robot can still be stopped, and seen on the map.
            let answered = match role {
                Role::Operator => api.answer_video(session, sdp, ticket.lease.as_deref()).await,
                Role::Viewer => api.viewer_answer(session, &ticket.peer, sdp).await,
            };
            if let Err(trouble) = answered {
                web_sys::console::warn_1(&format!("no video: {}", trouble.text()).into());
            }
        }
        if role == Role::Operator {
            self.until(OPEN_LIMIT_MS, "The way to the robot did not open.", || self.commands_open()).await?;
        }
        Ok(())
    }

    fn new(
        servers: &[IceServer],
        microphone: Option<MediaStreamTrack>,
        events: Rc<dyn Fn(Event)>,
    ) -> Result<Self, JsValue> {
        let relays = servers.iter().any(|server| server.username.is_some());
        Ok(Self {
            peer: RtcPeerConnection::new_with_configuration(&configuration(servers))?,
            commands: RefCell::default(),
            state: RefCell::default(),
            down: RefCell::default(),
            microphone,
            gathering: Cell::new(Gathering::begin(relays, now())),
            events,
            listeners: RefCell::default(),
        })
    }

    /// The browser's own handle, for its statistics.
    pub(super) fn peer(&self) -> &RtcPeerConnection {
        &self.peer
    }

    pub(super) fn commands_open(&self) -> bool {
        self.commands.borrow().as_ref().is_some_and(Channel::is_open)
    }

    /// As the browser sees it.
    pub(super) fn connection(&self) -> Connection {
        match self.peer.connection_state() {
            RtcPeerConnectionState::Connected => Connection::Stands,
            RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed => Connection::Over,
            _ => Connection::Interrupted,
        }
    }

    /// Ends it, whoever still has it.
    pub(super) fn close(&self) {
        self.close_channels();
        if let Some(track) = &self.microphone {
            track.stop();
        }
        self.peer.close();
    }

    /// Bytes that wait for the network on the command channel.
    pub(super) fn unsent(&self) -> u32 {
        self.commands.borrow().as_ref().map_or(0, Channel::unsent)
    }

    /// Sends a command; lost if the channel is closed.
    pub(super) fn send_command(&self, bytes: &[u8]) {
        if let Some(channel) = &*self.commands.borrow() {
            channel.send(bytes);
        }
    }

    /// Sends a message that arrives; false if the channel is closed.
    pub(super) fn send_state(&self, text: &str) -> bool {
        self.state.borrow().as_ref().is_some_and(|channel| channel.send_text(text))
    }

    /// `None` without a microphone.
    pub(super) fn microphone(&self) -> Option<bool> {
        self.microphone.as_ref().map(MediaStreamTrack::enabled)
    }

    /// Lets the robot hear the operator, or not.
    pub(super) fn speak(&self, on: bool) {
        if let Some(track) = &self.microphone {
            track.set_enabled(on);
        }
    }

    fn tell(&self, event: Event) {
        (self.events)(event);
    }

    fn listen(self: &Rc<Self>) {
        let leg = Rc::downgrade(self);
        let candidate =
            Closure::<dyn FnMut(RtcPeerConnectionIceEvent)>::new(move |event: RtcPeerConnectionIceEvent| {
                if let (Some(leg), Some(candidate)) = (leg.upgrade(), event.candidate()) {
                    let mut gathering = leg.gathering.get();
                    gathering.found(&candidate.candidate(), now());
                    leg.gathering.set(gathering);
                }
            });
        self.peer.set_onicecandidate(Some(candidate.as_ref().unchecked_ref()));
        let leg = Rc::downgrade(self);
        let track = Closure::<dyn FnMut(RtcTrackEvent)>::new(move |event: RtcTrackEvent| {
            if let Some(leg) = leg.upgrade().filter(|_| event.track().kind() == "video") {
                set_jitter_buffer(&event.receiver(), 0.0);
                leg.tell(Event::Track(event.track()));
            }
        });
        self.peer.set_ontrack(Some(track.as_ref().unchecked_ref()));
        let leg = Rc::downgrade(self);
        let state = Closure::<dyn FnMut()>::new(move || {
            if let Some(leg) = leg.upgrade().filter(|leg| leg.connection() == Connection::Over) {
                leg.tell(Event::Lost);
            }
        });
        self.peer.set_onconnectionstatechange(Some(state.as_ref().unchecked_ref()));
        self.listeners.replace(Some(Listeners { _candidate: candidate, _track: track, _state: state }));
    }

    async fn describe(&self, kind: RtcSdpType, sdp: &str) -> Result<(), JsValue> {
        let description = RtcSessionDescriptionInit::new(kind);
        description.set_sdp(sdp);
        JsFuture::from(self.peer.set_remote_description(&description)).await.map(drop)
    }

    async fn until(&self, limit: f64, failure: &str, done: impl Fn() -> bool) -> Result<(), Trouble> {
        let since = now();
        while !done() {
            if self.connection() == Connection::Over || now() - since > limit {
                return Err(Trouble::Browser(failure.to_owned()));
            }
            sleep(LOOK_EVERY_MS).await;
        }
        Ok(())
    }

    fn open(&self, label: ChannelLabel, id: u16) -> Result<(), JsValue> {
        let channel = Channel::open(&self.peer, label, id, &self.events)?;
        match label {
            ChannelLabel::CmdUnreliable => drop(self.commands.replace(Some(channel))),
            ChannelLabel::StateReliable => drop(self.state.replace(Some(channel))),
            ChannelLabel::StateReliableBack | ChannelLabel::MapUnreliable => self.down.borrow_mut().push(channel),
        }
        Ok(())
    }

    fn close_channels(&self) {
        self.commands.take();
        self.state.take();
        self.down.take();
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.peer.set_onicecandidate(None);
        self.peer.set_ontrack(None);
        self.peer.set_onconnectionstatechange(None);
        self.close();
    }
}

/// The bridge, made anew if a picture may be had that it did not bring. Only the channels of the last one count.
async fn bridge(api: &Api, session: &str, lease: Option<&str>) -> Result<BridgedSession, Trouble> {
    let mut bridged = api.bridge(session, lease).await?;
    for _ in 0..PICTURE_ATTEMPTS {
        // What flows already needs no offer, and a robot without a camera has none.
        let settled = matches!(bridged.video_status, VideoStatus::Ok | VideoStatus::NoPublishedTrack);
        if settled || bridged.video_offer.is_some() {
            break;
        }
        sleep(PICTURE_PAUSE_MS).await;
        bridged = api.bridge(session, lease).await?;
    }
    Ok(bridged)
}

fn closed() -> Trouble {
    Trouble::Browser("the connection was closed".to_owned())
}

fn configuration(servers: &[IceServer]) -> RtcConfiguration {
    let entry = |urls: &Array| {
        let entry = RtcIceServer::new();
        entry.set_urls(urls);
        entry
    };
    let list = Array::new();
    for server in servers {
        let entry = entry(&server.urls.iter().map(JsValue::from_str).collect());
        if let (Some(username), Some(credential)) = (&server.username, &server.credential) {
            entry.set_username(username);
            entry.set_credential(credential);
        }
        list.push(&entry);
    }
    if servers.is_empty() {
        list.push(&entry(&Array::of1(&STUN.into())));
    }
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&list);
    configuration
}
