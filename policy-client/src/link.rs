//! A way to a robot: whole frames out, whole frames in.
//!
//! What carries them is nobody else's business: [`ws`] a WebSocket, `zenoh` a pair of keys. A link lives once; after its
//! end the client dials a new one.

pub(crate) mod pool;
pub(crate) mod ws;
#[cfg(feature = "zenoh")]
pub(crate) mod zenoh;

use std::time::Duration;

use bytes::Bytes;
use waldo_protocol::policy::{ClientId, RobotId};

use crate::{Address, Lost, Options};

/// A link that stands.
pub(crate) struct Link {
    /// Frames to the robot.
    pub(crate) sender: Sender,
    /// Frames of the robot.
    pub(crate) receiver: Receiver,
    /// How often the first request is repeated until the first answer comes, and frames from before it are thrown away;
    /// `None`: it is sent once, because nothing is lost on the way.
    pub(crate) hello_every: Option<Duration>,
    /// Whether extensions may be asked for: not where others hear the answer.
    pub(crate) extensions: bool,
    /// The robot, if that is known before it says anything.
    pub(crate) robot: Option<RobotId>,
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// An action or a chunk of them, before everything else if the link knows priorities.
    Action,
    /// What is answered; the sender is told when it was.
    Request,
    /// Everything else.
    Other,
}

/// Sends frames, from any thread.
pub(crate) enum Sender {
    /// Over a WebSocket.
    Ws(ws::Sender),
    /// Over Zenoh.
    #[cfg(feature = "zenoh")]
    Zenoh(zenoh::Sender),
}

impl Sender {
    /// Sends a whole frame, after all that were sent before. Never waits: what the network does not take at once is
    /// kept, up to a bound at which the link is given up. Gives what [`answered`](Self::answered) wants to know.
    ///
    /// # Errors
    /// The link is at its end.
    pub(crate) fn send(&self, frame: Vec<u8>, lane: Lane) -> Result<u64, Lost> {
        match self {
            Self::Ws(sender) => {
                // One socket, so one order.
                let _ = lane;
                sender.send(&frame).map(|()| 0)
            }
            #[cfg(feature = "zenoh")]
            Self::Zenoh(sender) => sender.send(frame, lane),
        }
    }

    /// The reply to a [`Lane::Request`] came.
    pub(crate) fn answered(&self, place: u64) {
        match self {
            Self::Ws(_) => {
                let _ = place;
            }
            #[cfg(feature = "zenoh")]
            Self::Zenoh(sender) => sender.answered(place),
        }
    }

    /// Bytes received so far; `None` if the link notices by itself that the other side is gone.
    pub(crate) fn heard(&self) -> Option<u64> {
        match self {
            Self::Ws(sender) => Some(sender.heard()),
            #[cfg(feature = "zenoh")]
            Self::Zenoh(_) => None,
        }
    }

    /// Makes the other side say something, if it can be made to.
    pub(crate) fn ping(&self) {
        match self {
            Self::Ws(sender) => sender.ping(),
            #[cfg(feature = "zenoh")]
            Self::Zenoh(_) => {}
        }
    }

    /// Says goodbye and ends the link; what was sent before still goes out, within a second.
    pub(crate) fn close(&self) {
        match self {
            Self::Ws(sender) => sender.close(),
            #[cfg(feature = "zenoh")]
            Self::Zenoh(sender) => sender.close(),
        }
    }
}

/// Handles a frame, without waiting; an error ends the link.
pub(crate) type Handler = Box<dyn Fn(&Bytes) -> Result<(), Lost> + Send + Sync>;

/// Receives frames; has one owner.
pub(crate) enum Receiver {
    /// Over a WebSocket.
    Ws(ws::Receiver),
    /// Over Zenoh.
    #[cfg(feature = "zenoh")]
    Zenoh(zenoh::Receiver),
}

impl Receiver {
    /// The next whole frame. Nothing is lost if the future is dropped before it is ready.
    ///
    /// # Errors
    /// The link is at its end, and why.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Lost> {
        match self {
            Self::Ws(receiver) => receiver.next().await,
            #[cfg(feature = "zenoh")]
            Self::Zenoh(receiver) => receiver.next().await,
        }
    }

    /// Hands every frame to `handler`, on whatever thread brings it, until the link's end or an error. None is handled any
    /// more once the future was dropped.
    pub(crate) async fn run(&mut self, handler: Handler) -> Lost {
        match self {
            Self::Ws(receiver) => loop {
                if let Err(lost) = receiver.next().await.and_then(|frame| handler(&frame)) {
                    return lost;
                }
            },
            #[cfg(feature = "zenoh")]
            Self::Zenoh(receiver) => receiver.run(handler).await,
        }
    }
}

/// What a link is made from.
#[derive(Clone, Copy)]
pub(crate) struct Dial<'a> {
    /// Where the robot is.
    pub(crate) address: &'a Address,
    /// Limits, TLS, proxy.
    pub(crate) options: &'a Options,
    /// Id of this client object, the same for all of its links.
    #[cfg_attr(not(feature = "zenoh"), expect(dead_code, reason = "part of the keys on Zenoh"))]
    pub(crate) client: &'a ClientId,
    /// The robot of earlier links, if the address names none.
    #[cfg_attr(not(feature = "zenoh"), expect(dead_code, reason = "only Zenoh has several behind one address"))]
    pub(crate) robot: Option<&'a RobotId>,
}

/// Why no link came to be.
#[derive(Clone, Debug)]
pub(crate) struct DialError {
    /// For people.
    pub(crate) message: String,
    /// Dialling again would end the same way: a refused token, several robots to choose from.
    pub(crate) for_good: bool,
}

impl DialError {
    /// The robot may be there later.
    pub(crate) fn later(message: impl ToString) -> Self {
        Self { message: message.to_string(), for_good: false }
    }

    /// Somebody has to change something first.
    pub(crate) fn for_good(message: impl ToString) -> Self {
        Self { message: message.to_string(), for_good: true }
    }
}

/// Dials once; the caller bounds the time.
pub(crate) async fn dial(dial: Dial<'_>) -> Result<Link, DialError> {
    match dial.address {
        Address::WebSocket { .. } => ws::dial(dial).await,
        #[cfg(feature = "zenoh")]
        Address::Zenoh { .. } => zenoh::dial(dial).await,
        #[cfg(not(feature = "zenoh"))]
        Address::Zenoh { .. } => Err(DialError::for_good("this build has no Zenoh")),
    }
}
