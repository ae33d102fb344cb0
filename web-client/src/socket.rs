//! One WebSocket to the robot.

use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, MessageEvent, WebSocket};

/// With more than this waiting in the browser, pose frames are skipped: a late pose is worse than none.
const POSE_BACKLOG_BYTES: u32 = 64 * 1024;

/// What happens on a socket.
pub(crate) enum SocketEvent {
    /// There is none yet, but the robot answers again.
    Reachable,
    /// It can be written to.
    Opened,
    /// A text message came.
    Text(String),
    /// A binary message came.
    Bytes(Vec<u8>),
    /// It closed, or could not be opened; the browser does not tell which or why.
    Closed,
}

/// An open or opening socket. Dropping it closes it, and no event comes any more.
pub(crate) struct Socket {
    socket: WebSocket,
    _opened: Closure<dyn FnMut()>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _closed: Closure<dyn FnMut()>,
}

impl Socket {
    /// Starts to open a socket.
    ///
    /// # Errors
    /// What the browser throws for a URL it does not like.
    pub(crate) fn open(url: &str, on_event: impl Fn(SocketEvent) + Clone + 'static) -> Result<Self, JsValue> {
        let socket = WebSocket::new(url)?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let emit = on_event.clone();
        let opened = Closure::<dyn FnMut()>::new(move || emit(SocketEvent::Opened));
        let emit = on_event.clone();
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let data = event.data();
            match data.as_string() {
                Some(text) => emit(SocketEvent::Text(text)),
                None if data.is_instance_of::<ArrayBuffer>() => {
                    emit(SocketEvent::Bytes(Uint8Array::new(&data).to_vec()))
                }
                None => {}
            }
        });
        let closed = Closure::<dyn FnMut()>::new(move || on_event(SocketEvent::Closed));
        socket.set_onopen(Some(opened.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(closed.as_ref().unchecked_ref()));
        Ok(Self { socket, _opened: opened, _message: message, _closed: closed })
    }

    /// Whether it can be written to.
    pub(crate) fn is_open(&self) -> bool {
        self.socket.ready_state() == WebSocket::OPEN
    }

    /// Whether it closed, or is about to; it never opens again.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.socket.ready_state(), WebSocket::CLOSING | WebSocket::CLOSED)
    }

    /// Whether a pose frame would leave at once.
    pub(crate) fn takes_poses(&self) -> bool {
        self.is_open() && self.socket.buffered_amount() <= POSE_BACKLOG_BYTES
    }

    /// Sends a text; on a socket that is not open it is dropped, the close event tells the rest.
    pub(crate) fn send(&self, text: &str) {
        if self.is_open() {
            let _ = self.socket.send_with_str(text);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let _ = self.socket.close();
    }
}
