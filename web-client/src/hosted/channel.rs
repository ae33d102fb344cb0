//! One data channel between this browser and the SFU.

use std::rc::Rc;

use js_sys::Uint8Array;
use waldo_protocol::hosted::{ChannelLabel, Direction};
use wasm_bindgen::prelude::*;
use web_sys::{
    MessageEvent, RtcDataChannel, RtcDataChannelInit, RtcDataChannelState, RtcDataChannelType, RtcPeerConnection,
};

use super::leg::Event;

/// See the module. Dropping it closes it.
pub(super) struct Channel {
    channel: RtcDataChannel,
    _message: Option<Closure<dyn FnMut(MessageEvent)>>,
    _close: Closure<dyn FnMut()>,
}

impl Channel {
    /// Opens the channel with an id that was agreed on. What it brings, and its end if nobody here closed it, goes to `events`.
    pub(super) fn open(
        peer: &RtcPeerConnection,
        label: ChannelLabel,
        id: u16,
        events: &Rc<dyn Fn(Event)>,
    ) -> Result<Self, JsValue> {
        let options = RtcDataChannelInit::new();
        options.set_negotiated(true);
        options.set_id(id);
        if label.lossy() {
            options.set_ordered(false);
            options.set_max_retransmits(0);
        }
        let channel = peer.create_data_channel_with_data_channel_dict(label.as_str(), &options);
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        let lost = events.clone();
        let close = Closure::<dyn FnMut()>::new(move || lost(Event::Lost));
        channel.set_onclose(Some(close.as_ref().unchecked_ref()));
        let brings = label.direction() == Direction::ToOperator;
        let message = brings.then(|| {
            let events = events.clone();
            let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                if let Some(text) = text_of(&event.data()) {
                    events(Event::Text(label, text));
                }
            });
            channel.set_onmessage(Some(message.as_ref().unchecked_ref()));
            message
        });
        Ok(Self { channel, _message: message, _close: close })
    }

    pub(super) fn is_open(&self) -> bool {
        self.channel.ready_state() == RtcDataChannelState::Open
    }

    /// Bytes that wait for the network.
    pub(super) fn unsent(&self) -> u32 {
        self.channel.buffered_amount()
    }

    /// Sends bytes; lost if the channel is closed.
    pub(super) fn send(&self, bytes: &[u8]) {
        let _ = self.channel.send_with_u8_array(bytes);
    }

    /// Sends a text; false if the channel is closed.
    pub(super) fn send_text(&self, text: &str) -> bool {
        self.is_open() && self.channel.send_with_str(text).is_ok()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channel.set_onmessage(None);
        self.channel.set_onclose(None);
        self.channel.close();
    }
}

/// Both kinds of frames carry JSON.
fn text_of(data: &JsValue) -> Option<String> {
    if let Some(text) = data.as_string() {
        return Some(text);
    }
    let buffer = data.dyn_ref::<js_sys::ArrayBuffer>()?;
    String::from_utf8(Uint8Array::new(buffer).to_vec()).ok()
}
