//! The second socket, for a headset that hangs on the robot's USB cable: every frame goes there too.
//!
//! The robot forwards its port to the headset, so it is found at the headset's own address. Only poses and what makes
//! them safe go this way; what comes back is ignored. To the robot this page is one of another origin there, so it shows
//! the token that it has for the robot in the network.

use std::cell::{Cell, RefCell};

use crate::browser::local_storage;
use crate::socket::{Socket, SocketEvent};
use crate::summary::CableStatus;
use crate::target::Target;

/// Where the forwarded port is.
const ADDRESS: &str = "localhost:8000";
/// Pause between two attempts; tried for ever.
const RETRY_MS: f64 = 1000.0;

const KEY: &str = "waldo.usb";

/// At most one socket over the cable.
#[derive(Default)]
pub(crate) struct Cable {
    wanted: Cell<bool>,
    socket: RefCell<Option<Socket>>,
    next_at: Cell<f64>,
}

impl Cable {
    /// As wanted at the last visit.
    pub(crate) fn remembered() -> Self {
        let wanted = local_storage().and_then(|storage| storage.get_item(KEY).ok().flatten()).is_some();
        Self { wanted: Cell::new(wanted), ..Self::default() }
    }

    /// Turns it on or off, and remembers that.
    pub(crate) fn want(&self, wanted: bool) {
        self.wanted.set(wanted);
        self.next_at.set(0.0);
        if let Some(storage) = local_storage() {
            // Remembering is a convenience.
            let _ = if wanted { storage.set_item(KEY, "on") } else { storage.remove_item(KEY) };
        }
        if !wanted {
            self.socket.take();
        }
    }

    /// Opens and retries while it is wanted and `linked`, the robot that the network's socket is open to, is there; to be
    /// called a few times a second. The events of the new socket go to `on_event`.
    pub(crate) fn poll(&self, now: f64, linked: Option<&Target>, on_event: impl Fn(SocketEvent) + Clone + 'static) {
        let Some(robot) = linked.filter(|_| self.wanted.get()) else {
            self.socket.take();
            return;
        };
        let gone = self.socket.borrow().as_ref().is_none_or(Socket::is_closed);
        if gone && now >= self.next_at.get() {
            self.next_at.set(now + RETRY_MS);
            let socket = Socket::open(&robot.with_token(format!("wss://{ADDRESS}/ws")), on_event);
            self.socket.replace(socket.ok());
        }
    }

    /// Where the browser can be told to trust the certificate at the cable's end.
    pub(crate) fn accept_url() -> String {
        format!("https://{ADDRESS}/__accept")
    }

    pub(crate) fn status(&self) -> CableStatus {
        match &*self.socket.borrow() {
            _ if !self.wanted.get() => CableStatus::Off,
            Some(socket) if socket.is_open() => CableStatus::Open,
            _ => CableStatus::Waiting,
        }
    }

    /// Whether a pose frame would leave at once.
    pub(crate) fn takes_poses(&self) -> bool {
        self.socket.borrow().as_ref().is_some_and(Socket::takes_poses)
    }

    /// Sends a text if the socket is open, otherwise drops it.
    pub(crate) fn send(&self, text: &str) {
        if let Some(socket) = &*self.socket.borrow() {
            socket.send(text);
        }
    }
}
