//! The pose channel: a lossy data channel on which a late pose holds up no newer one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wasm_bindgen::prelude::*;
use web_sys::{RtcDataChannel, RtcDataChannelEvent, RtcDataChannelState};

use crate::peer::{Offer, Peer, log_failure};

/// The one channel that takes poses.
const LABEL: &str = "pose";

/// After a failure the robot is asked again this much later.
const ASK_AGAIN_MS: f64 = 3000.0;

/// With more than this waiting in the browser, two frames, the path is stuck and old poses must not pile up: the socket takes over.
const BACKLOG_BYTES: u32 = 2 * 1024;

/// A connection that carries, or will carry, the channel.
struct Carrier {
    peer: Peer,
    channel: Rc<RefCell<Option<RtcDataChannel>>>,
    /// The channel was open.
    was_open: Cell<bool>,
    _offered: Closure<dyn FnMut(RtcDataChannelEvent)>,
}

/// At most one channel; asked for on every socket.
#[derive(Default)]
pub(crate) struct PoseChannel {
    carrier: RefCell<Option<Carrier>>,
    /// When the robot has to be asked.
    ask_at: Cell<Option<f64>>,
}

impl PoseChannel {
    /// The socket opened or closed: a channel that was set up over the old one is void.
    pub(crate) fn socket_changed(&self, open: bool) {
        self.carrier.take();
        self.ask_at.set(open.then_some(f64::NEG_INFINITY));
    }

    /// To be called a few times a second while the socket is open; true if the robot must be asked for an offer now.
    pub(crate) fn poll(&self, now: f64) -> bool {
        let failed = self.carrier.borrow().as_ref().is_some_and(Carrier::has_failed);
        if failed {
            self.carrier.take();
            self.ask_at.set(Some(now + ASK_AGAIN_MS));
        }
        let due = self.ask_at.get().is_some_and(|at| now >= at);
        if due {
            // Robots without a channel never answer: they are asked once per socket.
            self.ask_at.set(None);
        }
        due
    }

    /// Sets up a new connection for the offer and hands the answer to `send_answer`.
    pub(crate) fn offered(&self, offer: Offer, send_answer: impl FnOnce(String) + 'static) {
        self.carrier.take();
        let carrier = match Carrier::new(&offer) {
            Ok(carrier) => carrier,
            Err(error) => return log_failure(&error),
        };
        carrier.peer.answer(offer, send_answer);
        self.carrier.replace(Some(carrier));
    }

    /// Whether a pose frame would leave at once.
    pub(crate) fn takes_poses(&self) -> bool {
        self.carrier.borrow().as_ref().and_then(Carrier::ready).is_some()
    }

    /// Sends a text if the channel is open, otherwise drops it.
    pub(crate) fn send(&self, text: &str) {
        if let Some(channel) = self.carrier.borrow().as_ref().and_then(Carrier::ready) {
            // It may close this very moment; its state tells the rest.
            let _ = channel.send_with_str(text);
        }
    }
}

impl Carrier {
    fn new(offer: &Offer) -> Result<Self, JsValue> {
        let peer = Peer::new(&offer.ice_servers)?;
        let channel = Rc::new(RefCell::new(None));
        let slot = channel.clone();
        let offered = Closure::<dyn FnMut(RtcDataChannelEvent)>::new(move |event: RtcDataChannelEvent| {
            if event.channel().label() == LABEL {
                slot.replace(Some(event.channel()));
            }
        });
        peer.connection().set_ondatachannel(Some(offered.as_ref().unchecked_ref()));
        Ok(Self { peer, channel, was_open: Cell::default(), _offered: offered })
    }

    /// The channel, while the way to the robot is known to be open.
    fn ready(&self) -> Option<RtcDataChannel> {
        let channel = self.channel.borrow().clone()?;
        let open = channel.ready_state() == RtcDataChannelState::Open && self.peer.is_connected();
        (open && channel.buffered_amount() <= BACKLOG_BYTES).then_some(channel)
    }

    fn has_failed(&self) -> bool {
        let state = self.channel.borrow().as_ref().map(RtcDataChannel::ready_state);
        self.was_open.set(self.was_open.get() || state == Some(RtcDataChannelState::Open));
        self.peer.has_failed() || (self.was_open.get() && state != Some(RtcDataChannelState::Open))
    }
}
