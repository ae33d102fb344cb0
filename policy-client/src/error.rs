//! What can go wrong.

use std::time::Duration;

use waldo_protocol::policy::{Capability, ErrorReply, RobotId, UnknownName, WireError};

use crate::AddressError;

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URI is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The options contradict each other or the address.
    #[error("{0}")]
    Options(&'static str),
    /// The server was not there within the time given to [`connect`](crate::PolicyClient::connect).
    #[error("no policy server at {address} within {after:?}: {last}")]
    NoServer {
        /// Where it was looked for.
        address: String,
        /// The time given.
        after: Duration,
        /// What the last attempt ended with.
        last: String,
    },
    /// The server is there and will not talk to this client however often it asks: a token is missing, a certificate is
    /// not trusted, there are several robots to choose from.
    #[error("{address}: {reason}")]
    Refused {
        /// Where it is.
        address: String,
        /// Why.
        reason: String,
    },
    /// There is no connection at the moment; the client is looking for the server.
    #[error("not connected: {last}")]
    NotConnected {
        /// How the last connection ended, or why the last attempt to connect again failed.
        last: String,
    },
    /// The connection was lost while the call waited for its reply.
    #[error("connection lost: {0}")]
    Lost(#[from] Lost),
    /// No reply within the time-out.
    #[error("{call}: no reply within {after:?}")]
    Timeout {
        /// The request's type on the wire.
        call: &'static str,
        /// The time-out.
        after: Duration,
    },
    /// The server answered with an error.
    #[error("{call}: {} ({})", reply.message, reply.code.name())]
    Server {
        /// The request's type on the wire.
        call: &'static str,
        /// What it answered.
        reply: ErrorReply,
    },
    /// The reply cannot be read.
    #[error("{call}: {error}")]
    Malformed {
        /// The request's type on the wire.
        call: &'static str,
        /// What is wrong with it.
        error: WireError,
    },
    /// The reply is none to this request.
    #[error("{call}: the server answered with {got}")]
    UnexpectedReply {
        /// The request's type on the wire.
        call: &'static str,
        /// The reply's type.
        got: String,
    },
    /// This server does not have the extension that the call needs.
    #[error("the server does not have the extension {}", .0.name())]
    NotNegotiated(Capability),
    /// A server of the decoupled generation cannot step.
    #[error("the server cannot step: it takes actions without answering them; use put_action")]
    CannotStep,
    /// A server of the coupled generation has no observation before the first reset of a connection.
    #[error("no observation yet: this server sends them with reset and step only, so call reset first")]
    NoObservation,
    /// As many actions wait as the queue has room for.
    #[error("{capacity} actions wait already; start_action_dispatch sends them, clear_actions forgets them")]
    QueueFull {
        /// Most actions that may wait.
        capacity: usize,
    },
    /// A chunk of more rows than the server takes at once.
    #[error("a chunk of {rows} actions; the server takes {max} at once")]
    ChunkTooLong {
        /// Rows of the chunk.
        rows: usize,
        /// Most rows the server takes.
        max: usize,
    },
    /// The action cannot be sent.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// No observation newer than the one that is there came in time.
    #[error("no newer observation within {after:?}; is a stream running (start_obs_stream)?")]
    NoNewer {
        /// The time.
        after: Duration,
    },
    /// A rate that cannot be kept.
    #[error("{0} is no rate: it must be 0.001 to 1000 per second")]
    Rate(f64),
    /// A name that the observation does not have.
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

/// How a connection came to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// The server closed it.
    #[error("closed by the server, {code}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Closed {
        /// Code of the WebSocket: 1011 for an error of the server, 1009 for too long a message, 1005 for none.
        code: u16,
        /// What the server says.
        reason: String,
    },
    /// The network failed.
    #[error("{0}")]
    Network(String),
    /// The server does not keep to the rules of the wire.
    #[error("{0}")]
    Protocol(String),
    /// Nothing came from the server while a call waited for its reply.
    #[error("no reply to {call}")]
    Silent {
        /// The call's type on the wire.
        call: &'static str,
    },
    /// The server takes no more of what is sent to it.
    #[error("{waiting} bytes wait to be taken by the server")]
    Stalled {
        /// Bytes that wait.
        waiting: usize,
    },
    /// A message longer than [`Options::max_message`](crate::Options::max_message).
    #[error("a message of {len} bytes; at most {limit} are taken")]
    TooLong {
        /// Its length, bytes.
        len: u64,
        /// The limit, bytes.
        limit: usize,
    },
    /// Another robot answers than when this client first connected. It is not spoken to; to use it, connect a new client.
    #[error("robot {found} answers, and this client belongs to robot {first}")]
    OtherRobot {
        /// The robot of the first connection.
        first: RobotId,
        /// The robot that answers now.
        found: RobotId,
    },
    /// This side closed it.
    #[error("closed by this client")]
    Here,
}

/// Why an action cannot be sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// NaN or infinite.
    #[error("value {index} is {value}; actions must be finite")]
    NotFinite {
        /// Which value, in C order.
        index: usize,
        /// The value.
        value: f32,
    },
    /// Not what the robot takes, as its metadata say (`action_shape`).
    #[error("the action has the shape {actual:?}, the robot takes {expected:?}")]
    Shape {
        /// The action's shape.
        actual: Vec<usize>,
        /// The shape in the metadata.
        expected: Vec<usize>,
    },
    /// Number of values and shape do not go together.
    #[error("{values} values cannot have the shape {shape:?}")]
    Values {
        /// Number of values.
        values: usize,
        /// The shape.
        shape: Vec<usize>,
    },
    /// The due times of a chunk are not as many as its rows, or not in the order of time.
    #[error("{0}")]
    Due(&'static str),
}
