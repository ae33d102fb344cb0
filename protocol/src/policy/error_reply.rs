//! Errors as replies, instead of a closed connection.

use super::fields::Field;
use super::ids::RequestId;
use super::writer::frame;
use super::{Frame, WireError};
use crate::names::wire_names;

wire_names! {
    /// Kind of an error.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    #[non_exhaustive]
    pub enum ErrorCode {
        /// A well-formed request that asks for what cannot be.
        BadRequest = "bad_request",
        /// A frame that cannot be read.
        Malformed = "malformed",
        /// A type of message that the server does not know.
        UnknownType = "unknown_type",
        /// Something the robot does not have.
        Unsupported = "unsupported",
        /// More than the server takes at once.
        TooLarge = "too_large",
        /// Too many requests wait already; see `retry_ms`.
        Busy = "busy",
        /// Somebody else controls the robot.
        NotHolder = "not_holder",
        /// An action that is too old, or that did not come.
        Stale = "stale",
        /// An action with NaN or infinite values.
        NonFinite = "non_finite",
        /// The application failed.
        App = "app",
        /// The server ends.
        Shutdown = "shutdown",
        /// A code that is not known here; the message may tell more.
        Other = "other",
    }
}

/// An error for a peer that negotiated `err`. With an id it completes that request, without it is an event.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorReply {
    /// Id of the request.
    pub id: Option<RequestId>,
    /// Kind.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// After which time the request may be tried again, milliseconds.
    pub retry_ms: Option<f64>,
}

impl ErrorReply {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "error", |header| {
            match self.id {
                Some(id) => header.id(id),
                None => header.nil("id"),
            }
            header.text("code", self.code.name());
            header.text("message", &self.message);
            match self.retry_ms {
                Some(retry_ms) => header.float("retry_ms", retry_ms),
                None => header.nil("retry_ms"),
            }
        });
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [id, code, message, retry_ms] = frame.members(["id", "code", "message", "retry_ms"]);
        Ok(Self {
            id: id.optional(Field::id)?,
            code: ErrorCode::from_name(code.text()?).unwrap_or(ErrorCode::Other),
            message: message.optional(Field::text)?.unwrap_or_default().to_owned(),
            retry_ms: retry_ms.optional(Field::magnitude)?,
        })
    }
}
