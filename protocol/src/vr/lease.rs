//! The control lease: who drives, who asks to, and what came of it.

use serde::Serialize;
use serde_json::{Map, Value};

use super::message::{Message, integer};
use super::names::wire_names;
use super::{Refusal, RefusalKind};

wire_names! {
    /// What a client wants of the lease.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LeaseOp {
        /// To drive, if nobody does.
        Claim = "claim",
        /// To drive no longer.
        Release = "release",
        /// To drive instead of the one who does.
        Take = "take",
        /// The driver agrees to be replaced.
        Grant = "grant",
        /// The driver does not agree.
        Deny = "deny",
    }
}

/// A client's word about the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// What it wants.
    pub op: LeaseOp,
    /// The client's own number of the request; the answers repeat it.
    pub n: i64,
}

impl LeaseRequest {
    pub(super) fn encode(self) -> String {
        Message::new("lease").with("op", &self.op).with("n", &self.n).finish()
    }

    pub(super) fn from_fields(fields: &Map<String, Value>) -> Result<Self, Refusal> {
        let op = fields.get("op").and_then(Value::as_str).and_then(LeaseOp::from_name);
        let op = op
            .ok_or_else(|| Refusal::new(RefusalKind::WrongType, "op", "must be claim, release, take, grant or deny"))?;
        Ok(Self { op, n: integer(fields, "n")? })
    }
}

wire_names! {
    /// How the lease stands for the one who asked.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LeaseState {
        /// Somebody holds it: the asker if `ok`, otherwise somebody else.
        Held = "held",
        /// Nobody holds it.
        Free = "free",
        /// The driver was asked; another answer follows.
        Pending = "pending",
    }
}

wire_names! {
    /// Why a request ended as it did.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LeaseReason {
        /// Somebody else holds it.
        Held = "held",
        /// The driver said no.
        Denied = "denied",
        /// The driver did not answer in time.
        Timeout = "timeout",
        /// The driver's link was lost.
        Link = "link",
    }
}

/// Answer to a [`LeaseRequest`]; a `take` that is pending gets a second one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseReply {
    /// The number of the request.
    pub n: i64,
    /// Whether the asker has what it asked for.
    pub ok: bool,
    /// How the lease stands.
    pub state: LeaseState,
    /// Why.
    pub reason: Option<LeaseReason>,
    /// Stream of the driver, if somebody drives whose name is known; [`POLICY`] for a policy.
    pub driver: Option<String>,
}

impl LeaseReply {
    pub(super) fn encode(&self) -> String {
        Message::new("lease")
            .with("n", &self.n)
            .with("ok", &self.ok)
            .with("state", &self.state)
            .with("reason", &self.reason)
            .with("driver", &self.driver)
            .finish()
    }

    pub(super) fn from_fields(fields: &Map<String, Value>) -> Option<Self> {
        let text = |key: &str| fields.get(key).and_then(Value::as_str);
        Some(Self {
            n: integer(fields, "n").ok()?,
            ok: fields.get("ok")?.as_bool()?,
            state: LeaseState::from_name(text("state")?)?,
            reason: text("reason").and_then(LeaseReason::from_name),
            driver: text("driver").map(str::to_owned),
        })
    }
}

/// The name of the driver while a policy drives. It gives way to any person at once, without being asked.
pub const POLICY: &str = "policy";

/// The name of the driver while a user of the field service drives.
pub const FIELD: &str = "field";

/// Who drives and who asks to, told to everybody on each change.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LeaseNotice {
    /// Stream of the driver, if somebody drives whose name is known; [`POLICY`] for a policy.
    pub driver: Option<String>,
    /// Stream that asks to drive instead.
    pub requested_by: Option<String>,
    /// Milliseconds from now until the request is granted, unless it is denied.
    pub deadline_ms: Option<f64>,
}

impl LeaseNotice {
    pub(super) fn from_value(value: &Value) -> Self {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Self { driver: text("driver"), requested_by: text("requested_by"), deadline_ms: value["deadline_ms"].as_f64() }
    }
}
