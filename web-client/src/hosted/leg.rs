//! This browser's connection to the SFU: from the offer to open channels.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, Uint8Array};
use waldo_protocol::hosted::{
    BridgedSession, ChannelLabel, Direction, IceServer, JoinSession, Role, TakeOver, VideoStatus,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    MediaStreamTrack, MessageEvent, RtcConfiguration, RtcDataChannel, RtcDataChannelInit, RtcDataChannelState,
    RtcDataChannelType, RtcIceGatheringState, RtcIceServer, RtcPeerConnection, RtcPeerConnectionIceEvent,
    RtcPeerConnectionState, RtcRtpTransceiverDirection, RtcRtpTransceiverInit, RtcSdpType, RtcSessionDescriptionInit,
    RtcTrackEvent,
};

use super::api::{Api, Trouble};
use super::gathering::Gathering;
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

struct Channel {
    channel: RtcDataChannel,
    _message: Option<Closure<dyn FnMut(MessageEvent)>>,
    _close: Closure<dyn FnMut()>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channel.set_onmessage(None);
        self.channel.set_onclose(None);
        self.channel.close();
    }
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

        leg.tell(Event::Step(Step::Bridge));
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
        leg.tell(Event::Step(Step::Channels));
        for (label, id) in channels {
            leg.open(label, id)?;
        }
        if let Some(offer) = offer {
            leg.describe(RtcSdpType::Offer, &offer).await?;
            let answer: RtcSessionDescriptionInit = JsFuture::from(leg.peer.create_answer()).await?.unchecked_into();
            JsFuture::from(leg.peer.set_local_description(&answer)).await?;
            let sdp = leg.peer.local_description().ok_or_else(closed)?.sdp();
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
            leg.until(OPEN_LIMIT_MS, "The way to the robot did not open.", || leg.commands_open()).await?;
        }
        Ok(leg)
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
        is_open(&self.commands)
    }

    /// The browser does not hear of the SFU at present.
    pub(super) fn is_interrupted(&self) -> bool {
        self.peer.connection_state() != RtcPeerConnectionState::Connected
    }

    /// Bytes that wait for the network on the command channel.
    pub(super) fn unsent(&self) -> u32 {
        self.commands.borrow().as_ref().map_or(0, |channel| channel.channel.buffered_amount())
    }

    /// Sends a command; lost if the channel is closed.
    pub(super) fn send_command(&self, bytes: &[u8]) {
        if let Some(channel) = &*self.commands.borrow() {
            let _ = channel.channel.send_with_u8_array(bytes);
        }
    }

    /// Sends a message that arrives; false if the channel is closed.
    pub(super) fn send_state(&self, text: &str) -> bool {
        let state = self.state.borrow();
        let open = state.as_ref().filter(|channel| channel.channel.ready_state() == RtcDataChannelState::Open);
        open.is_some_and(|channel| channel.channel.send_with_str(text).is_ok())
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
            if let Some(leg) = leg.upgrade()
                && matches!(
                    leg.peer.connection_state(),
                    RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed
                )
            {
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
            let state = self.peer.connection_state();
            let hopeless = matches!(state, RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed);
            if hopeless || now() - since > limit {
                return Err(Trouble::Browser(failure.to_owned()));
            }
            sleep(LOOK_EVERY_MS).await;
        }
        Ok(())
    }

    fn open(&self, label: ChannelLabel, id: u16) -> Result<(), JsValue> {
        let channel = self.channel(label, id)?;
        match label {
            ChannelLabel::CmdUnreliable => drop(self.commands.replace(Some(channel))),
            ChannelLabel::StateReliable => drop(self.state.replace(Some(channel))),
            ChannelLabel::StateReliableBack | ChannelLabel::MapUnreliable => self.down.borrow_mut().push(channel),
        }
        Ok(())
    }

    fn channel(&self, label: ChannelLabel, id: u16) -> Result<Channel, JsValue> {
        let options = RtcDataChannelInit::new();
        options.set_negotiated(true);
        options.set_id(id);
        if label.lossy() {
            options.set_ordered(false);
            options.set_max_retransmits(0);
        }
        let channel = self.peer.create_data_channel_with_data_channel_dict(label.as_str(), &options);
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        let events = self.events.clone();
        let close = Closure::<dyn FnMut()>::new(move || events(Event::Lost));
        channel.set_onclose(Some(close.as_ref().unchecked_ref()));
        let brings = label.direction() == Direction::ToOperator;
        let message = brings.then(|| {
            let events = self.events.clone();
            let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                if let Some(text) = text_of(&event.data()) {
                    events(Event::Text(label, text));
                }
            });
            channel.set_onmessage(Some(message.as_ref().unchecked_ref()));
            message
        });
        Ok(Channel { channel, _message: message, _close: close })
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.peer.set_onicecandidate(None);
        self.peer.set_ontrack(None);
        self.peer.set_onconnectionstatechange(None);
        self.commands.take();
        self.state.take();
        self.down.take();
        if let Some(track) = &self.microphone {
            track.stop();
        }
        self.peer.close();
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

fn is_open(channel: &RefCell<Option<Channel>>) -> bool {
    channel.borrow().as_ref().is_some_and(|channel| channel.channel.ready_state() == RtcDataChannelState::Open)
}

/// Both kinds of frames carry JSON.
fn text_of(data: &JsValue) -> Option<String> {
    if let Some(text) = data.as_string() {
        return Some(text);
    }
    let buffer = data.dyn_ref::<js_sys::ArrayBuffer>()?;
    String::from_utf8(Uint8Array::new(buffer).to_vec()).ok()
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
