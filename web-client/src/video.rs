//! The cameras: asks the robot for an offer, answers it, and keeps one video element per camera.

mod camera;

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use js_sys::{Array, Reflect};
use waldo_protocol::vr::IceServer;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    RtcConfiguration, RtcIceGatheringState, RtcIceServer, RtcPeerConnection, RtcPeerConnectionState, RtcSdpType,
    RtcSessionDescriptionInit, RtcTrackEvent,
};

use crate::browser::{error_text, now, sleep};
use crate::panels::Place;
use crate::summary::VideoStatus;

pub(crate) use camera::Camera;

/// The robot is asked again this often until it offers.
const ASK_EVERY_MS: f64 = 2000.0;
/// A robot that needs our candidates inside the answer waits for them no longer than this.
const GATHERING_LIMIT_MS: f64 = 3000.0;
const GATHERING_POLL_MS: i32 = 50;

/// A robot's camera offer.
pub(crate) struct Offer {
    pub(crate) sdp: String,
    /// Camera names by mid.
    pub(crate) tracks: BTreeMap<String, String>,
    pub(crate) ice_servers: Vec<IceServer>,
    /// The robot cannot find our address by itself: the answer must carry our candidates.
    pub(crate) needs_candidates: bool,
}

/// The cameras of the robot, whatever the state of the connection.
#[derive(Default)]
pub(crate) struct Video {
    peer: RefCell<Option<Peer>>,
    cameras: RefCell<Vec<Rc<Camera>>>,
    status: Cell<VideoStatus>,
    asked_at: Cell<Option<f64>>,
}

impl Video {
    pub(crate) fn status(&self) -> VideoStatus {
        self.status.get()
    }

    /// The cameras of the latest offer. Those of a lost connection stay, with their last picture.
    pub(crate) fn cameras(&self) -> Ref<'_, [Rc<Camera>]> {
        Ref::map(self.cameras.borrow(), Vec::as_slice)
    }

    /// Another robot is wanted: its cameras are other cameras.
    pub(crate) fn forget(&self) {
        self.peer.take();
        self.cameras.take();
    }

    /// The socket opened or closed: a connection that was set up over the old one is void.
    pub(crate) fn socket_changed(&self, open: bool) {
        self.peer.take();
        self.asked_at.set(None);
        self.status.set(if open { VideoStatus::Connecting } else { VideoStatus::Off });
    }

    /// To be called a few times a second while the socket is open; true if the robot must be asked for an offer now.
    pub(crate) fn poll(&self, now: f64) -> bool {
        if let Some(peer) = &*self.peer.borrow()
            && !peer.failed.get()
        {
            let connected = peer.connection.connection_state() == RtcPeerConnectionState::Connected;
            let cameras = || peer.cameras.values().filter(|camera| Place::of_camera(camera.name()).is_some());
            // One frozen picture is enough to mislead the operator, however well the others move.
            let live = connected && cameras().all(|camera| camera.is_fresh());
            peer.was_live.set(live || peer.was_live.get());
            peer.silent.set(cameras().count() > 0 && cameras().all(|camera| !camera.is_fresh()));
            self.status.set(if live { VideoStatus::Live } else { VideoStatus::Connecting });
            return false;
        }
        if self.peer.take().is_some() {
            self.status.set(VideoStatus::Connecting);
            self.asked_at.set(None);
        }
        let due = self.asked_at.get().is_none_or(|at| now - at >= ASK_EVERY_MS);
        if due {
            self.asked_at.set(Some(now));
        }
        due
    }

    /// All pictures stand still that had moved since the last offer.
    pub(crate) fn fell_silent(&self) -> bool {
        self.peer.borrow().as_ref().is_some_and(|peer| peer.was_live.get() && peer.silent.get())
    }

    /// The robot's cameras are starting.
    pub(crate) fn pending(&self) {
        self.status.set(VideoStatus::Connecting);
    }

    /// The robot has no cameras, for now.
    pub(crate) fn unavailable(&self) {
        self.status.set(VideoStatus::Unavailable);
    }

    /// Sets up a new connection for the offer and hands the answer to `send_answer`.
    pub(crate) fn offered(&self, offer: Offer, send_answer: impl FnOnce(String) + 'static) {
        // Close the old connection first: two at once would decode everything twice.
        self.peer.take();
        self.status.set(VideoStatus::Connecting);
        let cameras = self.keep_cameras(&offer.tracks);
        let peer = match Peer::new(&offer.ice_servers, cameras) {
            Ok(peer) => peer,
            Err(error) => return log_failure(&error),
        };
        let (connection, failed) = (peer.connection.clone(), peer.failed.clone());
        self.peer.replace(Some(peer));
        spawn_local(async move {
            match answer(&connection, &offer.sdp, offer.needs_candidates).await {
                Ok(sdp) => send_answer(sdp),
                // A newer offer closes this connection, which is no failure of its own.
                Err(_) if connection.connection_state() == RtcPeerConnectionState::Closed => {}
                Err(error) => {
                    failed.set(true);
                    log_failure(&error);
                }
            }
        });
    }

    /// One camera per name, by mid; those that are no longer offered disappear.
    fn keep_cameras(&self, tracks: &BTreeMap<String, String>) -> BTreeMap<String, Rc<Camera>> {
        let mut cameras = self.cameras.borrow_mut();
        let by_mid: BTreeMap<_, _> = tracks
            .iter()
            .filter_map(|(mid, name)| {
                let known = cameras.iter().find(|camera| camera.name() == name).cloned();
                let camera = known.or_else(|| Camera::new(name).inspect_err(log_failure).ok())?;
                Some((mid.clone(), camera))
            })
            .collect();
        *cameras = by_mid.values().cloned().collect();
        by_mid
    }
}

fn log_failure(error: &JsValue) {
    web_sys::console::warn_1(&format!("no camera connection: {}", error_text(error)).into());
}

/// One peer connection. Dropping it closes it.
struct Peer {
    connection: RtcPeerConnection,
    /// Cameras by mid.
    cameras: Rc<BTreeMap<String, Rc<Camera>>>,
    /// It failed; the owner looks at its next poll.
    failed: Rc<Cell<bool>>,
    /// All pictures moved at some time.
    was_live: Cell<bool>,
    /// No picture moves.
    silent: Cell<bool>,
    _track: Closure<dyn FnMut(RtcTrackEvent)>,
    _state: Closure<dyn FnMut()>,
}

impl Peer {
    fn new(ice_servers: &[IceServer], cameras: BTreeMap<String, Rc<Camera>>) -> Result<Self, JsValue> {
        let connection = match ice_servers {
            [] => RtcPeerConnection::new()?,
            servers => RtcPeerConnection::new_with_configuration(&configuration(servers))?,
        };
        let cameras = Rc::new(cameras);
        let by_mid = cameras.clone();
        let track = Closure::<dyn FnMut(RtcTrackEvent)>::new(move |event: RtcTrackEvent| {
            // All tracks may lie in one media stream: only the mid tells them apart.
            if let Some(camera) = event.transceiver().mid().and_then(|mid| by_mid.get(&mid)) {
                shrink_jitter_buffer(&event.receiver());
                camera.show(&event.track());
            }
        });
        connection.set_ontrack(Some(track.as_ref().unchecked_ref()));
        let failed = Rc::new(Cell::new(false));
        let state = Closure::<dyn FnMut()>::new({
            let (connection, failed) = (connection.clone(), failed.clone());
            move || {
                let state = connection.connection_state();
                if matches!(state, RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed) {
                    failed.set(true);
                }
            }
        });
        connection.set_onconnectionstatechange(Some(state.as_ref().unchecked_ref()));
        Ok(Self {
            connection,
            cameras,
            failed,
            was_live: Cell::default(),
            silent: Cell::default(),
            _track: track,
            _state: state,
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.connection.set_ontrack(None);
        self.connection.set_onconnectionstatechange(None);
        self.cameras.values().for_each(|camera| camera.freeze());
        self.connection.close();
    }
}

fn configuration(servers: &[IceServer]) -> RtcConfiguration {
    let list: Array = servers
        .iter()
        .map(|server| {
            let entry = RtcIceServer::new();
            entry.set_urls(&server.urls.iter().map(JsValue::from).collect::<Array>());
            if let Some(username) = &server.username {
                entry.set_username(username);
            }
            if let Some(credential) = &server.credential {
                entry.set_credential(credential);
            }
            entry
        })
        .collect();
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&list);
    configuration
}

/// Zero asks for the least the browser thinks safe; it adapts upwards by itself.
fn shrink_jitter_buffer(receiver: &web_sys::RtcRtpReceiver) {
    let key = JsValue::from("jitterBufferTarget");
    if Reflect::has(receiver, &key).unwrap_or(false) {
        let _ = Reflect::set(receiver, &key, &JsValue::from(0));
    }
}

async fn answer(connection: &RtcPeerConnection, sdp: &str, needs_candidates: bool) -> Result<String, JsValue> {
    let offer = RtcSessionDescriptionInit::new(RtcSdpType::Offer);
    offer.set_sdp(sdp);
    JsFuture::from(connection.set_remote_description(&offer)).await?;
    let answer: RtcSessionDescriptionInit = JsFuture::from(connection.create_answer()).await?.unchecked_into();
    JsFuture::from(connection.set_local_description(&answer)).await?;
    if needs_candidates {
        let since = now();
        while connection.ice_gathering_state() != RtcIceGatheringState::Complete && now() - since < GATHERING_LIMIT_MS {
            sleep(GATHERING_POLL_MS).await;
        }
    }
    let description = connection.local_description().ok_or("the connection was closed meanwhile")?;
    Ok(description.sdp())
}
