//! The cameras: asks the robot for an offer, answers it, and keeps one video element per camera.

mod camera;

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use js_sys::Reflect;
use wasm_bindgen::prelude::*;
use web_sys::RtcTrackEvent;

use crate::panels::Place;
use crate::peer::{Offer, Peer, log_failure};
use crate::summary::VideoStatus;

pub(crate) use camera::Camera;

/// The robot is asked again this often until it offers.
const ASK_EVERY_MS: f64 = 2000.0;

/// Pictures held back to even out jitter, by robots that never said hello: those may not send again what got lost, and a
/// hole in the stream stays until their next keyframe.
const PLAIN_BUFFER_MS: f64 = 100.0;

/// For our own: the least the browser thinks safe. It grows the buffer by itself with the jitter it sees, and by a round
/// trip once pictures had to be sent again; a floor of 100 ms would be added to the delay of every clean network.
const OWN_BUFFER_MS: f64 = 0.0;

/// The cameras of the robot, whatever the state of the connection.
#[derive(Default)]
pub(crate) struct Video {
    show: RefCell<Option<Show>>,
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
        self.show.take();
        self.cameras.take();
    }

    /// The socket opened or closed: a connection that was set up over the old one is void.
    pub(crate) fn socket_changed(&self, open: bool) {
        self.show.take();
        self.asked_at.set(None);
        self.status.set(if open { VideoStatus::Connecting } else { VideoStatus::Off });
    }

    /// To be called a few times a second while the socket is open; true if the robot must be asked for an offer now.
    pub(crate) fn poll(&self, now: f64) -> bool {
        if let Some(show) = &*self.show.borrow()
            && !show.peer.has_failed()
        {
            let connected = show.peer.is_connected();
            let cameras = || show.cameras.values().filter(|camera| Place::of_camera(camera.name()).is_some());
            // One frozen picture is enough to mislead the operator, however well the others move.
            let live = connected && cameras().all(|camera| camera.is_fresh());
            show.was_live.set(live || show.was_live.get());
            show.silent.set(cameras().count() > 0 && cameras().all(|camera| !camera.is_fresh()));
            self.status.set(if live { VideoStatus::Live } else { VideoStatus::Connecting });
            return false;
        }
        if self.show.take().is_some() {
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
        self.show.borrow().as_ref().is_some_and(|show| show.was_live.get() && show.silent.get())
    }

    /// The robot's cameras are starting.
    pub(crate) fn pending(&self) {
        self.status.set(VideoStatus::Connecting);
    }

    /// The robot has no cameras, for now.
    pub(crate) fn unavailable(&self) {
        self.status.set(VideoStatus::Unavailable);
    }

    /// Sets up a new connection for the offer, `tracks` its camera names by mid, and hands the answer to `send_answer`.
    pub(crate) fn offered(
        &self,
        offer: Offer,
        tracks: &BTreeMap<String, String>,
        send_answer: impl FnOnce(String) + 'static,
    ) {
        // Close the old connection first: two at once would decode everything twice.
        self.show.take();
        self.status.set(VideoStatus::Connecting);
        let show = match Show::new(&offer, self.keep_cameras(tracks)) {
            Ok(show) => show,
            Err(error) => return log_failure(&error),
        };
        show.peer.answer(offer, send_answer);
        self.show.replace(Some(show));
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

/// The connection that brings the pictures. Dropping it leaves the last ones standing.
struct Show {
    peer: Peer,
    /// Cameras by mid.
    cameras: Rc<BTreeMap<String, Rc<Camera>>>,
    /// All pictures moved at some time.
    was_live: Cell<bool>,
    /// No picture moves.
    silent: Cell<bool>,
    _track: Closure<dyn FnMut(RtcTrackEvent)>,
}

impl Show {
    fn new(offer: &Offer, cameras: BTreeMap<String, Rc<Camera>>) -> Result<Self, JsValue> {
        let peer = Peer::new(&offer.ice_servers)?;
        let cameras = Rc::new(cameras);
        let by_mid = cameras.clone();
        let buffer_ms = if offer.plain { PLAIN_BUFFER_MS } else { OWN_BUFFER_MS };
        let track = Closure::<dyn FnMut(RtcTrackEvent)>::new(move |event: RtcTrackEvent| {
            // All tracks may lie in one media stream: only the mid tells them apart.
            if let Some(camera) = event.transceiver().mid().and_then(|mid| by_mid.get(&mid)) {
                set_jitter_buffer(&event.receiver(), buffer_ms);
                camera.show(&event.track());
            }
        });
        peer.connection().set_ontrack(Some(track.as_ref().unchecked_ref()));
        Ok(Self { peer, cameras, was_live: Cell::default(), silent: Cell::default(), _track: track })
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.cameras.values().for_each(|camera| camera.freeze());
    }
}

/// Older browsers know the delay in seconds only.
pub(crate) fn set_jitter_buffer(receiver: &web_sys::RtcRtpReceiver, ms: f64) {
    for (key, value) in [("jitterBufferTarget", ms), ("playoutDelayHint", ms / 1000.0)] {
        let key = JsValue::from(key);
        if Reflect::has(receiver, &key).unwrap_or(false) {
            let _ = Reflect::set(receiver, &key, &JsValue::from(value));
            return;
        }
    }
}
