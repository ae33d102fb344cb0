//! Settings of the field service.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::control::StopView;
use crate::http::Access;
use crate::metrics::Metrics;

/// Settings of a [`FieldServer`](super::FieldServer).
#[derive(Clone)]
pub struct FieldConfig {
    /// A port of its own; `None` for no other way in than [`FieldServer::routes`](super::FieldServer::routes). Default
    /// `127.0.0.1:8765`; port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// For `wss://` instead of `ws://` on the port of its own. Default: none.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Who may come in. Default: everybody, as clients of the original wire know no token.
    pub access: FieldAccess,
    /// Sockets at a time; one more is told so before the upgrade. Default 128.
    pub max_clients: usize,
    /// Users with arms of their own, at a time. Default 32.
    pub max_users: usize,
    /// Publishers at a time. Default 32.
    pub max_publishers: usize,
    /// Largest message of a user or spectator, bytes; a larger one ends the connection with code 1009. Default 1 MiB.
    pub max_message: usize,
    /// The same for publishers, whose meshes come in one message each. Default 64 MiB.
    pub max_publisher_message: usize,
    /// Silence of a user's controllers after which their arms are let go, for clients that agreed on it and may ask for
    /// 0.1 s to 2 s; default 0.3 s.
    pub deadman: Duration,
    /// Whether [`Self::deadman`] holds for the others too, which have 5 s otherwise. Default: no.
    pub strict_deadman: bool,
    /// The stop latch that holds every arm of the field. Default: none.
    pub stop: Option<StopView>,
    /// Where the service counts. Default: counters of its own.
    pub metrics: Metrics,
}

/// Who may come in.
#[derive(Clone, Default)]
pub enum FieldAccess {
    /// Everybody.
    #[default]
    Open,
    /// The rule of the program `waldo`: peers on loopback, and those with the token, be it in the address or in their
    /// `hello`. The others are sent nothing before it.
    Rule(Arc<Access>),
}

impl fmt::Debug for FieldAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Rule(_) => "Rule",
        })
    }
}

impl Default for FieldConfig {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8765))),
            tls: None,
            access: FieldAccess::Open,
            max_clients: 128,
            max_users: 32,
            max_publishers: 32,
            max_message: 1 << 20,
            max_publisher_message: 64 << 20,
            deadman: Duration::from_millis(300),
            strict_deadman: false,
            stop: None,
            metrics: Metrics::default(),
        }
    }
}

impl fmt::Debug for FieldConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldConfig")
            .field("listen", &self.listen)
            .field("access", &self.access)
            .field("strict_deadman", &self.strict_deadman)
            .finish_non_exhaustive()
    }
}
