//! The connection to one robot: the [`Link`]'s decisions carried out on a socket.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;

use wasm_bindgen_futures::spawn_local;

use crate::browser::{answers, error_text, now};
use crate::link::{Link, Status, Step};
use crate::socket::{Socket, SocketEvent};

/// What can be dialled.
pub(crate) trait Dialled {
    /// The address of its socket.
    fn socket_url(&self) -> String;

    /// Whether it is the server that served the page.
    fn is_own(&self) -> bool;
}

/// At most one socket to at most one robot.
pub(crate) struct Connection<T> {
    target: RefCell<Option<T>>,
    link: RefCell<Link>,
    socket: RefCell<Option<Socket>>,
    /// Number of the latest attempt; the answers of older ones mean nothing.
    attempt: Rc<Cell<u64>>,
    on_event: Rc<dyn Fn(SocketEvent)>,
}

impl<T: Dialled> Connection<T> {
    /// No connection yet. The events of every later socket go to `on_event`; of [`SocketEvent::Reachable`],
    /// [`SocketEvent::Opened`] and [`SocketEvent::Closed`] the owner tells [`Connection::reachable`],
    /// [`Connection::opened`] and [`Connection::closed`].
    pub(crate) fn new(target: Option<T>, on_event: impl Fn(SocketEvent) + 'static) -> Self {
        let target = RefCell::new(target);
        Self {
            target,
            link: RefCell::default(),
            socket: RefCell::default(),
            attempt: Rc::default(),
            on_event: Rc::new(on_event),
        }
    }

    /// The robot to connect to; `None` if the page itself has no host.
    pub(crate) fn target(&self) -> Ref<'_, Option<T>> {
        self.target.borrow()
    }

    /// The next [`Connection::connect`] goes to this robot.
    pub(crate) fn aim_at(&self, target: T) {
        self.target.replace(Some(target));
    }

    /// The link as a person sees it.
    pub(crate) fn status(&self) -> Status {
        self.link.borrow().status()
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

    /// Connects anew, dropping an old socket.
    ///
    /// # Errors
    /// What the browser says to an address it does not like; the link tries on as if the robot had not answered.
    pub(crate) fn connect(&self) -> Result<(), String> {
        let step = self.link.borrow_mut().connect(now());
        self.take(step)
    }

    /// Drops the socket and stays without.
    pub(crate) fn disconnect(&self) {
        self.hang_up();
        self.link.borrow_mut().disconnect();
    }

    /// The robot answers again: opens a socket.
    ///
    /// # Errors
    /// As [`Connection::connect`].
    pub(crate) fn reachable(&self) -> Result<(), String> {
        self.open()
    }

    /// The socket opened.
    pub(crate) fn opened(&self) {
        self.link.borrow_mut().opened();
    }

    /// The robot said hello.
    pub(crate) fn greeted(&self) {
        self.link.borrow_mut().greeted();
    }

    /// The socket closed.
    pub(crate) fn closed(&self) {
        self.hang_up();
        self.link.borrow_mut().closed(now());
    }

    /// Time-outs and retries; to be called a few times a second.
    ///
    /// # Errors
    /// As [`Connection::connect`].
    pub(crate) fn poll(&self, now: f64) -> Result<(), String> {
        let step = self.link.borrow_mut().poll(now);
        step.map_or(Ok(()), |step| self.take(step))
    }

    fn take(&self, step: Step) -> Result<(), String> {
        self.hang_up();
        match step {
            Step::HangUp => Ok(()),
            // Pages may ask nobody but their own robot.
            Step::Dial if self.link.borrow().should_ask_first() && self.is_own() => {
                self.ask();
                Ok(())
            }
            Step::Dial => self.open(),
        }
    }

    fn hang_up(&self) {
        self.attempt.set(self.attempt.get() + 1);
        self.socket.take();
    }

    fn is_own(&self) -> bool {
        self.target.borrow().as_ref().is_some_and(T::is_own)
    }

    /// Finds out whether the robot is back.
    fn ask(&self) {
        let (on_event, attempt, mine) = (self.on_event.clone(), self.attempt.clone(), self.attempt.get());
        spawn_local(async move {
            let answers = answers("healthz").await;
            if attempt.get() == mine {
                on_event(if answers { SocketEvent::Reachable } else { SocketEvent::Closed });
            }
        });
    }

    fn open(&self) -> Result<(), String> {
        let Some(url) = self.target.borrow().as_ref().map(T::socket_url) else {
            self.link.borrow_mut().disconnect();
            return Ok(());
        };
        let on_event = self.on_event.clone();
        match Socket::open(&url, move |event| on_event(event)) {
            Ok(socket) => {
                self.socket.replace(Some(socket));
                Ok(())
            }
            Err(error) => {
                self.link.borrow_mut().closed(now());
                Err(error_text(&error))
            }
        }
    }
}
