//! The control lease: whose actions and resets count.

use super::fields::Field;
use super::ids::RequestId;
use super::writer::frame;
use super::{Frame, WireError};
use crate::names::wire_names;

wire_names! {
    /// What a client wants of the lease.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LeaseOp {
        /// To control, if nobody does.
        Acquire = "acquire",
        /// To stay in control.
        Renew = "renew",
        /// To control no longer.
        Release = "release",
        /// To control instead of a holder who is silent, or if the operator allows it.
        Take = "take",
    }
}

/// A client's word about the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Id of the request.
    pub id: RequestId,
    /// What it wants.
    pub op: LeaseOp,
    /// For how long it may be silent and keep the lease, milliseconds; a fraction is rounded.
    pub ttl_ms: u64,
}

impl LeaseRequest {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "lease", |header| {
            header.id(self.id);
            header.text("op", self.op.name());
            header.integer("ttl_ms", self.ttl_ms);
        });
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [id, op, ttl_ms] = frame.members(["id", "op", "ttl_ms"]);
        Ok(Self {
            id: id.id()?,
            op: op.named(LeaseOp::from_name, "acquire, renew, release or take")?,
            ttl_ms: ttl_ms.milliseconds()?,
        })
    }
}

/// Answer to a [`LeaseRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseResponse {
    /// Id of the request.
    pub id: RequestId,
    /// Whether the client has what it wanted.
    pub granted: bool,
    /// Who controls now; `None`: nobody.
    pub holder: Option<String>,
    /// For how long the holder may be silent, milliseconds.
    pub ttl_ms: u64,
}

impl LeaseResponse {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "lease_response", |header| {
            header.id(self.id);
            header.flag("granted", self.granted);
            match &self.holder {
                Some(holder) => header.text("holder", holder),
                None => header.nil("holder"),
            }
            header.integer("ttl_ms", self.ttl_ms);
        });
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [id, granted, holder, ttl_ms] = frame.members(["id", "granted", "holder", "ttl_ms"]);
        Ok(Self {
            id: id.id()?,
            granted: granted.flag()?,
            holder: holder.optional(Field::text)?.map(str::to_owned),
            ttl_ms: ttl_ms.milliseconds()?,
        })
    }
}

wire_names! {
    /// Why the lease went to somebody else, or to nobody.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LeaseReason {
        /// Somebody asked for it.
        Acquired = "acquired",
        /// The holder gave it back.
        Released = "released",
        /// The holder was silent for too long.
        Expired = "expired",
        /// Somebody took it from a holder who was silent.
        Taken = "taken",
        /// A person at the robot took it.
        Operator = "operator",
    }
}

/// Tells everybody with `lease` that the holder changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseEvent {
    /// Who controls now; `None`: nobody.
    pub holder: Option<String>,
    /// Why.
    pub reason: LeaseReason,
}

impl LeaseEvent {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "lease_event", |header| {
            match &self.holder {
                Some(holder) => header.text("holder", holder),
                None => header.nil("holder"),
            }
            header.text("reason", self.reason.name());
        });
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [holder, reason] = frame.members(["holder", "reason"]);
        Ok(Self {
            holder: holder.optional(Field::text)?.map(str::to_owned),
            reason: reason.named(LeaseReason::from_name, "acquired, released, expired, taken or operator")?,
        })
    }
}
