//! Pushed observations: the server sends them by itself, as many as the client gave credit for.

use super::fields::Field;
use super::ids::RequestId;
use super::writer::frame;
use super::{Frame, WireError};

/// Asks for a stream of observations.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// Id of the request.
    pub id: RequestId,
    /// The client's own number of the stream.
    pub stream: u64,
    /// Observations per second; 0: each new frame.
    pub hz: f64,
    /// Names of the cameras that are sent; `None`: all.
    pub cameras: Option<Vec<String>>,
    /// Names of the proprioception streams that are sent; `None`: all.
    pub proprios: Option<Vec<String>>,
    /// Whether depth is sent; `None`: as configured.
    pub depth: Option<bool>,
    /// Observations that may be sent before more credit is given.
    pub credit: u64,
}

impl Subscribe {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "subscribe", |header| {
            header.id(self.id);
            header.integer("stream", self.stream);
            header.float("hz", self.hz);
            if let Some(cameras) = &self.cameras {
                header.texts("cameras", cameras.iter().map(String::as_str));
            }
            if let Some(proprios) = &self.proprios {
                header.texts("proprios", proprios.iter().map(String::as_str));
            }
            if let Some(depth) = self.depth {
                header.flag("depth", depth);
            }
            header.integer("credit", self.credit);
        });
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [id, stream, hz, cameras, proprios, depth, credit] =
            frame.members(["id", "stream", "hz", "cameras", "proprios", "depth", "credit"]);
        let names = |field: &Field<'_>| Ok(field.texts()?.into_iter().map(str::to_owned).collect());
        Ok(Self {
            id: id.id()?,
            stream: stream.integer()?,
            hz: hz.magnitude()?,
            cameras: cameras.optional(names)?,
            proprios: proprios.optional(names)?,
            depth: depth.optional(Field::flag)?,
            credit: credit.integer()?,
        })
    }
}

/// Gives credit back: so many more observations may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The client's number of the stream.
    pub stream: u64,
    /// Observations.
    pub add: u64,
}

impl Credit {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "credit", |header| {
            header.integer("stream", self.stream);
            header.integer("add", self.add);
        });
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [stream, add] = frame.members(["stream", "add"]);
        Ok(Self { stream: stream.integer()?, add: add.integer()? })
    }
}

/// A stream of a request: `unsubscribe`, and the replies `subscribed` and `unsubscribed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamRef {
    /// Id of the request.
    pub id: RequestId,
    /// The client's number of the stream.
    pub stream: u64,
}

impl StreamRef {
    /// Appends the request that ends the stream.
    pub fn encode_unsubscribe(&self, out: &mut Vec<u8>) {
        self.encode_as("unsubscribe", out);
    }

    /// Appends the reply to [`Subscribe`].
    pub fn encode_subscribed(&self, out: &mut Vec<u8>) {
        self.encode_as("subscribed", out);
    }

    /// Appends the reply to `unsubscribe`.
    pub fn encode_unsubscribed(&self, out: &mut Vec<u8>) {
        self.encode_as("unsubscribed", out);
    }

    fn encode_as(&self, kind: &str, out: &mut Vec<u8>) {
        frame(out, kind, |header| {
            header.id(self.id);
            header.integer("stream", self.stream);
        });
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [id, stream] = frame.members(["id", "stream"]);
        Ok(Self { id: id.id()?, stream: stream.integer()? })
    }
}
