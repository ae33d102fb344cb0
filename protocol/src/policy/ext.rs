//! The negotiation of extensions, which rides on the exchange of metadata.
//!
//! Original servers ignore unknown keys of requests, original clients read `data` only; so it costs no round trip and
//! needs no time-out. A peer that sends no `ext` gets none, nor any key or message of the extensions.

use super::app_map::AppMap;
use super::capability::Capabilities;
use super::fields::Field;
use super::ids::{ClientId, RequestId, RobotId};
use super::writer::{MapWriter, frame};
use super::{Frame, WireError};

/// Version of the extensions spoken here.
pub const EXT_VERSION: u64 = 1;

/// What a client says in `ext` of its metadata request. Keys that are missing or wrong have the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientExt {
    /// Version of the extensions; 1 by default.
    pub v: u64,
    /// `<name>/<version>` of the program; empty by default.
    pub impl_name: String,
    /// What it would like to use.
    pub want: Capabilities,
    /// Its id.
    pub client: Option<ClientId>,
}

impl ClientExt {
    fn write(&self, out: &mut MapWriter<'_>) {
        let mut ext = out.map("ext");
        ext.integer("v", self.v);
        ext.text("impl", &self.impl_name);
        ext.texts("want", self.want.names());
        if let Some(client) = &self.client {
            ext.text("client", client.as_str());
        }
        ext.finish();
    }

    fn read(field: &Field<'_>) -> Result<Option<Self>, WireError> {
        let Some([v, impl_name, want, client]) = field.lenient_members(["v", "impl", "want", "client"])? else {
            return Ok(None);
        };
        Ok(Some(Self {
            v: v.integer().unwrap_or(EXT_VERSION),
            impl_name: impl_name.text().unwrap_or_default().to_owned(),
            want: Capabilities::from_names(&want.texts().unwrap_or_default()),
            client: client.text().ok().and_then(ClientId::parse),
        }))
    }
}

/// What a server says in `ext` of its metadata response. Keys that are missing or wrong have the defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerExt {
    /// Version of the extensions: the lower of the client's and [`EXT_VERSION`]; 1 by default.
    pub v: u64,
    /// `<name>/<version>` of the program; empty by default.
    pub impl_name: String,
    /// What it offers.
    pub caps: Capabilities,
    /// Which robot it is.
    pub robot: Option<RobotId>,
    /// Its limits.
    pub limits: Limits,
    /// What it has to say about its cameras, by name.
    pub cameras: Option<AppMap>,
}

/// Limits of a server; 1, 0 and none by default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Most requests that may wait for their replies.
    pub max_inflight: u64,
    /// Most rows of a chunk of actions.
    pub max_chunk: u64,
    /// Time without an action, milliseconds, after which the robot holds; 0: never.
    pub action_timeout_ms: Option<f64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_inflight: 1, max_chunk: 0, action_timeout_ms: None }
    }
}

impl ServerExt {
    fn write(&self, out: &mut MapWriter<'_>) {
        let mut ext = out.map("ext");
        ext.integer("v", self.v);
        ext.text("impl", &self.impl_name);
        ext.texts("caps", self.caps.names());
        if let Some(robot) = &self.robot {
            ext.text("robot", robot.as_str());
        }
        let mut clock = ext.map("clock");
        clock.text("kind", "monotonic");
        clock.text("unit", "s");
        clock.finish();
        let mut limits = ext.map("limits");
        limits.integer("max_inflight", self.limits.max_inflight);
        limits.integer("max_chunk", self.limits.max_chunk);
        if let Some(timeout) = self.limits.action_timeout_ms {
            limits.float("action_timeout_ms", timeout);
        }
        limits.finish();
        if let Some(cameras) = &self.cameras {
            ext.app_map("cameras", cameras);
        }
        ext.finish();
    }

    fn read(field: &Field<'_>) -> Result<Option<Self>, WireError> {
        let names = ["v", "impl", "caps", "robot", "limits", "cameras"];
        let Some([v, impl_name, caps, robot, limits, cameras]) = field.lenient_members(names)? else {
            return Ok(None);
        };
        let given = limits.lenient_members(["max_inflight", "max_chunk", "action_timeout_ms"])?;
        let limits = given.map_or_else(Limits::default, |[max_inflight, max_chunk, action_timeout_ms]| Limits {
            max_inflight: max_inflight.integer().unwrap_or(1).max(1),
            max_chunk: max_chunk.integer().unwrap_or(0),
            action_timeout_ms: action_timeout_ms.magnitude().ok(),
        });
        Ok(Some(Self {
            v: v.integer().unwrap_or(EXT_VERSION),
            impl_name: impl_name.text().unwrap_or_default().to_owned(),
            caps: Capabilities::from_names(&caps.texts().unwrap_or_default()),
            robot: robot.text().ok().and_then(|robot| RobotId::parse(robot).ok()),
            limits,
            cameras: cameras.optional(AppMap::from_field).ok().flatten(),
        }))
    }
}

/// Asks for the metadata and, with `ext`, for extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataRequest {
    /// What the client would like; `None` for a peer without extensions.
    pub ext: Option<ClientExt>,
    /// Repeated by the reply; only once ids are negotiated.
    pub id: Option<RequestId>,
}

impl MetadataRequest {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "metadata", |header| {
            if let Some(ext) = &self.ext {
                ext.write(header);
            }
            if let Some(id) = self.id {
                header.id(id);
            }
        });
    }

    /// What a server that offers `offered` has in common with this client: nothing with one that sent no `ext`.
    pub fn agreed(&self, offered: Capabilities) -> Capabilities {
        self.ext.as_ref().map_or(Capabilities::NONE, |ext| ext.want.and(offered))
    }

    pub(super) fn read(frame: &Frame<'_>, id: Option<RequestId>) -> Result<Self, WireError> {
        let [ext] = frame.members(["ext"]);
        Ok(Self { ext: ClientExt::read(&ext)?, id })
    }
}

/// The static facts of a robot, answer to [`MetadataRequest`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataResponse {
    /// The application's own facts; customary are `action_shape` (such as [1, 7]) and `cameras`.
    pub data: AppMap,
    /// Only for a client that sent `ext`.
    pub ext: Option<ServerExt>,
    /// Id of the request.
    pub id: Option<RequestId>,
}

impl MetadataResponse {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "metadata_response", |header| {
            header.app_map("data", &self.data);
            if let Some(ext) = &self.ext {
                ext.write(header);
            }
            if let Some(id) = self.id {
                header.id(id);
            }
        });
    }

    /// What a client that asked for `want` has in common with this server: nothing with one that sent no `ext`.
    pub fn agreed(&self, want: Capabilities) -> Capabilities {
        self.ext.as_ref().map_or(Capabilities::NONE, |ext| ext.caps.and(want))
    }

    pub(super) fn read(frame: &Frame<'_>, id: Option<RequestId>) -> Result<Self, WireError> {
        let [data, ext] = frame.members(["data", "ext"]);
        Ok(Self { data: AppMap::from_field(&data)?, ext: ServerExt::read(&ext)?, id })
    }
}
