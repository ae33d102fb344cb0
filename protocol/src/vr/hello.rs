//! The handshake that negotiates every extension; without it a peer gets the plain wire.

use serde_json::{Map, Value};

use super::message::Message;
use super::names::wire_names;
use super::{Refusal, RefusalKind};

/// Version of the extensions spoken here.
pub const HELLO_VERSION: u32 = 1;

/// Longest `client` and `server` text, bytes.
pub const MAX_PROGRAM_NAME: usize = 128;

/// Longest `stream` and `conn` id, bytes.
pub const MAX_STREAM_ID: usize = 64;

wire_names! {
    /// An extension both sides may agree on in `hello`. Waldo's server and page both have all of them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    #[non_exhaustive]
    pub enum Capability {
        /// The state of the service at once after hello, instead of guessing.
        Snapshot = "snapshot",
        /// Who drives is asked for, granted and told, see [`super::LeaseOp`].
        Lease = "lease",
        /// Presses and decisions are counted in every frame instead of pulsed in one.
        Counters = "counters",
        /// Reasons of every hold and clamp.
        Hold = "hold",
        /// Pulses of the controllers, see [`super::Haptic`].
        Haptic = "haptic",
        /// Round trips and the offset of the clocks, see [`super::Pong`].
        Ping = "ping",
        /// How well poses and pictures travel, see [`super::Health`].
        Health = "health",
        /// The client may estimate elbows. Needs no agreement: such frames are valid everywhere.
        ElbowEst = "elbow-est",
        /// The scale of the clutch is the driver's to set, see [`super::MotionScale`].
        Motion = "motion",
        /// The stop latch, see [`super::Stop`].
        Stop = "stop",
    }
}

wire_names! {
    /// What a client wants to be.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Role {
        /// Sends poses.
        Driver = "driver",
        /// Watches.
        Viewer = "viewer",
    }
}

/// A client's `hello`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// Version of the extensions, at least 1.
    pub v: u32,
    /// `<name>/<version>`, at most [`MAX_PROGRAM_NAME`] bytes.
    pub client: String,
    /// Random id per page load, the same on every socket of the page, at most [`MAX_STREAM_ID`] bytes.
    pub stream: String,
    /// Driver or viewer.
    pub role: Role,
    /// Capabilities known to us, each once; unknown ones are skipped.
    pub caps: Vec<Capability>,
}

impl ClientHello {
    pub(super) fn encode(&self) -> String {
        Message::new("hello")
            .with("v", &self.v)
            .with("client", &self.client)
            .with("stream", &self.stream)
            .with("role", &self.role)
            .with("caps", &self.caps)
            .finish()
    }

    /// A role of a later version counts as viewer, the one that may do less.
    pub(super) fn from_fields(fields: &Map<String, Value>) -> Result<Self, Refusal> {
        Ok(Self {
            v: version(fields)?,
            client: short_text(fields, "client", MAX_PROGRAM_NAME)?,
            stream: short_text(fields, "stream", MAX_STREAM_ID)?,
            role: match fields.get("role").and_then(Value::as_str) {
                Some(name) => Role::from_name(name).unwrap_or(Role::Viewer),
                None => {
                    return Err(Refusal::new(RefusalKind::WrongType, "role", "must be a text"));
                }
            },
            caps: capabilities(fields)?,
        })
    }
}

/// The server's answer to `hello`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHello {
    /// The lower of both versions.
    pub v: u32,
    /// `<name>/<version>`
    pub server: String,
    /// Id of this connection.
    pub conn: String,
    /// The capabilities both sides have.
    pub caps: Vec<Capability>,
}

impl ServerHello {
    /// The answer of a server that offers `offered`: the lower version, the capabilities both sides have.
    pub fn answer(hello: &ClientHello, offered: &[Capability], server: String, conn: String) -> Self {
        Self {
            v: hello.v.min(HELLO_VERSION),
            server,
            conn,
            caps: offered.iter().copied().filter(|c| hello.caps.contains(c)).collect(),
        }
    }

    /// Whether both sides have `capability`.
    pub fn has(&self, capability: Capability) -> bool {
        self.caps.contains(&capability)
    }

    pub(super) fn encode(&self) -> String {
        Message::new("hello")
            .with("v", &self.v)
            .with("server", &self.server)
            .with("conn", &self.conn)
            .with("caps", &self.caps)
            .finish()
    }

    pub(super) fn from_fields(fields: &Map<String, Value>) -> Result<Self, Refusal> {
        Ok(Self {
            v: version(fields)?,
            server: short_text(fields, "server", MAX_PROGRAM_NAME)?,
            conn: short_text(fields, "conn", MAX_STREAM_ID)?,
            caps: capabilities(fields)?,
        })
    }
}

fn version(fields: &Map<String, Value>) -> Result<u32, Refusal> {
    match fields.get("v").and_then(Value::as_u64) {
        Some(0) | None => Err(Refusal::new(RefusalKind::OutOfRange, "v", "must be an integer of at least 1")),
        Some(v) => Ok(u32::try_from(v).unwrap_or(u32::MAX)),
    }
}

/// These texts reach logs and other clients, so they are short and printable.
fn short_text(fields: &Map<String, Value>, field: &'static str, max: usize) -> Result<String, Refusal> {
    let text = fields
        .get(field)
        .and_then(Value::as_str)
        .ok_or_else(|| Refusal::new(RefusalKind::WrongType, field, "must be a text"))?;
    if text.is_empty() || text.len() > max {
        return Err(Refusal::new(RefusalKind::OutOfRange, field, format!("must have 1 to {max} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::new(RefusalKind::OutOfRange, field, "must not hold control characters"));
    }
    Ok(text.to_owned())
}

/// Missing means none.
fn capabilities(fields: &Map<String, Value>) -> Result<Vec<Capability>, Refusal> {
    let names = match fields.get("caps") {
        None => return Ok(Vec::new()),
        Some(Value::Array(names)) => names,
        Some(_) => {
            return Err(Refusal::new(RefusalKind::WrongType, "caps", "must be an array"));
        }
    };
    let named = |c: &Capability| names.iter().any(|n| n.as_str() == Some(c.name()));
    Ok(Capability::ALL.iter().copied().filter(named).collect())
}
